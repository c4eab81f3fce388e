"""A model's speed on wafers that are drawn: slower with defects, and none where no wafer has a place for it."""

from __future__ import annotations

from support.defective import MACHINE, whole

from undiced.study.yields import PATIENCE, speeds


def test_a_program_takes_the_wafers_that_have_a_place_for_it():
    area = MACHINE.mesh.core_mm2 * MACHINE.mesh.cores
    clean, some, many = 0.0, 2.5 / area, 30.0 / area  # defects of a wafer
    found = speeds(whole(), MACHINE, [clean, some, many], 3, 16, lambda share, what: None)
    assert [(each.density, each.clusters) for each in found] == [
        (density, clusters) for clusters in (False, True) for density in (clean, some, many)
    ]
    for none, few, all_ in (found[:3], found[3:]):
        assert (none.wafers, none.refused, none.slowest) == (1, 0, none.tokens_per_second)
        assert few.wafers - few.refused == 8 and few.slowest <= few.tokens_per_second <= none.tokens_per_second
        assert (all_.wafers, all_.refused, all_.tokens_per_second) == (PATIENCE, PATIENCE, None)
    assert any(few.refused for few in (found[1], found[4]))
