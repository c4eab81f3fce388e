"""Joint samples: seeded, stratified, and no sample that the calibration rows do not allow."""

import pytest

from undiced.validation.calibration import problems, residuals
from undiced.validation.joint import Assumed, assumed, draws, samples


def test_every_part_of_a_range_is_drawn_once():
    parameters = (Assumed("a", 0.0, 8.0), Assumed("b", -1.0, 1.0))
    drawn = list(draws(parameters, 8))
    assert sorted(int(values["a"]) for values in drawn) == list(range(8))
    assert sorted(int((values["b"] + 1) * 4) for values in drawn) == list(range(8))
    assert drawn == list(draws(parameters, 8))


def test_wide_ranges_are_drawn_by_their_logarithm():
    assert Assumed("bandwidth", 1e9, 1e11).at(0.5) == pytest.approx(1e10)


@pytest.mark.parametrize("machine", [pytest.param("wse2", marks=pytest.mark.slow), "wse3"])
def test_samples_that_are_kept_meet_the_calibration_rows(machine):
    found = [sample for sample in samples(machine, 6) if sample is not None]
    assert len(found) > 2
    for sample in found:
        for problem in (problem for problem in problems() if problem.machine == machine):
            values = {field: getattr(sample.costs, field) for field in sample.costs.__dataclass_fields__}
            for row, error in zip(problem.rows, residuals(problem, values), strict=True):
                assert abs(error) <= row.noise, row.id
            assert all(values[name] >= 0 for name in problem.fitted)


def test_what_no_row_tells_is_sampled():
    names = {parameter.name for parameter in assumed("wse3")}
    assert {"collective_entry", "star_member", "straight_setup", "multicast_skew", "wafer_to_wafer_s"} <= names
    assert not {"step_software", "vector_setup", "link_rate"} & names
