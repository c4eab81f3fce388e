"""Programs on wafers with defects: placed around them, moved down, refused; timed with the hops that it takes."""

from dataclasses import replace as with_fields

import pytest
from msgspec.structs import replace
from support.defective import COLUMNS, MACHINE, around, defects, whole

from undiced.compiler.wafer.settle import repaired, settle
from undiced.core.errors import CompileError
from undiced.machine.constant import assumed
from undiced.machine.detours import detours
from undiced.machine.repair import UnrepairableError, repair
from undiced.program import Rect
from undiced.program.file import decode
from undiced.program.wafer.individual import Cut
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.program import Region
from undiced.sim.atlas.atlas import atlas
from undiced.sim.clock import time_step


def test_a_program_names_the_maps_that_it_was_placed_for():
    placed, found = around(), defects()
    assert [(one.map, one.digest) for one in placed.individuals] == [("a map", found.digest)] * placed.wafers
    assert placed.digest != whole().digest and placed.graph_digest == whole().graph_digest
    assert decode(placed.encoded(), "file") == placed


def test_a_map_of_no_defects_changes_no_cycle():
    empty = around(defects((), ()))
    assert not empty.individuals[0].shifts
    assert time_step(empty, MACHINE).token_cycles == time_step(whole(), MACHINE).token_cycles


def test_a_token_takes_longer_by_hops_that_hide_what_runs_beside_them():
    before, after = time_step(whole(), MACHINE), time_step(around(), MACHINE)
    longer = {kind: after.by_kind()[kind] - cycles for kind, cycles in before.by_kind().items()}
    assert longer.pop("hops") > -sum(longer.values()) >= 0


def test_links_that_cost_nothing_make_nothing_longer():
    free = assumed(0, "cycle", "a test", 0, 0)
    spares = with_fields(MACHINE.spares, skip_cycles=free, diagonal_cycles=free)
    varied = with_fields(MACHINE, spares=spares)
    assert time_step(around(), MACHINE, varied=varied).token_cycles == time_step(whole(), MACHINE).token_cycles


def test_an_atlas_adds_up_around_defects():
    found = atlas(around(region=(4, 10)), MACHINE)
    assert sum(turn.cycles for turn in found.turns) == pytest.approx(found.timing.token_cycles)
    assert all(found.deeds[turn.stream] for turn in found.turns if turn.cycles)


ONE = repair(defects(((2, 3), (5, 6)), ()), MACHINE)  # rows 3 and 6 move from the dead core on


@pytest.mark.parametrize(
    ("rect", "turned", "axis", "span", "cycles"),
    [
        (Rect(0, 0, 8, 10), False, Axis.COLUMNS, 8, 1), (Rect(0, 0, 8, 10), False, Axis.ROWS, 10, 4),
        (Rect(0, 0, 8, 10), True, Axis.ROWS, 8, 1), (Rect(0, 0, 8, 10), True, Axis.COLUMNS, 10, 4),
        (Rect(0, 0, 8, 10), False, Axis.ROWS, 5, 2), (Rect(0, 0, 4, 10), False, Axis.ROWS, 10, 2),
        (Rect(3, 0, 5, 3), False, Axis.ROWS, 3, 0), (Rect(6, 0, 2, 10), False, Axis.COLUMNS, 2, 0),
    ],
)  # fmt: skip
def test_lines_are_longer_by_skipped_cores_and_diagonals(rect, turned, axis, span, cycles):
    found = dict(detours(ONE, Region("r", 0, rect, (), turned), [(axis, span)], MACHINE.spares))
    assert found.get((axis, span), 0) == cycles


def test_regions_move_down_to_rows_that_are_whole():
    small = whole(region=(8, 5))
    regions = tuple(replace(region, wafer=0) for region in small.regions[:1])
    pair = defects(((4, 1), (5, 1)), ())
    one, down = repaired(list(regions), MACHINE, pair, 0)
    assert (one.first, one.last, down) == (2, 6, 2)


def test_a_wafer_without_so_many_whole_rows_is_refused_with_the_rows_that_fail():
    with pytest.raises(UnrepairableError, match=r"row 4 .*10 rows of it side by side") as told:
        around(defects(((4, 4), (5, 4)), ()))
    assert told.value.rows == (4,) and told.value.remedy


def test_a_wafer_of_another_size_is_refused():
    with pytest.raises(CompileError, match="the machine that it is of"):
        around(with_fields(defects((), ()), columns=COLUMNS))


def test_published_mappings_are_refused_around_defects():
    published = replace(whole(), facts=(("mapping waferllm", 1.0),))
    with pytest.raises(CompileError, match="as published") as told:
        settle(published, MACHINE, lambda number: defects((), ()))
    assert told.value.remedy


def test_a_straight_link_that_is_cut_costs_its_upper_core():
    one = around(defects((), (Cut(3, 2, "south"),))).individuals[0]
    assert [shift.row for shift in one.shifts] == [2]
