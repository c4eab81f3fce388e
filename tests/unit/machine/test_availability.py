"""A year of failures: the closed form beside a wafer that is drawn, core by core, and what is refused."""

import numpy as np
import pytest

from undiced.core.errors import InvalidRequestError
from undiced.machine import toy, wse3
from undiced.machine.availability import HOURS_OF_YEAR, SWAP_HOURS, Upkeep, availability

CORES = 900_000


def test_failures_and_wafers_are_those_of_a_year_that_is_drawn():
    wafer, mtbf, random = toy(400, 400), 1e6, np.random.default_rng(3)
    failures = lost = 0
    for _ in range(20):
        ends = random.exponential(mtbf, (400, 400))
        fails = ends < HOURS_OF_YEAR
        before = np.zeros_like(fails)
        before[:, 1:] |= ends[:, :-1] < ends[:, 1:]
        before[:, :-1] |= ends[:, 1:] < ends[:, :-1]
        failures, lost = failures + fails.sum(), lost + (fails & before).sum()
    found = availability(wafer, wafer.mesh.cores, 1.0, Upkeep(mtbf))
    assert found.failures == pytest.approx(failures / 20, rel=0.02)
    assert found.replaced == pytest.approx(lost / 20, rel=0.1)
    assert found.failures == found.repaired + found.replaced


@pytest.mark.parametrize("spare", [0, 1, 3])
def test_spare_wafers_take_over_as_many_failures_as_there_are_of_them(spare):
    upkeep = Upkeep(2e7, spare, 100.0)
    found = availability(wse3(), CORES, 0.25, upkeep)
    events = np.random.default_rng(1).poisson(found.replaced, 400_000)
    swapped = np.minimum(events, spare).mean()
    hours = found.repaired * 0.25 / 3600 + swapped * SWAP_HOURS.value + (events.mean() - swapped) * 100
    assert found.lost_h == pytest.approx(hours, rel=0.02)
    assert found.share == pytest.approx(1 - hours / HOURS_OF_YEAR, abs=1e-3)


def test_better_cores_and_more_spares_leave_more_of_a_year():
    shares = [availability(wse3(), CORES, 0.25, Upkeep(*each)).share for each in ((1e7, 0), (1e7, 1), (1e9, 1))]
    assert shares == sorted(shares) and shares[0] < shares[-1]
    assert availability(wse3(), CORES, 0.25, Upkeep(1.0)).share == 0.0


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        ({"mtbf_hours": 0.0}, "mtbf"), ({"mtbf_hours": -5.0}, "mtbf"), ({"mtbf_hours": float("nan")}, "mtbf"),
        ({"mtbf_hours": float("inf")}, "mtbf"), ({"spare_wafers": -1}, "spare_wafers"),
        ({"spare_wafers": 10**9}, "spare_wafers"), ({"replace_hours": -1.0}, "replace_hours"),
        ({"replace_hours": 1e9}, "replace_hours"),
    ],
)  # fmt: skip
def test_figures_that_make_no_sense_are_refused(figures, names):
    with pytest.raises(InvalidRequestError, match=names) as told:
        Upkeep(**figures)
    assert told.value.remedy.startswith("Use ")
