"""Figures that the model holds by construction, and closed forms without their software beside the published ones."""

import pytest
from support.line_formulas import broadcast_line, chain_reduce

from undiced.machine import find_machine
from undiced.machine.cost import repriced
from undiced.program.wafer.tree import Level, Tree
from undiced.validation.microbenchmark import line_allreduce, line_chain, line_multicast, line_multicast_timed

WSE3 = find_machine("wse3")
WIRES = repriced(find_machine("wse2"), {"step_software": 0.0, "multicast_skew": 0.0, "collective_entry": 0.0}).link


def test_a_link_and_a_wavelet_s_software_are_as_measured():
    assert WSE3.link.wavelets_per_cycle.value == pytest.approx(0.89, rel=2e-3)
    assert (WSE3.core.data_task_cycles.value, WSE3.core.emit_cycles.value) == pytest.approx((43, 44), rel=2e-3)


def test_fastest_multicast_is_the_published_line():
    for payload, cores, cycles in ((64, 1, 39), (256, 64, 155), (1024, 512, 819)):
        assert line_multicast_timed(WSE3, payload, cores, late=False) == pytest.approx(cycles, rel=2e-3)
    late = 39 + WSE3.link.multicast_skew_cycles.value
    assert line_multicast_timed(WSE3, 64, 1, late=True) == pytest.approx(late, rel=2e-3)


@pytest.mark.parametrize("wavelets", [1, 16, 256])
@pytest.mark.parametrize("cores", [2, 64, 512])
def test_without_software_programs_pay_the_published_formulas(wavelets, cores):
    assert line_chain(WIRES, cores, wavelets).cycles == chain_reduce(wavelets, cores)
    assert line_multicast(WIRES, wavelets, cores, late=True).cycles == broadcast_line(wavelets, cores)


def test_what_is_sent_one_way_and_then_the_other_waits_for_the_second():
    tree = Tree(420, (Level(21), Level(20)))
    one, many = (line_allreduce(WIRES, tree, wavelets).cycles for wavelets in (1, 100))
    assert one == (10 * 6 + 2) + (10 * 26 + 1) + 2 + (1 + 210 + 4) + 1
    assert many > one + 3 * 99
