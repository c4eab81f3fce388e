"""Closed forms of published collectives: limits that hand calculation gives."""

from dataclasses import replace

from undiced.machine import find_machine
from undiced.machine.collective import TWO_TREE, TWO_TREE_DUAL, allreduce, two_tree
from undiced.machine.cost import CostModel

WIRES = replace(CostModel.of(find_machine("wse2")), step_software=0.0, multicast_skew=0.0, collective_entry=0.0)


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


def test_nothing_to_reduce_costs_nothing():
    assert allreduce(WIRES, 1, 1, TWO_TREE, 5).cycles == 0
    assert allreduce(WIRES, 64, 8, TWO_TREE_DUAL, 0).cycles == 0
