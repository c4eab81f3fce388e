"""route: where a wafer has collectives the host has barriers, where data crosses threads and only there.

Two instructions need no barrier between them if every row and column that both touch is touched by the same thread:
same partition, same kind of rows, and for column shares the same number of columns. Independent instructions change
places when that saves a barrier: the three products of an attention run back to back. Work is shared out differently in
small steps (program/host/instruction.py), so every barrier is judged twice; what only large steps need is marked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from undiced.compiler.host.draft import Draft
from undiced.program import Buffer
from undiced.program.host.expert_instruction import ExpertGlu, ExpertSum
from undiced.program.host.field import Partition
from undiced.program.host.instr import Span
from undiced.program.host.instruction import Attention, Barrier, Gather, Instruction, KvStore, Matmul, Sample
from undiced.program.host.latent_instruction import HeadMatmul, LatentAttention, LatentStore

_KV = -2  # a layer's cache, as if it were a buffer: _KV - layer
_LOOKAHEAD = 12  # instructions that may be drawn forward; a layer has about twenty
# Those that read columns or rows that other threads made.
_READS_OTHERS = (Matmul, Gather, Attention, Sample, ExpertGlu, ExpertSum, HeadMatmul, LatentAttention)
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
        """Whether both touch the same columns of one buffer."""
        return self.start < other.stop and other.start < self.stop

    def crosses(self, other: Access) -> bool:
        """Whether two threads may meet here."""
        return (self.share != other.share or self.share == _ALL) and self.overlaps(other)


class _Effects(NamedTuple):
    """What an instruction reads and writes."""

    reads: list[Access]
    writes: list[Access]


class _Touched:
    """What several instructions read and write, by buffer."""

    __slots__ = ("_reads", "_writes")

    def __init__(self) -> None:
        self._reads: dict[int, list[Access]] = {}
        self._writes: dict[int, list[Access]] = {}

    def meets(self, later: _Effects, how: Callable[[Access, Access], bool]) -> bool:
        """Whether `later` reads or writes what these write, or writes what these read."""
        reads, writes = self._reads, self._writes
        for new in later.reads:
            for old in writes.get(new.buffer, ()):
                if how(old, new):
                    return True
        for new in later.writes:
            for old in (*writes.get(new.buffer, ()), *reads.get(new.buffer, ())):
                if how(old, new):
                    return True
        return False

    def add(self, other: _Effects) -> None:
        for own, more in ((self._reads, other.reads), (self._writes, other.writes)):
            for access in more:
                own.setdefault(access.buffer, []).append(access)


def route(draft: Draft) -> None:
    """Orders `draft.instrs` and inserts BARRIERs, one at the end included: a step is over when every thread is done."""
    pending = [_Pending(i, *(_effects(i, draft.buffers, small) for small in (False, True))) for i in draft.instrs]
    out: list[Instruction] = []
    large, small = _Touched(), _Touched()  # since the last barrier of each kind of step
    while pending:
        index = _next_free(pending, large, small)
        if index is None:  # small steps wait as seldom as they can
            index = _next_free(pending, _Touched(), small)
            passed = index is not None
            index = index or 0
            out.append(Barrier(layer=pending[index].instr.layer, large=passed))
            large, small = _Touched(), small if passed else _Touched()
        taken = pending.pop(index)
        large.add(taken.large)
        small.add(taken.small)
        out.append(taken.instr)
    out.append(Barrier())
    draft.instrs = out


class _Pending(NamedTuple):
    """An instruction, and what it touches in a large and in a small step."""

    instr: Instruction
    large: _Effects
    small: _Effects


def _next_free(pending: list[_Pending], large: _Touched, small: _Touched) -> int | None:
    """The first pending instruction that needs no barrier in any step and may overtake those before it."""
    skipped = _Touched()
    for i, next_ in enumerate(pending[:_LOOKAHEAD]):
        waits = large.meets(next_.large, Access.crosses) or small.meets(next_.small, Access.crosses)
        if not waits and not skipped.meets(next_.large, Access.overlaps):
            return i
        skipped.add(next_.large)
    return None


def _effects(instr: Instruction, buffers: list[Buffer], small: bool) -> _Effects:
    """What an instruction reads and writes, in a small or a large step."""
    share = _share(instr, buffers, small)
    everyone = share in (_OWN, _NEWEST) or isinstance(instr, _READS_OTHERS)

    def read(span: Span) -> Access:
        own = small and buffers[span.buffer].own
        return _access(span, _OWN if own else _ALL if everyone else share)

    reads = [read(span) for span in instr.reads()]
    writes = [_access(span, share) for span in instr.writes()]
    if instr.adds:
        reads += writes
    if isinstance(instr, (KvStore, LatentStore)):
        writes.append(Access(_KV - instr.kv_layer, 0, 1, share))
    if isinstance(instr, Attention):
        reads.append(Access(_KV - instr.kv_layer, 0, 1, _NEWEST if small else _ALL))
    if isinstance(instr, LatentAttention):  # all heads read the row that one thread stores
        reads.append(Access(_KV - instr.kv_layer, 0, 1, _ALL))
    return _Effects(reads, writes)


def _access(span: Span, share: tuple[str, int]) -> Access:
    return Access(span.buffer, span.start, span.start + span.columns, share)


def _share(instr: Instruction, buffers: list[Buffer], small: bool) -> tuple[str, int]:
    if small and isinstance(instr, (KvStore, LatentStore)):
        return _NEWEST
    written = instr.writes()
    if small and written and buffers[written[0].buffer].own:
        return _OWN
    partition = instr.partition
    if isinstance(instr, ExpertGlu):
        return "columns of each expert", instr.rows
    if partition is Partition.COLUMNS:
        return "columns", written[0].columns
    if partition is Partition.HEADS:
        return "heads", 0
    sampled = buffers[(written or instr.reads())[0].buffer].rows == "samples"
    return ("samples", 0) if sampled else ("tokens", 0)
