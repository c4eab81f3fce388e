"""Vector operations: which of lanes and ports binds."""

import pytest

from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.machine.vector import Kind, stream_cycles, vector_cost

WSE2 = CostModel.of(find_machine("wse2"))
WSE3 = CostModel.of(find_machine("wse3"))


@pytest.mark.parametrize(
    ("model", "kind", "length", "element_bytes", "cycles"),
    [
        (WSE2, Kind.FMA16, 10, 2, 3),  # four lanes and both ports alike
        (WSE3, Kind.FMA16, 64, 2, 16),  # eight lanes, but the ports pass four elements
        (WSE3, Kind.FMA32, 64, 2, 32),  # writes of 32 bits
        (WSE3, Kind.FMA16, 64, 1, 16),
        (WSE2, Kind.MUL, 9, 2, 3),
        (WSE2, Kind.SUM, 9, 2, 9),
    ],
)
def test_stream(model, kind, length, element_bytes, cycles):
    assert stream_cycles(model, kind, length, element_bytes) == pytest.approx(cycles)


def test_setup_is_overhead_and_counts_each_operation():
    cost = vector_cost(WSE2, Kind.FMA16, 7, 10, 2)
    assert cost.compute == 7 * 3
    assert cost.overhead == pytest.approx(7 * WSE2.vector_setup)


def test_scalars_have_no_setup():
    assert vector_cost(WSE2, Kind.TRANSCENDENTAL, 2, 10, 2).cycles == pytest.approx(20 * WSE2.transcendental)


def test_empty_work_is_free():
    assert vector_cost(WSE2, Kind.MUL, 0, 10, 2).cycles == 0
    assert vector_cost(WSE2, Kind.MUL, 3, 0, 2).cycles == 0
