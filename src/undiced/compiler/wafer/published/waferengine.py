"""The published mapping of a Qwen3 decode engine on WSE-3: several layers a region, regions in a pipeline, fp32 sums.

Hidden state and KV positions lie on y (positions round-robin), heads and FFN on x. Eleven collectives a layer and six
repaints of routes. Embedding and lm_head have bands of their own; the sampled token returns to the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from undiced.compiler.wafer.published.builder import StreamBuilder, X, Y
from undiced.compiler.wafer.published.groups import check_groups
from undiced.core.errors import CompileError
from undiced.machine.collective import TWO_TREE
from undiced.machine.instruction import Task
from undiced.machine.vector import Kind
from undiced.model import ModelConfig
from undiced.program import Stream

WEIGHT_BYTES = 2
WIRE_BYTES = 4
MAXIMUM_BYTES = 2  # of the softmax
ROUTE_WRITES = 28  # three for a band and five for each other of the six times that routes turn
BAND_WIDTH = 128
TOP_K = 20


@dataclass(frozen=True, slots=True)
class Shard:
    """One core's share of a layer on a `width` x `height` region (x by y), and the two-tree's groups on each axis."""

    width: int
    height: int
    groups_x: int
    groups_y: int
    d: int  # hidden columns
    q: int  # query columns
    k: int  # key columns (values alike)
    f: int  # FFN columns
    band: int  # cores along x that share a KV head
    group: int  # query heads a KV head

    @classmethod
    def of(cls, config: ModelConfig, width: int, height: int, groups: int) -> Shard:
        """The shard of a model; groups larger than a side shrink to it.

        Raises:
            CompileError: groups that do not divide both sides.
        """
        if config.mla or config.moe:
            raise CompileError(
                f"The waferengine mapping has no experts and no latent attention; {config.name} has.",
                remedy="Use --mapping undiced.",
            )
        groups_x, groups_y = min(groups, width), min(groups, height)
        check_groups(groups, width, height)
        band = max(1, width // config.kv_heads)
        return cls(
            width=width,
            height=height,
            groups_x=groups_x,
            groups_y=groups_y,
            d=ceil(config.dim / height),
            q=ceil(config.heads * config.head_dim / width),
            k=ceil(config.kv_heads * config.head_dim / width),
            f=ceil(config.ffn / width),
            band=band,
            group=config.heads // config.kv_heads,
        )


def _reduce(b: StreamBuilder, s: Shard, note: str, axis: int, elements: int, element_bytes: int = WIRE_BYTES) -> None:
    span, groups = (s.width, s.groups_x) if axis == X else (s.height, s.groups_y)
    b.allreduce(note, axis, elements, element_bytes, span, groups, TWO_TREE)


def _band_reduce(b: StreamBuilder, s: Shard, note: str, elements: int, per_position: bool = False) -> None:
    """One chain from both ends of a band to its middle, and a multicast."""
    b.allreduce(note, X, elements, WIRE_BYTES, s.band, 1, TWO_TREE, per_position=per_position)


def _gemv(b: StreamBuilder, note: str, inputs: int, outputs: int) -> None:
    b.vector(note, Kind.FILL, 1, outputs, WIRE_BYTES)
    b.vector(note, Kind.FMA32, inputs, outputs, WEIGHT_BYTES)


def decode_layer(config: ModelConfig, s: Shard) -> Stream:
    """One decode layer on one region; positions stay symbolic."""
    b = StreamBuilder("layer")
    b.task("routes", ROUTE_WRITES, Task.ROUTE_WRITE)
    _norm(b, s, "attention norm", s.d)
    for name, columns in (("q", s.q), ("k", s.k), ("v", s.k)):
        _gemv(b, name, s.d, columns)
    _reduce(b, s, "q, k, v", Y, s.q + 2 * s.k)
    if config.qk_norm != "none":
        _qk_norm(b, s)
    b.vector("rope", Kind.MUL, 6 * (s.group + 1), max(s.k // 2, 1), WIRE_BYTES)
    b.vector("kv store", Kind.COPY, 2, s.k, WIRE_BYTES)
    _attention(b, s)
    _gemv(b, "o", s.q, s.d)
    _reduce(b, s, "o", X, s.d)
    b.vector("residual", Kind.MUL, 1, s.d, WIRE_BYTES)
    _norm(b, s, "ffn norm", s.d)
    for name in ("up", "gate"):
        _gemv(b, name, s.d, s.f)
    _reduce(b, s, "up, gate", Y, 2 * s.f)
    b.vector("silu", Kind.TRANSCENDENTAL, 2, s.f)
    b.vector("up * gate", Kind.MUL, 1, s.f, WIRE_BYTES)
    _gemv(b, "down", s.f, s.d)
    _reduce(b, s, "down", X, s.d)
    b.vector("residual", Kind.MUL, 1, s.d, WIRE_BYTES)
    return b.build()


def _norm(b: StreamBuilder, s: Shard, note: str, columns: int) -> None:
    b.vector(note, Kind.MUL, 1, columns, WIRE_BYTES)
    b.vector(note, Kind.SUM, 1, columns, WIRE_BYTES)
    _reduce(b, s, note, Y, 1)
    b.vector(note, Kind.TRANSCENDENTAL, 1, 3)
    b.vector(note, Kind.MUL, 2, columns, WIRE_BYTES)


def _qk_norm(b: StreamBuilder, s: Shard) -> None:
    parts = s.group + 1
    b.vector("qk norm", Kind.MUL, parts, s.k, WIRE_BYTES)
    b.vector("qk norm", Kind.SUM, parts, s.k, WIRE_BYTES)
    _band_reduce(b, s, "qk norm", parts)
    b.vector("qk norm", Kind.TRANSCENDENTAL, parts, 3)
    b.vector("qk norm", Kind.MUL, 2 * parts, s.k, WIRE_BYTES)


def _attention(b: StreamBuilder, s: Shard) -> None:
    """Each core scores its positions for the query columns it holds; the band sums; softmax and values go along y."""
    g = s.group
    b.vector("scores", Kind.FILL, 1, g, WIRE_BYTES, per_position="length")
    b.vector("scores", Kind.FMA32, g * s.k, 1, WEIGHT_BYTES, per_position="length")
    _band_reduce(b, s, "scores", g, per_position=True)
    b.vector("scores", Kind.MUL, 1, g, WIRE_BYTES, per_position="length")
    b.vector("softmax max", Kind.SUM, g, 1, WIRE_BYTES, per_position="length")
    _reduce(b, s, "softmax max", Y, g, MAXIMUM_BYTES)
    b.vector("softmax", Kind.MUL, g, 1, WIRE_BYTES, per_position="length")
    b.vector("softmax", Kind.TRANSCENDENTAL, g, 1, per_position="length")
    b.vector("softmax sum", Kind.SUM, g, 1, WIRE_BYTES, per_position="length")
    _reduce(b, s, "softmax sum", Y, g)
    b.vector("softmax", Kind.TRANSCENDENTAL, 1, g)
    b.vector("softmax", Kind.MUL, g, 1, WIRE_BYTES, per_position="length")
    b.vector("values", Kind.FILL, 1, s.q, WIRE_BYTES)
    b.vector("values", Kind.FMA32, g, s.k, WEIGHT_BYTES, per_position="count")
    _reduce(b, s, "values", Y, s.q)


def enter(s: Shard) -> Stream:
    """The hidden state arriving from the region before: one row each, spread along x."""
    b = StreamBuilder("enter")
    b.transfer("hidden state", s.d, WIRE_BYTES, s.width)
    b.vector("hidden state", Kind.COPY, 1, s.d, WIRE_BYTES)
    return b.build()


def embed(s: Shard) -> Stream:
    """The token finds its column of the embedding band, which sends its rows' parts to the first region."""
    b = StreamBuilder("embed")
    b.task("token", 1, Task.DATA)
    b.vector("lookup", Kind.COPY, 1, s.d, WIRE_BYTES)
    b.transfer("embedding", s.d, WIRE_BYTES, min(BAND_WIDTH, s.width))
    return b.build()


def head(config: ModelConfig, s: Shard, band_width: int) -> Stream:
    """Final norm, lm_head, the twenty largest, sampling, and the token returned to the embedding."""
    rows = ceil(config.vocab / band_width)
    groups = min(s.groups_x, band_width)
    while band_width % groups:
        groups -= 1
    keep = min(TOP_K, rows)
    steps = band_width // groups // 2 + groups // 2 + 2
    b = StreamBuilder("head")
    b.transfer("hidden state", s.d, WIRE_BYTES, s.width)
    _norm(b, s, "final norm", s.d)
    b.vector("lm_head", Kind.FILL, 1, rows, WIRE_BYTES)
    b.vector("lm_head", Kind.FMA32, s.d, rows, WEIGHT_BYTES)
    _reduce(b, s, "lm_head", Y, rows)
    b.vector("top k", Kind.SCALAR_STEP, 1, rows + keep * keep // 2)
    b.vector("top k: merges", Kind.SCALAR_STEP, steps, keep)
    b.allreduce("top k", X, 2 * keep, WIRE_BYTES, band_width, groups, TWO_TREE)
    b.vector("sample", Kind.TRANSCENDENTAL, 1, keep + 1)
    b.vector("sample", Kind.SCALAR_STEP, 1, keep)
    b.task("token", 1, Task.EMIT)
    b.transfer("token", 1, WIRE_BYTES, s.width + s.height)
    return b.build()
