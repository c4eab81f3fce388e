"""The presets hold what a rerun of the calibration gives, and the rows come out within the aims."""

import pytest

from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.validation.calibration import problems, solve
from undiced.validation.outcome import validate
from undiced.validation.page import page
from undiced.validation.rows import calibration_rows, open_rows


@pytest.mark.parametrize("index", range(5))
def test_presets_hold_the_fit(index):
    problem = problems()[index]
    fit = solve(problem)
    model = CostModel.of(find_machine(problem.machine))
    for name in problem.fitted:
        assert getattr(model, name) == pytest.approx(fit.values[name], rel=2e-3), name


def test_rank_counts_what_the_rows_identify():
    for problem in problems():
        fit = solve(problem)
        assert fit.rank == len(problem.fitted), problem.machine


def test_every_row_within_its_aim():
    for outcome in validate():
        assert outcome.passed is not False, (outcome.row.id, outcome.row.what, outcome.error)


def test_open_rows_are_not_fitted_on():
    fitted = {row.id for problem in problems() for row in problem.rows}
    assert fitted == {row.id for row in calibration_rows()}
    assert not fitted & {row.id for row in open_rows()}


def test_growth_with_the_grid_comes_from_the_wires():
    outcomes = {o.row.id: o.simulated for o in validate()}
    assert outcomes["V16"] > outcomes["V14"] * 1.12


def test_the_page_holds_every_row():
    outcomes = validate()
    text = page(outcomes)
    assert text.count("\n| ") >= len(outcomes)
