"""Movers over trees of the program: as the closed forms over packed levels, slice by slice."""

import pytest

from undiced.machine import collective, lines
from undiced.machine.cost import CostModel
from undiced.machine.presets import wse3
from undiced.program.wafer.tree import Level, Tree

WAFER = wse3()
LINK, MODEL = WAFER.link, CostModel.of(WAFER)
LEVELS = [
    (Level(60),),
    (Level(60, True),),
    (Level(8), Level(8, True)),
    (Level(5, True), Level(5), Level(3, True)),
    (Level(4), Level(4, True), Level(2), Level(2, True)),
]


def twin(levels: tuple[Level, ...]) -> tuple[collective.Level, ...]:
    return tuple(collective.Level(level.size, level.star) for level in levels)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("count", [1, 2, 6, 51])
def test_one_tree_costs_what_packed_levels_cost(levels: tuple[Level, ...], count: int) -> None:
    found = lines.slice_cost(LINK, Tree(60, levels), 0, count)
    assert found.as_dict() == pytest.approx(collective.level_reduce(MODEL, 60, twin(levels), count).as_dict())


def test_sliced_stars_cost_what_packed_levels_cost_once_the_last_slice_has_started() -> None:
    """With roots in the middle of their groups; those near an end wait longer for the far end's members."""
    levels = Level(9, True), Level(7, True)
    tree = Tree(63, levels, 3)
    found = lines.slice_cost(LINK, tree, 1, 4) + lines.pace(LINK, 4) * 2
    assert found.cycles == pytest.approx(collective.level_reduce(MODEL, 63, twin(levels), 12, 3).cycles)


def test_chains_to_a_root_near_an_end_are_longer() -> None:
    tree = Tree(60, (Level(12), Level(5, True)), 3)
    ends, middle = (lines.slice_cost(LINK, tree, which, 4).cycles for which in (0, 1))
    assert ends > middle


def test_one_multicast_costs_what_it_did() -> None:
    count, hops = 12, 300
    mine = lines.dispatch(LINK) + lines.payload(LINK, count) + lines.arrival(LINK, hops)
    assert mine.as_dict() == pytest.approx(collective.multicast(MODEL, count, hops).as_dict())


def test_a_tree_of_two_levels_is_free_again_sooner_than_one_whose_levels_share_colors() -> None:
    two, three = Tree(64, (Level(8, True), Level(8, True))), Tree(64, (Level(4, True),) * 3)
    assert lines.engaged(LINK, two, 4).cycles < lines.slice_cost(LINK, two, 0, 4).cycles
    assert lines.engaged(LINK, three, 4).cycles == lines.slice_cost(LINK, three, 0, 4).cycles


def test_wavelets_are_packed() -> None:
    assert [lines.wavelets(LINK, size) for size in (1, 4, 6, 8)] == [1, 1, 2, 2]
