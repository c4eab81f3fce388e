"""Cycles of lowered operations: those of the analytic clock, from the same work. Knows no operand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msgspec.structs import replace as with_fields

from undiced.machine.arithmetic import local_cost, vector_cost
from undiced.machine.core import Core
from undiced.program.wafer.work import Vectors, Work
from undiced.sim.fabric.microops import Delay, MicroOp, Vector


def timed(core: Core, vectors: Vectors, operations: Sequence[Vector]) -> list[MicroOp]:
    """Operations that together are what `vectors` counts: the last of them takes the time."""
    cost = vector_cost(core, vectors)
    if not operations:
        return [Delay(cost.cycles)] if cost.cycles else []
    return [*operations[:-1], replace(operations[-1], setup=cost.overhead, cycles=cost.compute)]


def at_once(core: Core, work: Work, operations: Sequence[Sequence[Vector]]) -> list[MicroOp]:
    """Groups of operations beside the vectors that count them, after what scalar code takes."""
    assert len(work.vectors) == len(operations), (work.vectors, operations)
    scalar = local_cost(core, with_fields(work, vectors=())).cycles
    out: list[MicroOp] = [Delay(scalar)] if scalar else []
    for vectors, group in zip(work.vectors, operations, strict=True):
        out += timed(core, vectors, group)
    return out


def timed_calls(core: Core, work: Work, operations: Sequence[Vector]) -> list[MicroOp]:
    """Scalar code that does what these operations do, in the time of its calls."""
    return [*operations[:-1], replace(operations[-1], cycles=local_cost(core, work).cycles)]
