"""The instruction table: one row a tile-level instruction, and the one definition of its 64-byte encoding.

A program is symbolic in tokens: an instruction acts on all `T` token rows of a step (or the `R` sampled rows).

A step is small if it has at most SMALL_STEP_TOKENS tokens, each of a sequence of its own: a decode step of few users.
Sharing out one or two rows only makes cores wait for each other, so in a small step every core does all rows of TOKENS
and SAMPLES instructions whose destination is a buffer of its own (`Buffer.own`), KV_STORE's (sequence, kv head) items
are stored by the core that attends to them, and barriers that only shared rows need (Flag.LARGE) are passed.

The table names every operand; `dump` and `verify` are driven by it, and a test holds the C++ mirror equal to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag


class Op(IntEnum):
    """Instruction codes. Never renumber: saved programs hold them."""

    BARRIER = 0
    EMBED = 1
    RMSNORM = 2
    LAYERNORM = 3
    QUANTIZE = 4
    MATMUL = 5
    ROPE = 6
    KV_STORE = 7
    ATTENTION = 8
    GLU = 9
    ACTIVATE = 10
    ADD = 11
    SCALE = 12
    SOFTCAP = 13
    GATHER = 14
    SAMPLE = 15
    # wafer only
    VECTOR = 32
    MULTICAST = 33
    REDUCE = 34
    ALLREDUCE = 35
    SHIFT = 36
    TRANSFER = 37
    TASK = 38


class Flag(IntFlag):
    """Modifiers of an instruction."""

    NONE = 0
    ACCUMULATE = 1  # add to the destination instead of overwriting it
    POSITIONS = 2  # EMBED looks up the tokens' positions instead of their ids
    LARGE = 4  # BARRIER of large steps only: a small step passes it


class Partition(IntEnum):
    """How an instruction's work is split over the cores that run a stream."""

    ALL = 0  # every core does all of it (or none: barriers)
    TOKENS = 1  # token rows in equal contiguous shares; in a small step see above
    COLUMNS = 2  # columns in shares that are multiples of SHARD_GRANULE, the same shares as a MATMUL's rows
    HEADS = 3  # (sequence, kv head) items
    SAMPLES = 4  # sampled rows, as TOKENS


class Activation(IntEnum):
    """Pointwise functions of GLU and ACTIVATE."""

    SILU = 0
    GELU = 1  # exact, by erf
    GELU_TANH = 2
    RELU = 3


SMALL_STEP_TOKENS = 2
SHARD_GRANULE = 32  # rows of a MATMUL, columns of a COLUMNS instruction: one activation block, two row tiles
INSTR_BYTES = 64
INSTR_FORMAT = "<HH4i2i7i2f"  # op, flags, dst a b c, weight bias, p[7], f[2]
NONE = -1


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one instruction.

    Attributes:
        meaning: one line of mathematics; capitals are weights, lower case are buffers.
        partition: how the work is split over cores.
        operands: which of dst, a, b, c, weight, bias are used.
        ints: names of p[0..]; floats: names of f[0..].
        machines: kinds of machine that may carry it.
    """

    meaning: str
    partition: Partition
    operands: tuple[str, ...]
    ints: tuple[str, ...] = ()
    floats: tuple[str, ...] = ()
    machines: frozenset[str] = frozenset({"host", "wafer"})


_HOST = frozenset({"host"})
_WAFER = frozenset({"wafer"})

INSTRUCTIONS: dict[Op, Row] = {
    Op.BARRIER: Row("wait for every core of the region", Partition.ALL, ()),
    Op.EMBED: Row(
        "dst[t] (+)= W[tokens[t] or positions[t]] * scale", Partition.TOKENS, ("dst", "weight"), (), ("scale",)
    ),
    Op.RMSNORM: Row(
        "dst[:, start:start+columns] = each group of width columns of a, over its root mean square, times W",
        Partition.TOKENS,
        ("dst", "a", "weight"),
        ("start", "columns", "width"),
        ("eps",),
    ),
    Op.LAYERNORM: Row(
        "dst = (a - mean) / sqrt(var + eps) * W + B",
        Partition.TOKENS,
        ("dst", "a", "weight", "bias"),
        ("columns",),
        ("eps",),
    ),
    Op.QUANTIZE: Row(
        "dst = int8 blocks of 32 columns of a, each with scale max|a|/127; twice for a destination of two planes",
        Partition.TOKENS,
        ("dst", "a"),
        ("columns", "partition"),
        (),
        _HOST,
    ),
    Op.MATMUL: Row(
        "dst[:, start:start+rows] (+)= a @ W.T (+ B)",
        Partition.COLUMNS,
        ("dst", "a", "weight", "bias"),
        ("start", "rows", "columns"),
    ),
    Op.ROPE: Row(
        "dst = a[:, start:start+heads*head_dim] with the first dims columns of each head rotated by position; "
        "constant = inverse frequencies, W (optional) divides them",
        Partition.TOKENS,
        ("dst", "a", "weight"),
        ("start", "heads", "head_dim", "dims", "style", "constant"),
        ("magnitude",),
    ),
    Op.KV_STORE: Row(
        "append a[:, k_start:] and b[:, v_start:] to the layer's KV cache",
        Partition.TOKENS,
        ("a", "b"),
        ("layer", "k_start", "v_start", "kv_heads", "head_dim"),
    ),
    Op.ATTENTION: Row(
        "dst = causal attention of a[:, start:] over the layer's KV cache within window (0 = all); "
        "softcap 0 = none; W (optional) holds one sink a head",
        Partition.HEADS,
        ("dst", "a", "weight"),
        ("layer", "start", "heads", "kv_heads", "head_dim", "window"),
        ("scale", "softcap"),
    ),
    Op.GLU: Row(
        "dst[:, :columns] = act(a[:, gate:gate+columns]) * a[:, up:up+columns]",
        Partition.COLUMNS,
        ("dst", "a"),
        ("gate", "up", "columns", "activation"),
    ),
    Op.ACTIVATE: Row("dst = act(a)", Partition.COLUMNS, ("dst", "a"), ("columns", "activation")),
    Op.ADD: Row("dst = a + b", Partition.TOKENS, ("dst", "a", "b"), ("columns",)),
    Op.SCALE: Row("dst = a * factor", Partition.TOKENS, ("dst", "a"), ("columns",), ("factor",)),
    Op.SOFTCAP: Row("dst = cap * tanh(a / cap)", Partition.COLUMNS, ("dst", "a"), ("columns",), ("cap",)),
    Op.GATHER: Row("dst[r] = a[sample_rows[r]]", Partition.SAMPLES, ("dst", "a"), ("columns",)),
    Op.SAMPLE: Row(
        "tokens[r] ~ distribution of a[r] under the row's sampling parameters", Partition.SAMPLES, ("a",), ("vocab",)
    ),
    Op.VECTOR: Row(
        "count local vector operations of length on each core (kind: a key of the machine's cost table)",
        Partition.ALL,
        ("dst", "a"),
        ("count", "length", "kind", "element_bytes"),
        (),
        _WAFER,
    ),
    Op.MULTICAST: Row(
        "send elements from one core of each line to the whole line",
        Partition.ALL,
        ("dst", "a"),
        ("axis", "elements", "element_bytes", "span", "color"),
        (),
        _WAFER,
    ),
    Op.REDUCE: Row(
        "sum (or max) elements along each line into its root",
        Partition.ALL,
        ("dst", "a"),
        ("axis", "elements", "element_bytes", "span", "groups", "algorithm", "color"),
        (),
        _WAFER,
    ),
    Op.ALLREDUCE: Row(
        "sum (or max) elements along each line, result on every core of the line",
        Partition.ALL,
        ("dst", "a"),
        ("axis", "elements", "element_bytes", "span", "groups", "algorithm", "color"),
        (),
        _WAFER,
    ),
    Op.SHIFT: Row(
        "each core passes elements to the core hops further along axis",
        Partition.ALL,
        ("dst", "a"),
        ("axis", "elements", "element_bytes", "hops", "steps", "color"),
        (),
        _WAFER,
    ),
    Op.TRANSFER: Row(
        "move elements from this region to another over distance hops (or off the wafer)",
        Partition.ALL,
        ("dst", "a"),
        ("elements", "element_bytes", "distance", "off_wafer", "color"),
        (),
        _WAFER,
    ),
    Op.TASK: Row("run count scheduled tasks of a kind", Partition.ALL, (), ("count", "kind"), (), _WAFER),
}


@dataclass(frozen=True, slots=True)
class Instr:
    """One instruction. `dst`, `a`, `b`, `c` index buffers; `weight`, `bias` index weight slots; NONE where unused."""

    op: Op
    dst: int = NONE
    a: int = NONE
    b: int = NONE
    c: int = NONE
    weight: int = NONE
    bias: int = NONE
    p: tuple[int, ...] = ()
    f: tuple[float, ...] = ()
    flags: Flag = Flag.NONE
    layer: int = NONE  # for reports only; not encoded
    note: str = ""  # the graph node it came from, for dumps and reports; not encoded

    @property
    def partition(self) -> Partition:
        """How its work is split: by the table, or as a QUANTIZE says itself."""
        return Partition(self.param("partition")) if self.op is Op.QUANTIZE else INSTRUCTIONS[self.op].partition

    def param(self, name: str) -> int:
        """The integer parameter called `name` in the table."""
        return self.p[INSTRUCTIONS[self.op].ints.index(name)]


def encode(stream: tuple[Instr, ...]) -> bytes:
    """The stream as 64-byte little-endian records, the native engine's input."""
    import struct

    pack = struct.Struct(INSTR_FORMAT)
    assert pack.size == INSTR_BYTES
    out = bytearray()
    for i in stream:
        p = i.p + (0,) * (7 - len(i.p))
        f = i.f + (0.0,) * (2 - len(i.f))
        out += pack.pack(i.op, i.flags, i.dst, i.a, i.b, i.c, i.weight, i.bias, *p, *f)
    return bytes(out)
