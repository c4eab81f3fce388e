"""The instruction table of host programs: one class a tile-level instruction, its fields named and typed.

A program is symbolic in tokens: an instruction acts on all `T` token rows of a step (or the `R` sampled rows).

A step is small if it has at most SMALL_STEP_TOKENS tokens, each of a sequence of its own: a decode step of few users.
Sharing out one or two rows only makes cores wait for each other, so in a small step every core does all rows of TOKENS
and SAMPLES instructions whose destination is a buffer of its own (`Buffer.own`), KvStore's (sequence, kv head) items
are stored by the core that attends to them, and barriers that only shared rows need (`Barrier.large`) are passed.

Nothing else says what fields there are: the 64-byte record, the text, the checks and the C++ mirror follow from here.
"""

from __future__ import annotations

from typing import get_args

from undiced.program.host.expert_instruction import ExpertGlu, ExpertSum, Route
from undiced.program.host.field import (
    NONE,
    Activation,
    Codes,
    Constant,
    Count,
    Factor,
    Floats,
    KvIndex,
    Matrix,
    NotNegative,
    Offset,
    Partition,
    Positive,
    RopeStyle,
    Vector,
)
from undiced.program.host.instr import Instr, Shape, Span
from undiced.program.host.latent_instruction import HeadMatmul, LatentAttention, LatentStore


class Barrier(Instr, frozen=True, kw_only=True, tag=0):
    """wait for every core of the team; `large`: a small step passes it"""

    split = Partition.ALL
    large: bool = False


class Embed(Instr, frozen=True, kw_only=True, tag=1):
    """dst[t, :columns] (+)= table[tokens[t], or positions[t]] * scale"""

    row_kind = "tokens"
    dst: Floats
    table: Matrix
    columns: Count
    scale: float
    accumulate: bool = False
    positions: bool = False

    @property
    def adds(self) -> bool:
        return self.accumulate

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.columns),)

    def shapes(self) -> tuple[Shape, ...]:
        return (Shape(self.table, 0, self.columns),)


class Rmsnorm(Instr, frozen=True, kw_only=True, tag=2):
    """dst[:, start:start+columns] = each group of `width` columns of a, over its root mean square, times weight"""

    dst: Floats
    a: Floats
    weight: Vector = NONE
    start: Offset
    columns: Count
    width: Count
    eps: NotNegative

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, self.start, self.columns),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, self.start, self.columns),)

    def shapes(self) -> tuple[Shape, ...]:
        return (Shape(self.weight, 1, self.width),)

    def fault(self) -> str:
        return f"{self.columns} columns are no multiple of width {self.width}" if self.columns % self.width else ""


class Layernorm(Instr, frozen=True, kw_only=True, tag=3):
    """dst = (a - mean) / sqrt(variance + eps) * weight + bias"""

    dst: Floats
    a: Floats
    weight: Vector = NONE
    bias: Vector = NONE
    columns: Count
    eps: NotNegative

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, self.columns),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.columns),)

    def shapes(self) -> tuple[Shape, ...]:
        return Shape(self.weight, 1, self.columns), Shape(self.bias, 1, self.columns)


class Quantize(Instr, frozen=True, kw_only=True, tag=4):
    """dst = blocks of 32 columns of a, int8 or int16, each with scale max|a|/127 or max|a|/32767"""

    dst: Codes
    a: Floats
    columns: Count
    by: Partition

    @property
    def partition(self) -> Partition:
        """By columns where a's columns are made by the cores that own them, else by rows."""
        return self.by

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, self.columns),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.columns),)

    def fault(self) -> str:
        fits = self.by in (Partition.TOKENS, Partition.COLUMNS)
        return "" if fits else f"rows and columns can't be shared out by {self.by!r}"


class Matmul(Instr, frozen=True, kw_only=True, tag=5):
    """dst[:, start:start+rows] (+)= a[:, :columns] @ weight.T (+ bias)"""

    split = Partition.COLUMNS
    dst: Floats
    a: Factor
    weight: Matrix
    bias: Vector = NONE
    start: Offset
    rows: Count
    columns: Count
    accumulate: bool = False

    @property
    def adds(self) -> bool:
        return self.accumulate

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, self.columns),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, self.start, self.rows),)

    def shapes(self) -> tuple[Shape, ...]:
        return Shape(self.weight, self.rows, self.columns), Shape(self.bias, 1, self.rows)

    def fault(self) -> str:
        return "dst is a" if self.dst == self.a else ""


class Rope(Instr, frozen=True, kw_only=True, tag=6):
    """dst = a[:, start:start+heads*head_dim] with `dims` columns of each head, from `offset` on, rotated by position;
    constant: inverse frequencies, divided by `factors`; cosine and sine times magnitude"""

    dst: Floats
    a: Floats
    factors: Vector = NONE
    start: Offset
    heads: Count
    head_dim: Count
    offset: Offset = 0
    dims: Count
    style: RopeStyle
    constant: Constant
    magnitude: Positive

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, self.start, self.heads * self.head_dim),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, self.start, self.heads * self.head_dim),)

    def shapes(self) -> tuple[Shape, ...]:
        return (Shape(self.factors, 1, self.dims // 2),)

    def fault(self) -> str:
        fits = self.dims % 2 == 0 and self.offset + self.dims <= self.head_dim
        return "" if fits else f"{self.dims} of {self.head_dim} columns can't be rotated in pairs"


class KvStore(Instr, frozen=True, kw_only=True, tag=7):
    """append k[:, k_start:] and v[:, v_start:] to the layer's KV cache"""

    row_kind = "tokens"
    k: Floats
    v: Floats
    kv_layer: KvIndex
    k_start: Offset
    v_start: Offset
    kv_heads: Count
    head_dim: Count

    def reads(self) -> tuple[Span, ...]:
        width = self.kv_heads * self.head_dim
        return Span(self.k, self.k_start, width), Span(self.v, self.v_start, width)


class Attention(Instr, frozen=True, kw_only=True, tag=8):
    """dst = causal attention of q[:, start:] over the layer's KV cache within `window` (0: all), or within the aligned
    `chunk` of positions that the query's lies in (0: none); softcap 0: none; sinks: one logit a head"""

    split = Partition.HEADS
    dst: Floats
    q: Floats
    sinks: Vector = NONE
    kv_layer: KvIndex
    start: Offset
    heads: Count
    kv_heads: Count
    head_dim: Count
    window: Offset
    chunk: Offset = 0
    scale: float
    softcap: NotNegative

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.q, self.start, self.heads * self.head_dim),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.heads * self.head_dim),)

    def shapes(self) -> tuple[Shape, ...]:
        return (Shape(self.sinks, 1, self.heads),)

    def fault(self) -> str:
        if self.heads % self.kv_heads:
            return f"{self.heads} heads are no multiple of {self.kv_heads} kv_heads"
        if self.window and self.chunk:
            return "it has a window and a chunk"
        return "dst is q" if self.dst == self.q else ""


class Glu(Instr, frozen=True, kw_only=True, tag=9):
    """dst[:, :columns] = activation(a[:, gate:gate+columns]) * a[:, up:up+columns]"""

    split = Partition.COLUMNS
    dst: Floats
    a: Floats
    gate: Offset
    up: Offset
    columns: Count
    activation: Activation

    def reads(self) -> tuple[Span, ...]:
        return Span(self.a, self.gate, self.columns), Span(self.a, self.up, self.columns)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.columns),)

    def fault(self) -> str:
        return _pointwise_fault(self.activation)


def _pointwise_fault(activation: Activation) -> str:
    return "SWIGLU_OSS is for experts alone" if activation is Activation.SWIGLU_OSS else ""


class _Pointwise(Instr, frozen=True, kw_only=True):
    """dst[:, :columns] = a function of a[:, :columns]"""

    dst: Floats
    a: Floats
    columns: Count

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, self.columns),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.columns),)


class Activate(_Pointwise, frozen=True, kw_only=True, tag=10):
    """dst = activation(a)"""

    split = Partition.COLUMNS
    activation: Activation

    def fault(self) -> str:
        return _pointwise_fault(self.activation)


class Add(_Pointwise, frozen=True, kw_only=True, tag=11):
    """dst = a + b"""

    b: Floats

    def reads(self) -> tuple[Span, ...]:
        return Span(self.a, 0, self.columns), Span(self.b, 0, self.columns)


class Scale(_Pointwise, frozen=True, kw_only=True, tag=12):
    """dst = a * factor"""

    factor: float


class Softcap(_Pointwise, frozen=True, kw_only=True, tag=13):
    """dst = cap * tanh(a / cap)"""

    split = Partition.COLUMNS
    cap: Positive


class Gather(_Pointwise, frozen=True, kw_only=True, tag=14):
    """dst[r] = a[sample_rows[r]]"""

    split = Partition.SAMPLES
    row_kind = "gathered"


class Sample(Instr, frozen=True, kw_only=True, tag=15):
    """tokens[r] ~ distribution of a[r, :vocab] under the row's sampling parameters"""

    split = Partition.SAMPLES
    row_kind = "samples"
    a: Floats
    vocab: Count

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, self.vocab),)


class PositionScale(Instr, frozen=True, kw_only=True, tag=22):
    """dst[t, start:start+columns] = a * (1 + scale * log(1 + floor((position of t + 1) / floor)))"""

    dst: Floats
    a: Floats
    start: Offset
    columns: Count
    floor: Count
    scale: float

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, self.start, self.columns),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, self.start, self.columns),)


# Never renumber tags: saved programs hold them.
Instruction = (
    Barrier | Embed | Rmsnorm | Layernorm | Quantize | Matmul | Rope | KvStore | Attention | Glu | Activate | Add
    | Scale | Softcap | Gather | Sample | Route | ExpertGlu | ExpertSum | HeadMatmul | LatentStore | LatentAttention
    | PositionScale
)  # fmt: skip
INSTRUCTIONS: tuple[type[Instr], ...] = get_args(Instruction)
