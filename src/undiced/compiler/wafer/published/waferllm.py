"""The published mapping of WaferLLM (arXiv 2502.04563, its WSE-2 decode and prefill programs), replayed exactly.

One layer at a time on a P x P grid, one head, dimensions padded to the grid, fp16 everywhere, ten two-tree allreduces a
decode layer. No embedding, lm_head or sampling: the benchmark has none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from undiced.compiler.wafer.published.builder import StreamBuilder, X, Y
from undiced.compiler.wafer.published.groups import check_groups
from undiced.core.errors import CompileError
from undiced.machine.collective import TWO_TREE_DUAL
from undiced.machine.instruction import Task
from undiced.machine.vector import Kind
from undiced.model import ModelConfig
from undiced.program import Stream

BYTES = 2
SCORE_BYTES = 2 * BYTES  # scores and their scratch copy, a position
GEMM_TASKS = 4  # scheduled tasks that end a step: both tiles in, both out joined, next step
SHIFT_TASKS = 2


@dataclass(frozen=True, slots=True)
class Grid:
    """A square of `side` cores a side, and the two-tree's groups."""

    side: int
    groups: int

    def __post_init__(self) -> None:
        if self.side < 2:
            raise CompileError("A region of one core has nobody to reduce with.", remedy="Use 2x2 or more.")
        if self.groups > self.side:
            raise CompileError(
                f"A side of {self.side} cores has no {self.groups} groups.", remedy=f"Use at most --groups {self.side}."
            )
        check_groups(self.groups, self.side, self.side)


def one_head(config: ModelConfig, side: int) -> ModelConfig:
    """The benchmark's shape: one head and one KV head of the whole width, sizes padded up to the grid."""
    dim, ffn = (ceil(size / side) * side for size in (config.dim, config.ffn))
    rope = config.rope and replace(config.rope, dims=dim - dim % 2, offset=0)
    sizes = replace(config, dim=dim, ffn=ffn, heads=1, kv_heads=1, head_dim=dim, rope=rope, moe=None, mla=None)
    return replace(sizes, qk_norm="none")


def buffer_bytes(d: int, f: int) -> int:
    """Activations of a decode layer on a core: fifteen vectors of the hidden width, three of the FFN's."""
    return BYTES * (15 * d + 3 * f)


def decode_layer(dim: int, ffn: int, grid: Grid) -> Stream:
    """One decode layer; `dim` and `ffn` are multiples of the grid. Positions stay symbolic."""
    d, f = dim // grid.side, ffn // grid.side
    b = StreamBuilder("layer")
    _norm(b, "attention norm", d, grid)
    for name in ("q", "k", "v"):
        _gemv(b, name, d, d)
    _reduce(b, "q, k, v", Y, 3 * d, grid)
    b.vector("rope", Kind.MUL, 12, max(d // 2, 1))
    _scores(b, d, grid)
    _softmax(b, grid)
    b.vector("values", Kind.FILL, 1, d)
    b.vector("values", Kind.FMA16, 1, d, per_position="count")
    _reduce(b, "values", Y, d, grid)
    _gemv(b, "o", d, d)
    _reduce(b, "o", X, d, grid)
    b.vector("residual", Kind.MUL, 1, d)
    _norm(b, "ffn norm", d, grid)
    for name in ("up", "gate"):
        _gemv(b, name, d, f)
    _reduce(b, "up, gate", Y, 2 * f, grid)
    b.vector("silu", Kind.TRANSCENDENTAL, 2, d)
    b.vector("up * gate", Kind.MUL, 1, f)
    _gemv(b, "down", f, d)
    _reduce(b, "down", X, d, grid)
    b.vector("residual", Kind.MUL, 1, d)
    return b.build()


def _gemv(b: StreamBuilder, name: str, inputs: int, outputs: int) -> None:
    b.vector(name, Kind.FILL, 1, outputs)
    b.vector(name, Kind.FMA16, inputs, outputs)


def _reduce(b: StreamBuilder, note: str, axis: int, elements: int, grid: Grid, per_position: bool = False) -> None:
    b.allreduce(note, axis, elements, BYTES, grid.side, grid.groups, TWO_TREE_DUAL, per_position=per_position)


def _norm(b: StreamBuilder, note: str, d: int, grid: Grid) -> None:
    b.vector(note, Kind.MUL, 1, d)
    b.vector(note, Kind.SUM, 1, d)
    _reduce(b, note, Y, 1, grid)
    b.vector(note, Kind.MUL, 2, d)
    b.vector(note, Kind.TRANSCENDENTAL, 1, 3)


def _scores(b: StreamBuilder, d: int, grid: Grid) -> None:
    b.vector("scores", Kind.FILL, 1, 1, per_position="length")
    b.vector("scores", Kind.FMA16, d, 1, per_position="length")
    _reduce(b, "scores", X, 1, grid, per_position=True)
    b.vector("scores", Kind.MUL, 1, 1, per_position="length")


def _softmax(b: StreamBuilder, grid: Grid) -> None:
    b.vector("softmax max", Kind.SUM, 1, 1, per_position="length")
    _reduce(b, "softmax max", Y, 1, grid)
    b.vector("softmax", Kind.MUL, 1, 1, per_position="length")
    b.vector("softmax", Kind.TRANSCENDENTAL, 1, 1, per_position="length")
    b.vector("softmax sum", Kind.SUM, 1, 1, per_position="length")
    _reduce(b, "softmax sum", Y, 1, grid)
    b.vector("softmax", Kind.TRANSCENDENTAL, 1, 1)
    b.vector("softmax", Kind.MUL, 1, 1, per_position="length")


@dataclass(frozen=True, slots=True)
class Tile:
    """One core's share of a prefill: prompt rows, hidden columns, FFN columns."""

    m: int
    d: int
    f: int


def prefill_layer(tile: Tile, grid: Grid) -> Stream:
    """One layer over a whole prompt of at most `m` x side tokens: GEMMs by cyclic shift, one product of transposes."""
    m, d, f = tile.m, tile.d, tile.f
    b = StreamBuilder("prefill layer")
    _tile_norm(b, "attention norm", tile, grid)
    _skew(b, "q, k, v", m * d, grid)
    for name in ("q", "k", "v"):
        _gemm(b, name, m, d, d, grid)
    b.vector("rope", Kind.MUL, 12 * m, max(d // 2, 1))
    _score_gemm(b, tile, grid)
    _tile_softmax(b, m, grid)
    _skew(b, "values", m * m, grid)
    _gemm(b, "values", m, m, d, grid)
    _skew(b, "o", m * d, grid)
    _gemm(b, "o", m, d, d, grid)
    b.vector("residual", Kind.MUL, 1, m * d)
    _tile_norm(b, "ffn norm", tile, grid)
    _skew(b, "up, gate", m * d, grid)
    for name in ("up", "gate"):
        _gemm(b, name, m, d, f, grid)
    b.vector("silu", Kind.TRANSCENDENTAL, 2, m * f)
    b.vector("up * gate", Kind.MUL, 1, m * f)
    _skew(b, "down", m * f, grid)
    _gemm(b, "down", m, f, d, grid)
    b.vector("residual", Kind.MUL, 1, m * d)
    return b.build()


def _gemm(b: StreamBuilder, note: str, m: int, k: int, n: int, grid: Grid) -> None:
    """P steps; each multiplies tiles by k x n vector operations of length m while both tiles shift two hops."""
    b.vector(note, Kind.FILL, 1, m * n)
    b.task(note, GEMM_TASKS * grid.side, Task.LOCAL)
    b.shift(note, X, m * k, BYTES, 2, grid.side)
    b.shift(note, Y, k * n, BYTES, 2, grid.side)
    b.overlapped(note, Kind.FMA16, k * n * grid.side, m)
    b.overlapped(f"{note}: descriptors", Kind.COPY, k * grid.side, 1)


def _skew(b: StreamBuilder, note: str, elements: int, grid: Grid) -> None:
    """A new left operand is first shifted by up to half the grid."""
    steps = grid.side // 2
    b.task(f"{note}: align", SHIFT_TASKS * steps, Task.LOCAL)
    b.shift(f"{note}: align", X, elements, BYTES, 2, steps)


def _score_gemm(b: StreamBuilder, tile: Tile, grid: Grid) -> None:
    """Only the keys shift; each step's m x m tile is chain-reduced along x. The chains pipeline from step to step."""
    m, d, steps = tile.m, tile.d, grid.side
    b.task("scores", (GEMM_TASKS - 1) * steps, Task.LOCAL)
    b.shift("scores", Y, m * d, BYTES, 2, steps)
    b.overlapped("scores", Kind.FMA16, d * m * steps, m)
    b.overlapped("scores: descriptors", Kind.COPY, d * steps, 1)
    b.vector("scores: reduce", Kind.MUL, 2 * steps, m * m)
    b.vector("scores: reduce", Kind.FILL, steps, m * m)
    b.allreduce("scores: last chain", X, m * m, BYTES, grid.side, grid.side, TWO_TREE_DUAL)


def _tile_norm(b: StreamBuilder, note: str, tile: Tile, grid: Grid) -> None:
    m, d = tile.m, tile.d
    b.vector(note, Kind.MUL, 1, m * d)
    b.vector(note, Kind.MUL, d, m)
    b.allreduce(note, X, m, BYTES, grid.side, grid.groups, TWO_TREE_DUAL)
    b.vector(note, Kind.TRANSCENDENTAL, 3, m)
    b.vector(note, Kind.MUL, 2 * d, m)


def _tile_softmax(b: StreamBuilder, m: int, grid: Grid) -> None:
    for part in ("softmax max", "softmax sum"):
        b.vector(part, Kind.MUL, m, m)
        b.allreduce(part, X, m, BYTES, grid.side, grid.groups, TWO_TREE_DUAL)
    b.vector("softmax", Kind.MUL, 2 * m, m)
    b.vector("softmax", Kind.TRANSCENDENTAL, 1, m * m + m)
