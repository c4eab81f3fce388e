"""How long values of a stream are needed: the one notion of executors, of who plans memory, and of who checks it."""

from __future__ import annotations

from collections.abc import Callable

from undiced.program.wafer.instruction import MOVERS, Instruction, Transfer
from undiced.program.wafer.operands import reads, writes
from undiced.program.wafer.program import Stream
from undiced.program.wafer.value import Kind, Value

OUTPUTS = ("logits", "token")  # values that a step ends with
Holder = Callable[[str], Value]  # the value in whose memory another lies


def own_reads(instruction: Instruction) -> tuple[str, ...]:
    """What it reads of its own region: a transfer reads the one before."""
    return () if isinstance(instruction, Transfer) else reads(instruction)


def lifetimes(stream: Stream, holder: Holder) -> dict[str, tuple[int, int]]:
    """The first and the last instruction that needs each value with memory of its own, by index.

    A mover may still send its operand while later instructions run: that lives until its result is read, or beyond
    the end; but not in a stream whose cores wait for it.
    """
    found: dict[str, tuple[int, int]] = {}
    sending: dict[str, set[str]] = {}  # by what a mover makes: what it sends
    end = len(stream.instructions)
    for index, instruction in enumerate(stream.instructions):
        read = [holder(name).name for name in own_reads(instruction)]
        written = [holder(name).name for name in writes(instruction)]
        sent = [name for result in read for name in sending.pop(result, ())]
        for name in (*read, *written, *sent):
            found[name] = found[name][0] if name in found else index, index
        if isinstance(instruction, MOVERS) and not stream.synchronous:
            sending.setdefault("".join(written), set()).update(read)
    outputs = {holder(value.name).name for value in stream.values if value.name in OUTPUTS} & set(found)
    for name in outputs.union(*sending.values()):
        found[name] = found[name][0], end
    return found


def last_uses(stream: Stream, holder: Holder) -> tuple[tuple[str, ...], ...]:
    """For each instruction, the values of the stream's own that nobody needs after it."""
    kept = {holder(value.name).name for value in stream.values if value.name in OUTPUTS}
    ended: list[list[str]] = [[] for _ in stream.instructions]
    for name, (_, last) in lifetimes(stream, holder).items():
        if holder(name).kind is Kind.ACTIVATION and name not in kept:
            ended[min(last, len(ended) - 1)].append(name)
    return tuple(map(tuple, ended))
