"""How long values of a stream are needed: after which instruction an array can be let go."""

from __future__ import annotations

from undiced.program.wafer.operands import reads, writes
from undiced.program.wafer.program import Stream
from undiced.program.wafer.value import Kind
from undiced.sim.mesh.declarations import Declarations

OUTPUTS = ("logits", "token")  # values that a step ends with


def last_uses(stream: Stream, values: Declarations) -> tuple[tuple[str, ...], ...]:
    """For each instruction, the values of the stream's own that nobody needs after it."""
    kept = {values.holder(name).name for name in OUTPUTS if name in values}
    last: dict[str, int] = {}
    for index, instruction in enumerate(stream.instructions):
        for name in (*reads(instruction), *writes(instruction)):
            holder = values.holder(name)
            if holder.kind is Kind.ACTIVATION and holder.name not in kept:
                last[holder.name] = index
    ended: list[list[str]] = [[] for _ in stream.instructions]
    for name, index in last.items():
        ended[index].append(name)
    return tuple(map(tuple, ended))
