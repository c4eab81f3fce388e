"""route and schedule: where a wafer has collectives the host has barriers, where data crosses threads and only there.

Two instructions need no barrier between them if every row and column that both touch is touched by the same thread:
same partition, same kind of rows, and for column shares the same number of columns. Independent instructions change
places when that saves a barrier: the three products of an attention run back to back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from undiced.compiler.host.draft import Draft
from undiced.program import INSTRUCTIONS, Buffer, Flag, Instr, Op, Partition
from undiced.program.isa import NONE

_KV = -2  # a layer's cache, as if it were a buffer: _KV - layer
_LOOKAHEAD = 12  # instructions that may be drawn forward; a layer has about twenty
_ALL = ("all", 0)  # any thread may touch any of it


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
    pending = [(instr, _Effects(*accesses(instr, draft.buffers))) for instr in draft.instrs]
    out: list[Instr] = []
    since = _Effects()
    while pending:
        index = _next_free(pending, since)
        if index is None:
            out.append(Instr(Op.BARRIER, layer=pending[0][0].layer))
            since, index = _Effects(), 0
        instr, effects = pending.pop(index)
        since.add(effects)
        out.append(instr)
    out.append(Instr(Op.BARRIER))
    draft.instrs = out


def _next_free(pending: list[tuple[Instr, _Effects]], since: _Effects) -> int | None:
    """The first pending instruction that needs no barrier and may overtake those before it."""
    skipped = _Effects()
    for i, (_, effects) in enumerate(pending[:_LOOKAHEAD]):
        if not since.meets(effects, Access.crosses) and not skipped.meets(effects, Access.overlaps):
            return i
        skipped.add(effects)
    return None


def accesses(instr: Instr, buffers: list[Buffer]) -> tuple[list[Access], list[Access]]:
    """What an instruction reads and writes."""
    share = _share(instr, buffers)
    whole = _ALL if instr.op in (Op.MATMUL, Op.GATHER, Op.ATTENTION, Op.SAMPLE) else share
    reads = [Access(instr.a, start, stop, whole) for start, stop in _columns_read(instr, buffers)]
    if instr.b != NONE:
        reads.append(Access(instr.b, 0, buffers[instr.b].width, share))
    writes = []
    if instr.dst != NONE:
        start, stop = _columns_written(instr, buffers)
        writes.append(Access(instr.dst, start, stop, share))
    if instr.flags & Flag.ACCUMULATE:
        reads += writes
    if instr.op is Op.KV_STORE:
        writes.append(Access(_KV - instr.param("layer"), 0, 1, share))
    if instr.op is Op.ATTENTION:
        reads.append(Access(_KV - instr.param("layer"), 0, 1, _ALL))
    return reads, writes


def _columns_read(instr: Instr, buffers: list[Buffer]) -> list[tuple[int, int]]:
    """Column ranges of `a` that the instruction reads."""
    if instr.a == NONE:
        return []
    p = instr.param
    match instr.op:
        case Op.RMSNORM:
            return [(p("start"), p("start") + p("columns"))]
        case Op.ROPE:
            return [(p("start"), p("start") + p("heads") * p("head_dim"))]
        case Op.KV_STORE:
            width = p("kv_heads") * p("head_dim")
            return [(p("k_start"), p("k_start") + width), (p("v_start"), p("v_start") + width)]
        case Op.ATTENTION:
            return [(p("start"), p("start") + p("heads") * p("head_dim"))]
        case Op.GLU:
            return [(p("gate"), p("gate") + p("columns")), (p("up"), p("up") + p("columns"))]
        case _:
            return [(0, buffers[instr.a].width)]


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


def _share(instr: Instr, buffers: list[Buffer]) -> tuple[str, int]:
    partition = INSTRUCTIONS[instr.op].partition
    if instr.op is Op.QUANTIZE:
        partition = Partition(instr.param("partition"))
    if partition is Partition.COLUMNS:
        return "columns", instr.param("rows" if instr.op is Op.MATMUL else "columns")
    if partition is Partition.HEADS:
        return "heads", 0
    sampled = buffers[instr.dst if instr.dst != NONE else instr.a].rows == "samples"
    return ("samples", 0) if sampled else ("tokens", 0)
