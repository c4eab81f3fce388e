"""Streams of instructions: batches, positions, overlap."""

from undiced.machine import find_machine
from undiced.machine.collective import ELEMENTS_PER_POSITION, TWO_TREE
from undiced.machine.cost import ZERO, CostModel
from undiced.machine.instruction import Load, instr_cost, stream_costs
from undiced.machine.vector import COUNT_PER_POSITION, LENGTH_PER_POSITION, OVERLAP, Kind
from undiced.program import Instr, Op

MODEL = CostModel.of(find_machine("wse2"))


def cycles(instr, **load):
    return instr_cost(MODEL, instr, Load(**load)).cycles


def vector(count, length, kind):
    return Instr(Op.VECTOR, p=(count, length, int(kind), 2))


def test_a_batch_repeats_operations():
    assert cycles(vector(3, 8, Kind.MUL), batch=4) == 4 * cycles(vector(3, 8, Kind.MUL))


def test_positions_scale_lengths_and_counts():
    assert cycles(vector(3, 1, Kind.FMA16 | LENGTH_PER_POSITION), positions=10) == cycles(vector(3, 10, Kind.FMA16))
    assert cycles(vector(1, 8, Kind.FMA16 | COUNT_PER_POSITION), positions=10) == cycles(vector(10, 8, Kind.FMA16))


def test_collective_elements_scale_with_positions():
    def reduce(elements, algorithm):
        return Instr(Op.ALLREDUCE, p=(0, elements, 2, 64, 8, algorithm))

    assert cycles(reduce(1, TWO_TREE | ELEMENTS_PER_POSITION), positions=30) == cycles(reduce(30, TWO_TREE))


def test_overlapped_compute_hides_the_shift_or_the_other_way_round():
    shift = Instr(Op.SHIFT, p=(0, 40, 2, 200, 10))
    little, much = vector(10, 4, Kind.FMA16 | OVERLAP), vector(10, 4000, Kind.FMA16 | OVERLAP)
    alone = cycles(shift)
    assert sum((c for _, c in stream_costs(MODEL, (shift, little), Load())), ZERO).cycles < alone + cycles(little)
    both = sum((c for _, c in stream_costs(MODEL, (shift, much), Load())), ZERO).cycles
    assert cycles(much) < both < cycles(much) + alone
