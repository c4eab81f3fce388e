"""Closed forms of collectives: limits that hand calculation gives, and the packing of level trees."""

from dataclasses import replace

import pytest

from undiced.machine import find_machine
from undiced.machine.collective import (
    TWO_TREE,
    TWO_TREE_DUAL,
    Level,
    allreduce,
    covers,
    level_tree,
    pack_levels,
    two_tree,
    unpack_levels,
)
from undiced.machine.cost import CostModel

WIRES = replace(
    CostModel.of(find_machine("wse2")), step_software=0.0, star_member=0.0, multicast_skew=0.0, collective_entry=0.0
)


def test_two_tree_by_hand():
    # 20 groups of 21: arms of ten steps of one hop, payload twice; arms of nine and ten steps of 21 hops, where the
    # shorter arm's payload hides behind the longer arm; 220 hops back.
    expected = (10 * 6 + 2 * 8) + (10 * 26 + 8) + (8 + 220 + 4)
    assert two_tree(WIRES, 420, 20, 8, dual=False).cycles == expected


def test_second_send_of_the_dual_tree_may_hide_behind_distance():
    one, both = (two_tree(WIRES, 420, 20, wavelets, dual=True).cycles for wavelets in (1, 100))
    assert one == two_tree(WIRES, 420, 20, 1, dual=False).cycles  # the near side is 21 hops nearer
    assert both == two_tree(WIRES, 420, 20, 100, dual=False).cycles + 100 - 21


def test_software_counts_once_a_dependent_step():
    with_software = replace(WIRES, step_software=10.0)
    extra = two_tree(with_software, 420, 20, 8, dual=False).cycles - two_tree(WIRES, 420, 20, 8, dual=False).cycles
    assert extra == 10 * (10 + 1 + 10 + 1)  # the multicast has a start of its own


def test_more_levels_need_fewer_steps():
    chain = level_tree(WIRES, 512, (Level(512),), 1).cycles
    two = level_tree(WIRES, 512, (Level(23), Level(23)), 1).cycles
    three = level_tree(WIRES, 512, (Level(8), Level(8), Level(8)), 1).cycles
    assert chain > two > three > 2 * 256


def test_star_of_single_wavelets_is_bound_by_distance_or_ramp():
    assert level_tree(WIRES, 21, (Level(21, star=True),), 1).cycles == (20 * 2 + 1) + 5 + 1 + (1 + 4 + 10)


@pytest.mark.parametrize("levels", [(Level(4),), (Level(23, True), Level(9)), (Level(2), Level(3, True), Level(1023))])
def test_packing_round_trip(levels):
    assert unpack_levels(*pack_levels(levels)) == levels


def test_covering():
    assert covers(16, (Level(4), Level(4)))
    assert not covers(17, (Level(4), Level(4)))


def test_nothing_to_reduce_costs_nothing():
    assert allreduce(WIRES, 1, 1, TWO_TREE, 5).cycles == 0
    assert allreduce(WIRES, 64, 8, TWO_TREE_DUAL, 0).cycles == 0
