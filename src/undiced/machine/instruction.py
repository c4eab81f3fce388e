"""What an instruction of a published mapping, and a stream of them, costs: from the table to the closed forms.

A stream runs in order. VECTOR instructions marked OVERLAP run while the SHIFTs just before them are under way; the
moves of those shifts take slots of the same datapath.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import ceil

from undiced.machine.collective import (
    ELEMENTS_PER_POSITION,
    allreduce,
    multicast,
    repeats,
    shift_wire,
    wavelets_of,
)
from undiced.machine.cost import ZERO, Cost, CostModel, longest
from undiced.machine.vector import (
    COUNT_PER_POSITION,
    KIND_MASK,
    LENGTH_PER_POSITION,
    OVERLAP,
    Kind,
    vector_cost,
)
from undiced.program import Instr, Op

_MOVERS = (Op.SHIFT, Op.ALLREDUCE)
_MOVE_BYTES = 8  # a fabric move passes 64 bits a datapath cycle


class Task(IntEnum):
    """The `kind` of a TASK instruction."""

    LOCAL = 0  # a scheduled local task
    DATA = 1  # a wavelet handled by a data task
    EMIT = 2  # a wavelet sent by a scalar loop
    ROUTE_WRITE = 3  # one register written to give a color another route


@dataclass(frozen=True, slots=True)
class Load:
    """What a stream works on.

    Attributes:
        positions: KV positions that the fullest core holds of each sequence.
        batch: sequences decoded at once.
    """

    positions: int = 1
    batch: int = 1


def instr_cost(model: CostModel, instr: Instr, load: Load) -> Cost:
    """Cycles of one instruction on its own."""
    if instr.op is Op.VECTOR:
        return _vector(model, instr, load)
    if instr.op is Op.ALLREDUCE:
        _, elements, element_bytes, span, groups, algorithm = instr.p
        count = elements * load.batch * repeats(algorithm, load.positions)
        kind = algorithm & ~ELEMENTS_PER_POSITION
        return allreduce(model, span, groups, kind, wavelets_of(model, count, element_bytes))
    if instr.op is Op.SHIFT:
        return _ring(model, (instr,), ZERO)
    if instr.op is Op.TASK:
        return _task(model, *instr.p)
    elements, element_bytes, distance = instr.p  # TRANSFER
    return multicast(model, wavelets_of(model, elements * load.batch, element_bytes), distance)


def stream_costs(model: CostModel, instrs: tuple[Instr, ...], load: Load) -> list[tuple[Instr, Cost]]:
    """Each instruction's share of the stream's critical path; overlapped groups count for their first instruction."""
    out: list[tuple[Instr, Cost]] = []
    i = 0
    while i < len(instrs):
        first, end = i, i
        while end < len(instrs) and instrs[end].op in _MOVERS:
            end += 1
        beside = end
        while beside < len(instrs) and instrs[beside].op is Op.VECTOR and instrs[beside].param("kind") & OVERLAP:
            beside += 1
        if beside == end or first == end:  # nothing runs beside it: a step of its own
            out.append((instrs[i], instr_cost(model, instrs[i], load)))
            i += 1
            continue
        compute = sum((_vector(model, v, load) for v in instrs[end:beside]), ZERO)
        out.append((instrs[i], _beside(model, instrs[first:end], compute, load)))
        i = beside
    return out


def _beside(model: CostModel, moving: tuple[Instr, ...], compute: Cost, load: Load) -> Cost:
    """Collectives or shifts with vector operations under them."""
    if moving[0].op is Op.SHIFT:
        return _ring(model, moving, compute)
    return longest(sum((instr_cost(model, instr, load) for instr in moving), ZERO), compute)


def _ring(model: CostModel, shifts: tuple[Instr, ...], compute: Cost) -> Cost:
    steps = max(shift.param("steps") for shift in shifts)
    wire, moves = ZERO, ZERO
    for shift in shifts:
        _, elements, element_bytes, hops, _ = shift.p
        wire = longest(wire, shift_wire(model, wavelets_of(model, elements, element_bytes), hops))
        moved = 2.0 * ceil(elements * element_bytes / _MOVE_BYTES)
        moves += Cost(collective=moved, overhead=2 * model.vector_setup)
    return longest(wire * steps, compute + moves * steps)


def _vector(model: CostModel, instr: Instr, load: Load) -> Cost:
    count, length, code, element_bytes = instr.p
    times = load.batch * (load.positions if code & COUNT_PER_POSITION else 1)
    length *= load.positions if code & LENGTH_PER_POSITION else 1
    return vector_cost(model, Kind(code & KIND_MASK), count * times, length, element_bytes)


def _task(model: CostModel, count: int, kind: int) -> Cost:
    each = {
        Task.LOCAL: model.local_task,
        Task.DATA: model.data_task,
        Task.EMIT: model.emit,
        Task.ROUTE_WRITE: model.route_write,
    }
    return Cost(overhead=count * each[Task(kind)])


def is_collective(instr: Instr) -> bool:
    """Whether the instruction moves data between cores."""
    return instr.op in (Op.ALLREDUCE, Op.SHIFT, Op.TRANSFER)
