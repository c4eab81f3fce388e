"""The presets hold what a rerun of the calibration gives, and the rows come out within the aims."""

import pytest

from undiced.validation.calibration import calibrate, met_by_construction, presets, problems, residuals
from undiced.validation.calibration_rows import calibration_rows
from undiced.validation.lab import Lab
from undiced.validation.open_rows import open_rows
from undiced.validation.outcome import Outcome


@pytest.fixture(scope="module")
def fits():
    return calibrate()


def test_presets_hold_the_fit(fits):
    for fit in fits:
        model = presets(fit.problem.machine)
        for name in fit.problem.fitted:
            assert getattr(model, name) == pytest.approx(fit.values[name], rel=2e-3), name


def test_rank_counts_what_the_rows_identify(fits):
    for fit in fits:
        assert fit.rank == len(fit.problem.fitted), fit.problem.machine


def test_shares_of_rows_in_telling_a_parameter_add_up_to_one(fits):
    for fit in fits:
        for name, shares in fit.identified_by.items():
            assert sum(shares) == pytest.approx(1.0, abs=1e-6), name


def test_steps_of_the_engine_are_told_by_forced_tokens_and_its_head_by_free_ones(fits):
    told = {name: shares for fit in fits for name, shares in fit.identified_by.items() if fit.problem.machine == "wse3"}
    assert told["step_software"] == pytest.approx((1.0, 0.0), abs=0.05)
    assert told["draw"] == pytest.approx((0.0, 1.0), abs=0.05)


def test_every_judged_row_is_within_its_aim():
    lab = Lab()
    for row in calibration_rows() + open_rows():
        if row.tolerance is not None:
            outcome = Outcome(row, row.simulate(lab))
            assert abs(outcome.error) <= row.tolerance, (row.id, row.what, outcome.error)


def test_calibration_rows_are_met_within_their_noise():
    lab = Lab()
    for row in calibration_rows():
        assert abs(row.simulate(lab) / row.published - 1) <= row.noise, row.id


def test_what_can_t_fail_are_rows_with_as_many_constants_and_what_a_preset_is_read_off():
    assert met_by_construction() == {"V07", "K1", "K2", "V14", "V18a", "V21a", "S29", "S27"}
    assert presets("wse3").straight_setup * 18 + 18 * 2 / 4 == pytest.approx(576.25, rel=0.05)


def test_noise_of_its_rows_is_how_well_a_parameter_is_known(fits):
    for fit in fits:
        name = fit.problem.fitted[0]
        if len(fit.problem.rows) == 1:
            row = fit.problem.rows[0]
            up = residuals(fit.problem, {**fit.values, name: fit.values[name] + fit.deviations[name]})
            assert abs(up[0]) == pytest.approx(row.noise, rel=0.02)
        assert all(0 < each < float("inf") for each in fit.deviations.values())


def test_open_rows_are_not_fitted_on():
    fitted = {row.what for problem in problems() for row in problem.rows}
    assert fitted == {row.what for row in calibration_rows() if row.id not in ("K2", "K3")}
    assert not any(row.calibration for row in open_rows())


def test_growth_with_the_grid_comes_from_the_wires():
    lab = Lab()
    cycles = {row.id: row.simulate(lab) for row in calibration_rows() + open_rows() if row.id in ("V14", "V16")}
    assert cycles["V16"] > cycles["V14"] * 1.12
