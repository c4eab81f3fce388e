"""route and schedule: where a wafer has collectives the host has barriers, where data crosses threads and only there.

Two instructions need no barrier between them if every row and column that both touch is touched by the same thread:
same partition, same kind of rows, and for column shares the same number of columns. Independent instructions change
places when that saves a barrier: the three products of an attention run back to back. Work is shared out differently in
small steps (program/isa.py), so every barrier is judged twice; what only large steps need is marked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from undiced.compiler.host.draft import Draft
from undiced.program import Buffer, Flag, Instr, Op, Partition
from undiced.program.isa import NONE

_KV = -2  # a layer's cache, as if it were a buffer: _KV - layer
_LOOKAHEAD = 12  # instructions that may be drawn forward; a layer has about twenty
_ALL = ("all", 0)  # any thread may touch any of it
_OWN = ("own", 0)  # every thread touches its own copy
_NEWEST = ("newest", 0)  # (sequence, kv head) items of a small step: one thread stores and reads what is new


class Access(NamedTuple):
    """Columns [start, stop) of a buffer, and how its elements are shared out: equal shares never cross threads."""

    buffer: int
    start: int
    stop: int
    share: tuple[str, int]

    def overlaps(self, other: Access) -> bool:
        """Whether both touch the same columns."""
        return self.buffer == other.buffer and self.start < other.stop and other.start < self.stop

    def crosses(self, other: Access) -> bool:
        """Whether two threads may meet here."""
        return self.overlaps(other) and (self.share != other.share or self.share == _ALL)


@dataclass(slots=True)
class _Effects:
    """What one or several instructions read and write."""

    reads: list[Access] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)

    def meets(self, later: _Effects, how: Callable[[Access, Access], bool]) -> bool:
        """Whether `later` reads or writes what these write, or writes what these read."""
        written = any(how(old, new) for old in self.writes for new in (*later.reads, *later.writes))
        return written or any(how(old, new) for old in self.reads for new in later.writes)

    def add(self, other: _Effects) -> None:
        self.reads += other.reads
        self.writes += other.writes


def route(draft: Draft) -> None:
    """Orders `draft.instrs` and inserts BARRIERs, one at the end included: a step is over when every thread is done."""
    pending = [_Pending(i, *(_effects(i, draft.buffers, small) for small in (False, True))) for i in draft.instrs]
    out: list[Instr] = []
    large, small = _Effects(), _Effects()  # since the last barrier of each kind of step
    while pending:
        index = _next_free(pending, large, small)
        if index is None:
            index, first = 0, pending[0]
            passed = not small.meets(first.small, Access.crosses)
            out.append(Instr(Op.BARRIER, layer=first.instr.layer, flags=Flag.LARGE if passed else Flag.NONE))
            large, small = _Effects(), small if passed else _Effects()
        taken = pending.pop(index)
        large.add(taken.large)
        small.add(taken.small)
        out.append(taken.instr)
    out.append(Instr(Op.BARRIER))
    draft.instrs = out


class _Pending(NamedTuple):
    """An instruction, and what it touches in a large and in a small step."""

    instr: Instr
    large: _Effects
    small: _Effects


def _next_free(pending: list[_Pending], large: _Effects, small: _Effects) -> int | None:
    """The first pending instruction that needs no barrier in any step and may overtake those before it."""
    skipped = _Effects()
    for i, next_ in enumerate(pending[:_LOOKAHEAD]):
        waits = large.meets(next_.large, Access.crosses) or small.meets(next_.small, Access.crosses)
        if not waits and not skipped.meets(next_.large, Access.overlaps):
            return i
        skipped.add(next_.large)
    return None


def _effects(instr: Instr, buffers: list[Buffer], small: bool) -> _Effects:
    """What an instruction reads and writes, in a small or a large step."""
    share = _share(instr, buffers, small)
    everyone = share == _OWN or instr.op in (Op.MATMUL, Op.GATHER, Op.ATTENTION, Op.SAMPLE)

    def read(buffer: int, start: int, stop: int) -> Access:
        own = small and buffers[buffer].own
        return Access(buffer, start, stop, _OWN if own else _ALL if everyone or share == _NEWEST else share)

    reads = [read(*access) for access in _columns_read(instr, buffers)]
    writes = []
    if instr.dst != NONE:
        start, stop = _columns_written(instr, buffers)
        writes.append(Access(instr.dst, start, stop, share))
    if instr.flags & Flag.ACCUMULATE:
        reads += writes
    if instr.op is Op.KV_STORE:
        writes.append(Access(_KV - instr.param("layer"), 0, 1, share))
    if instr.op is Op.ATTENTION:
        reads.append(Access(_KV - instr.param("layer"), 0, 1, _NEWEST if small else _ALL))
    return _Effects(reads, writes)


def _columns_read(instr: Instr, buffers: list[Buffer]) -> list[tuple[int, int, int]]:
    """(buffer, first column, end) of what the instruction reads."""
    p = instr.param
    match instr.op:
        case Op.RMSNORM:
            return [(instr.a, p("start"), p("start") + p("columns"))]
        case Op.ROPE | Op.ATTENTION:
            return [(instr.a, p("start"), p("start") + p("heads") * p("head_dim"))]
        case Op.KV_STORE:
            width = p("kv_heads") * p("head_dim")
            return [(instr.a, p("k_start"), p("k_start") + width), (instr.b, p("v_start"), p("v_start") + width)]
        case Op.GLU:
            return [(instr.a, p(x), p(x) + p("columns")) for x in ("gate", "up")]
        case _:
            return [(buffer, 0, buffers[buffer].width) for buffer in (instr.a, instr.b) if buffer != NONE]


def _columns_written(instr: Instr, buffers: list[Buffer]) -> tuple[int, int]:
    p = instr.param
    match instr.op:
        case Op.MATMUL:
            return p("start"), p("start") + p("rows")
        case Op.RMSNORM:
            return p("start"), p("start") + p("columns")
        case Op.ROPE:
            return p("start"), p("start") + p("heads") * p("head_dim")
        case Op.GLU:
            return 0, p("columns")
        case _:
            return 0, buffers[instr.dst].width


def _share(instr: Instr, buffers: list[Buffer], small: bool) -> tuple[str, int]:
    if small and instr.op is Op.KV_STORE:
        return _NEWEST
    if small and instr.dst != NONE and buffers[instr.dst].own:
        return _OWN
    partition = instr.partition
    if partition is Partition.COLUMNS:
        return "columns", instr.param("rows" if instr.op is Op.MATMUL else "columns")
    if partition is Partition.HEADS:
        return "heads", 0
    sampled = buffers[instr.dst if instr.dst != NONE else instr.a].rows == "samples"
    return ("samples", 0) if sampled else ("tokens", 0)
