"""Movers over trees of the program: beside the published two-tree, by hand, slice by slice."""

import pytest

from undiced.machine import collective, lines
from undiced.machine.cost import CostModel
from undiced.machine.presets import wse3
from undiced.program.wafer.tree import Level, Tree

WAFER = wse3()
LINK, MODEL = WAFER.link, CostModel.of(WAFER)


@pytest.mark.parametrize("count", [1, 2, 6, 51])
@pytest.mark.parametrize(("group", "groups"), [(21, 20), (8, 8), (60, 1)])
def test_chains_of_chains_cost_what_the_published_two_tree_costs(group: int, groups: int, count: int) -> None:
    """But for the control wavelet that gives a level's color to the next."""
    levels = tuple(Level(size) for size in (group, groups) if size > 1)
    found = lines.slice_cost(LINK, Tree(group * groups, levels), 0, count)
    root = groups // 2 * group + group // 2
    back = collective.multicast(MODEL, count, max(root, group * groups - 1 - root))
    there = collective.two_tree(MODEL, group * groups, groups, count, dual=False).cycles - back.cycles
    assert found.cycles == pytest.approx(there + len(levels))


def test_a_star_of_single_wavelets_is_bound_by_the_root_s_ramp() -> None:
    rate, step = LINK.wavelets_per_cycle.value, 2 * LINK.ramp_cycles.value + 1 + LINK.step_software_cycles.value
    found = lines.slice_cost(LINK, Tree(21, (Level(21, True),)), 0, 1)
    assert found.cycles == pytest.approx(20 * (1 / rate + 1) + 1 + step + 1)


def test_slices_follow_each_other_at_the_pace_of_one_payload() -> None:
    links = (lines.pace(LINK, count).cycles for count in (4, 8))
    assert next(links) + 4 / LINK.wavelets_per_cycle.value == pytest.approx(next(links))


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
