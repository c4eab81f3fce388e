"""Work: what an engine is given to do when it is measured, and what the least of it is that any engine must do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.program.host.instruction import Attention
from undiced.program.host.latent_instruction import LatentAttention

if TYPE_CHECKING:
    from undiced.program import HostProgram


@dataclass(frozen=True, slots=True)
class Work:
    """Steps that are measured together.

    Attributes:
        sequences: that run together. context: positions that each of them has before.
        new: tokens of each in a step. steps: how many follow each other. drawn: whether each ends with a drawn token.
    """

    name: str
    sequences: int
    context: int
    new: int
    steps: int
    drawn: bool = True

    @property
    def tokens(self) -> int:
        """Of all steps."""
        return self.sequences * self.new * self.steps

    @property
    def positions(self) -> int:
        """That a sequence reaches."""
        return self.context + self.new * self.steps


WORKS = (
    Work("decode", 1, 0, 1, 64),
    Work("decode at 1,024", 1, 1024, 1, 48),
    Work("decode at 4,096", 1, 4096, 1, 32),
    Work("prefill 512", 1, 0, 512, 1, drawn=False),
    Work("prefill 4,096", 1, 0, 512, 8, drawn=False),
    Work("8 together", 8, 64, 1, 32),
    Work("32 together", 32, 64, 1, 16),
)


@dataclass(frozen=True, slots=True)
class Least:
    """What a work takes at the least: bytes read from memory, and operations of products with weights, keys and values
    (an addition and a multiplication each). Weights are read once a step.
    """

    nbytes: float
    operations: float

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.operations / self.nbytes

    def seconds(self, bytes_per_s: float, operations_per_s: float) -> float:
        """The roofline: what it takes where both limits are reached."""
        return max(self.nbytes / bytes_per_s, self.operations / operations_per_s)


def least(work: Work, program: HostProgram) -> Least:
    """Of a program whose weights lie in main memory."""
    macs = program.fact("layer_matmul_macs_per_token")
    head = program.fact("matmul_macs_per_token") - macs
    products = macs * work.tokens + (head * work.sequences * work.steps if work.drawn else 0.0)
    cached = sum(_cached(work, program, at) for at in range(work.steps))
    operations = 2 * (products + _attended(work, program))
    return Least(program.fact("matmul_bytes_per_token") * work.steps + cached, operations)


def _cached(work: Work, program: HostProgram, step: int) -> float:
    """Bytes of keys and values that a step reads: each position once, as far as the layers look back."""
    seen = work.context + (step + 1) * work.new
    positions = (min(seen, layer.window + work.new - 1) if layer.window else seen for layer in program.kv)
    each = (layer.position_bytes for layer in program.kv)
    return work.sequences * float(sum(count * size for count, size in zip(positions, each, strict=True)))


def _attended(work: Work, program: HostProgram) -> float:
    """Multiplications of queries with keys and of weights with values: a token sees itself and what comes before it, as
    far as the layer looks back. Where only rows that are drawn are needed, others don't count.
    """
    alike = Counter[tuple[bool, int, int]]()
    for i in program.instrs:
        if isinstance(i, (Attention, LatentAttention)):
            every = program.buffers[i.dst].rows == "tokens"
            if isinstance(i, LatentAttention):
                alike[every, 0, 0] += i.heads * (2 * i.rank + i.rope)
            else:
                alike[every, i.window, i.chunk] += i.heads * 2 * i.head_dim
    all_rows = range(work.context, work.positions)
    drawn_rows = all_rows[work.new - 1 :: work.new] if work.drawn else ()
    macs = 0
    for (every, window, chunk), each in alike.items():
        asking = all_rows if every else drawn_rows
        seen = (min(at + 1, window or at + 1, at % chunk + 1 if chunk else at + 1) for at in asking)
        macs += each * sum(seen)
    return float(work.sequences * macs)
