"""Movers over trees of the program: by hand, and slice by slice."""

import pytest

from undiced.machine import lines
from undiced.machine.cost import repriced
from undiced.machine.presets import wse2, wse3
from undiced.program.wafer.tree import Level, Tree

WAFER = wse3()
LINK = WAFER.link
WIRES = repriced(wse2(), {"step_software": 0.0, "multicast_skew": 0.0, "collective_entry": 0.0}).link


def two_tree(link, count):  # type: ignore[no-untyped-def]
    return lines.slice_cost(link, Tree(420, (Level(21), Level(20))), 0, count).cycles


def test_two_levels_of_chains_by_hand() -> None:
    # 20 groups of 21: arms of ten steps of one hop, payload twice; arms of nine and ten steps of 21 hops, where the
    # shorter arm's payload hides behind the longer arm; a control wavelet for each level's colors.
    assert two_tree(WIRES, 8) == (10 * 6 + 2 * 8) + (10 * 26 + 8) + 2


def test_software_counts_once_a_dependent_step() -> None:
    with_software = repriced(wse2(), {"step_software": 10.0}).link
    assert two_tree(with_software, 8) - two_tree(WIRES, 8) == 10 * (10 + 10)


def test_a_star_of_single_wavelets_is_bound_by_the_root_s_ramp() -> None:
    rate, software = LINK.wavelets_per_cycle.value, LINK.step_software_cycles.value
    found = lines.slice_cost(LINK, Tree(21, (Level(21, True),)), 0, 1)
    assert found.cycles == pytest.approx(20 / rate + 2 * LINK.ramp_cycles.value + 2 + software + 1)


def test_slices_follow_each_other_at_the_pace_of_one_payload_and_hold_each_other_up_once_a_level() -> None:
    tree, sliced = (Tree(64, (Level(8), Level(8)), slices) for slices in (1, 2))
    apart = [
        lines.slice_cost(WIRES, sliced, 1, count).cycles - lines.slice_cost(WIRES, tree, 0, count).cycles
        for count in (100, 200)
    ]
    assert apart[1] - apart[0] == 2 * 100


def test_a_root_that_sends_on_does_so_as_its_last_arm_comes() -> None:
    one, two = (lines.slice_cost(WIRES, Tree(64, levels), 0, 1000).cycles for levels in ((Level(64),), (Level(8),) * 2))
    assert two - one == pytest.approx(2 * 1000, rel=0.2), "the last root hears two arms of each level"


def test_chains_to_a_root_near_an_end_are_longer() -> None:
    tree = Tree(60, (Level(12), Level(5, True)), 3)
    ends, middle = (lines.slice_cost(LINK, tree, which, 4).cycles for which in (0, 1))
    assert ends > middle


def test_a_tree_is_free_again_once_its_root_has_heard_all() -> None:
    tree, far = (Tree(64 * factor, (Level(8), Level(8 * factor))) for factor in (1, 4))
    assert lines.engaged(LINK, tree, 4).cycles < lines.slice_cost(LINK, tree, 0, 4).cycles
    assert lines.engaged(LINK, tree, 4) == lines.engaged(LINK, far, 4), "distance occupies no root"


def test_wavelets_are_packed() -> None:
    assert [lines.wavelets(LINK, size) for size in (1, 4, 6, 8)] == [1, 1, 2, 2]
