"""plan_memory: virtual buffers that are never alive together share one buffer.

A buffer lives from its first instruction to one beyond its last, and to two beyond if it is shared: a thread may write
the next value while another still reads the last one. For the same reason what was free longest is taken first. Buffers
share only with equals (same width, rows, kind): layers are alike, so this already brings the number down to one layer's
worth.

Buffers that only row-wise instructions write are each core's own in small steps: no core waits for another's rows.
"""

from __future__ import annotations

from msgspec import structs
from msgspec.structs import replace

from undiced.compiler.host.draft import Draft
from undiced.program import Buffer
from undiced.program.host.field import Partition
from undiced.program.host.instruction import Instruction
from undiced.program.host.table import operands_of

Key = tuple[int, str, str, bool]


def plan_memory(draft: Draft) -> None:
    """Maps virtual buffers to as few real ones as a first-fit over their lifetimes finds, and rewrites instructions."""
    _mark_own(draft)
    last = {buffer: i for i, instr in enumerate(draft.instrs) for buffer in _touched(instr)}
    real: dict[int, int] = {}
    free: dict[Key, list[int]] = {}
    ending: dict[int, list[int]] = {}
    for buffer, index in last.items():
        ending.setdefault(index + (1 if draft.virtual[buffer].own else 2), []).append(buffer)
    for i, instr in enumerate(draft.instrs):
        for buffer in _touched(instr):
            if buffer not in real:
                real[buffer] = _take(draft, free, draft.virtual[buffer])
        for buffer in ending.get(i, ()):
            free.setdefault(_key(draft.virtual[buffer]), []).append(real[buffer])
        draft.instrs[i] = _renamed(instr, real)


def _mark_own(draft: Draft) -> None:
    by_rows = (Partition.TOKENS, Partition.SAMPLES)
    shared = {span.buffer for instr in draft.instrs if instr.partition not in by_rows for span in instr.writes()}
    draft.virtual = [replace(buffer, own=i not in shared) for i, buffer in enumerate(draft.virtual)]


def _touched(instr: Instruction) -> tuple[int, ...]:
    """The buffers that an instruction reads or writes."""
    return tuple(dict.fromkeys(getattr(instr, name) for name in operands_of(type(instr))))


def _take(draft: Draft, free: dict[Key, list[int]], like: Buffer) -> int:
    spare = free.get(_key(like))
    if spare:
        return spare.pop(0)
    draft.buffers.append(like)
    return len(draft.buffers) - 1


def _key(buffer: Buffer) -> Key:
    return buffer.width, buffer.rows, buffer.kind, buffer.own


def _renamed(instr: Instruction, real: dict[int, int]) -> Instruction:
    return structs.replace(instr, **{name: real[getattr(instr, name)] for name in operands_of(type(instr))})
