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
    assert two_tree(with_software, 8) - two_tree(WIRES, 8) == 10 * (10 + 1 + 10 + 1)


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


def test_a_tree_of_two_levels_is_free_again_sooner_than_one_whose_levels_share_colors() -> None:
    two, three = Tree(64, (Level(8, True), Level(8, True))), Tree(64, (Level(4, True),) * 3)
    assert lines.engaged(LINK, two, 4).cycles < lines.slice_cost(LINK, two, 0, 4).cycles
    assert lines.engaged(LINK, three, 4).cycles == lines.slice_cost(LINK, three, 0, 4).cycles


def test_wavelets_are_packed() -> None:
    assert [lines.wavelets(LINK, size) for size in (1, 4, 6, 8)] == [1, 1, 2, 2]
