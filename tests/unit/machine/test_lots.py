"""Lots: the fast judge beside the repair of every wafer, dies beside their closed forms, and what is refused."""

from math import exp

import numpy as np
import pytest

from undiced.core.errors import CompileError
from undiced.machine import lots, toy, wse3
from undiced.machine.dies import dies
from undiced.machine.lots import lot, wilson, with_spares
from undiced.machine.repair import UnrepairableError, repair
from undiced.machine.scatter import as_map, fall
from undiced.machine.silicon import Process


def repairable(found, wafer):
    try:
        repair(found, wafer)
    except UnrepairableError:
        return False
    return True


@pytest.mark.parametrize(
    ("density", "patch", "links", "spares"),
    [(0.3, 0.0, 0.0, 6), (0.15, 0.7, 0.3, 6), (0.4, 0.0, 0.6, 12), (0.1, 0.0, 0.1, 1)],
)
def test_a_lot_has_as_many_good_wafers_as_can_be_repaired_one_by_one(density, patch, links, spares):
    wafer, count = with_spares(toy(60, 14), spares), 40
    process = Process(density, patch=patch, link_share=links)
    fallen = fall(process, wafer, count, np.random.default_rng(5), np.random.default_rng(6))
    good = [repairable(as_map(fallen, wafer, number), wafer) for number in range(count)]
    judged = lots._judged(fallen, wafer, count)
    assert 0 < sum(good) < count, "the test says something"
    assert judged[0] == sum(good) and judged.sum() == count


def test_nearly_all_wafers_work_at_the_published_density_and_fewer_at_ten_times_it():
    made = [lot(Process(density), wse3(), 200, 1) for density in (0.0, 0.001, 0.01)]
    assert made[0].share == 1.0 and made[1].share > 0.97 > made[2].share > 0.5
    assert made[2].beside > 0.8 * (200 - made[2].good), "what is lost is lost to cores side by side"


def test_a_defect_that_no_spare_helps_costs_the_wafer():
    made = lot(Process(0.001, fatal_share=0.02), wse3(), 400, 1)
    assert made.fatal / 400 == pytest.approx(1 - exp(-0.02 * 45.4), abs=0.07)


def test_dies_fail_as_the_poisson_distribution_says():
    made = dies(Process(0.001), 200, 1)
    assert made.whole / made.dies == pytest.approx(exp(-0.814), abs=0.01)
    assert made.harvested / made.dies == pytest.approx(exp(-0.4 * 0.814), abs=0.01)
    assert made.harvested_mm2 > made.good_mm2


def test_an_interval_holds_its_share_and_narrows():
    (low, high), (lower, higher) = wilson(990, 1000), wilson(99, 100)
    assert lower < low < 0.99 < high < higher <= 1.0


@pytest.mark.parametrize("wafers", [0, -1, 2_000_000])
def test_a_lot_of_no_size_is_refused(wafers):
    with pytest.raises(CompileError, match="Use 1 to 1,000,000"):
        lot(Process(), wse3(), wafers)
