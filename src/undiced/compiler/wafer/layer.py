"""Instruction streams of our mapping: attention and feed-forward blocks, each choice of the scheme switchable.

The hidden state lies along Y (the region's hidden axis), heads and FFN along X; placement may turn a region.
"""

from __future__ import annotations

from math import ceil

from undiced.compiler.wafer.builder import StreamBuilder, X, Y
from undiced.compiler.wafer.scheme import Scheme
from undiced.compiler.wafer.shard import Shard
from undiced.compiler.wafer.vector_math import (
    EXP_OPERATIONS,
    RECIPROCAL_OPERATIONS,
    RSQRT_OPERATIONS,
    SILU_OPERATIONS,
)
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Task
from undiced.machine.vector import Kind, vector_cost

LINES = ("y", "x", "band", "sliced")
FLOAT_BYTES = 4
PARTS = 8  # a feed-forward block may be cut into eighths of its width, so that regions fill up


def part_name(kind: str, parts: int) -> str:
    """The stream of `parts` eighths of a feed-forward block."""
    return kind if parts == PARTS else f"{kind} {parts}/{PARTS}"


class LayerWriter:
    """Writes the streams of one kind of layer on one shard."""

    def __init__(self, shard: Shard, scheme: Scheme, model: CostModel, positions: int) -> None:
        """`positions` a core, at the bounds' context, decides which loop of attention is the inner one."""
        self.s = shard
        self.scheme = scheme
        self.model = model
        self.positions = positions

    def attention(self) -> StreamBuilder:
        """Norm, q k v, attention over the cache, output projection, residual."""
        b = StreamBuilder("attention")
        if self.s.dims.latent is not None:
            self._latent_attention(b)
            return b
        s = self.s
        ride = self._norm_open(b, "attention norm")
        self._gemv(b, "q, k, v", s.d, (s.q, s.k, s.k))
        self._reduce(b, "q, k, v", "y", s.q + 2 * s.k + ride)
        self._norm_close(b, "attention norm", s.q + 2 * s.k, ride)
        if s.dims.qk_norm:
            self._qk_norm(b)
        self._rope(b, s.group + 1, s.k)
        b.vector("kv store", Kind.COPY, 2, s.k, FLOAT_BYTES)
        self._scores(b, s.group, s.k)
        self._softmax_values(b, s.group, s.k)
        self._gemv(b, "o", s.q, (s.d,))
        self._reduce(b, "o", "x", s.d)
        b.vector("residual", Kind.MUL, 1, s.d, FLOAT_BYTES)
        return b

    def dense_ffn(self, parts: int = PARTS) -> StreamBuilder:
        """Norm, up and gate, activation, down, residual; or `parts` of `PARTS` of the width, where regions cut it."""
        b, s = StreamBuilder(part_name("ffn", parts)), self.s
        f = ceil(s.f * parts / PARTS)
        ride = self._norm_open(b, "ffn norm")
        self._gemv(b, "up, gate", s.d, (f, f))
        self._activate(b, f, ride)
        return b

    def expert_ffn(self, parts: int = PARTS) -> StreamBuilder:
        """Router, the experts that act, the shared one. Every core holds its slice of every expert, or part of it."""
        b, s = StreamBuilder(part_name("experts", parts)), self.s
        experts = s.dims.experts
        assert experts is not None
        logits = ceil(experts.count / s.columns)
        ride = self._norm_open(b, "ffn norm")
        self._gemv(b, "router", s.d, (logits,))
        self._reduce(b, "router", "y", logits + ride)
        self._norm_close(b, "ffn norm", logits, ride)
        self._reduce(b, "router: gather", "x", experts.count)
        b.vector("top k", Kind.MUL, experts.active, 2 * experts.count, FLOAT_BYTES)
        b.vector("top k: folds", Kind.MUL, experts.active * experts.count.bit_length(), 1, FLOAT_BYTES)
        self._special(b, "router scores", experts.active, EXP_OPERATIONS + RECIPROCAL_OPERATIONS, 2)
        each = ceil(ceil(experts.ffn / s.columns) * parts / PARTS)
        shared = ceil(ceil(experts.shared_ffn / s.columns) * parts / PARTS)
        active = experts.active * each + shared
        columns = (2 * each,) * experts.active + ((2 * shared,) if shared else ())
        self._gemv(b, "up, gate", s.d, columns, split=True)
        self._activate(b, active, 1)
        return b

    def head(self) -> StreamBuilder:
        """Final norm, lm_head, one draw: the largest logit, plus noise where asked."""
        b, s = StreamBuilder("head"), self.s
        ride = self._norm_open(b, "final norm")
        self._gemv(b, "lm_head", s.d, (s.vocab,))
        self._reduce(b, "lm_head", "y", s.vocab + ride)
        self._norm_close(b, "final norm", s.vocab, ride)
        self._special(b, "sample: noise", s.vocab, 2 * EXP_OPERATIONS, 2)
        b.vector("sample: largest", Kind.SUM, 2, s.vocab, FLOAT_BYTES)
        self._reduce(b, "sample: largest", "x", 1)
        self._reduce(b, "sample: its index", "x", 1)
        return b

    def feedback(self, distance: int, off_wafer: bool) -> StreamBuilder:
        """The token on its way to the embedding: across the wafer, or through the host to the first one."""
        b = StreamBuilder("feedback")
        b.task("token", 1, Task.LOCAL)
        b.transfer("token", 1, FLOAT_BYTES, distance, off_wafer=off_wafer)
        return b

    def host_embed(self) -> StreamBuilder:
        """The host looks the token up and sends its embedding."""
        b, s = StreamBuilder("embed"), self.s
        b.transfer("embedding, from the host", s.dims.dim, 2, 0, off_wafer=True)
        b.transfer("embedding", s.d, FLOAT_BYTES, s.columns)
        return b

    def embed(self) -> StreamBuilder:
        """The column that holds the token's row sends it along its rows."""
        b, s = StreamBuilder("embed"), self.s
        b.vector("embedding", Kind.COPY, 1, s.d, FLOAT_BYTES)
        b.multicast("embedding", X, s.d, FLOAT_BYTES, s.columns)
        return b

    def enter(self, kind: str) -> StreamBuilder:
        """The hidden state from the region before, spread along the head axis: "enter" from beside, rows facing rows;
        "enter, turning" where the serpentine turns and rows have to move along; "off wafer" from the wafer before."""
        b, s = StreamBuilder(kind), self.s
        if kind == "off wafer":
            b.transfer("hidden state, to the next wafer", s.dims.dim, 2, 0, off_wafer=True)
        b.transfer("hidden state", s.d, FLOAT_BYTES, s.columns if kind == "enter" else s.rows + s.columns)
        b.vector("hidden state", Kind.COPY, 1, s.d, FLOAT_BYTES)
        return b

    def _gemv(self, b: StreamBuilder, note: str, inputs: int, outputs: tuple[int, ...], split: bool = False) -> None:
        """One multiply-add an input and tile; fused tiles are one."""
        tiles = outputs if split or not self.scheme.fuse_weights else (sum(outputs),)
        if not self.scheme.fuse_weights or self.scheme.cached:  # else the first input writes instead of adding
            b.vector(f"{note}: clear or store", Kind.FILL, 1, sum(outputs), self.scheme.sum_bytes)
        for length in tiles:
            if self.scheme.unpack_operations:
                b.vector(f"{note}: unpack", Kind.COPY, inputs * self.scheme.unpack_operations, length, 2)
            self._multiply_add(b, note, inputs, length)

    def _multiply_add(self, b: StreamBuilder, note: str, inputs: int, length: int) -> None:
        """An operation an input, and a pass for each piece of the outputs whose sums fit the cache."""
        passes = 1
        if self.scheme.cached:
            passes = ceil(length * self.scheme.sum_bytes / self.model.cache_bytes)
        b.vector(note, self.scheme.fma, inputs * passes, ceil(length / passes), 2)

    def _reduce(self, b: StreamBuilder, note: str, line: str, elements: int, per_position: bool = False) -> None:
        """Trees are chosen afterwards, when everything that travels this kind of line is known."""
        s = self.s
        line = "x" if line == "band" and s.band == s.columns else line
        axis = Y if line == "y" else X
        span = {"y": s.rows, "x": s.columns, "band": s.band}[line]
        b.allreduce(
            note, axis, elements, self.scheme.wire_bytes, span, 0, 0, color=LINES.index(line), per_position=per_position
        )

    def _special(
        self, b: StreamBuilder, note: str, length: int, operations: int, scalars: int, **position: str
    ) -> None:
        """A transcendental of each element: vector operations, or library scalars."""
        per_position = position.get("per_position", "")
        elements = length * (self.positions if per_position else 1)
        vectors = vector_cost(self.model, Kind.MUL, operations, elements, FLOAT_BYTES).cycles
        if self.scheme.vector_math and vectors < scalars * elements * self.model.transcendental:
            b.vector(note, Kind.MUL, operations, length, FLOAT_BYTES, per_position=per_position)
        else:
            b.vector(note, Kind.TRANSCENDENTAL, scalars, length, per_position=per_position)

    def _norm_open(self, b: StreamBuilder, note: str) -> int:
        """Sum of squares; returns how many elements ride on the product (or normalizes at once)."""
        b.vector(note, Kind.MUL, 2, self.s.d, FLOAT_BYTES)
        b.vector(note, Kind.SUM, 1, self.s.d, FLOAT_BYTES)
        if self.scheme.fuse_norms:
            return 1
        self._reduce(b, note, "y", 1)
        self._special(b, note, 1, RSQRT_OPERATIONS, 3)
        b.vector(note, Kind.MUL, 1, self.s.d, FLOAT_BYTES)
        return 0

    def _norm_close(self, b: StreamBuilder, note: str, elements: int, ride: int) -> None:
        if ride:
            self._special(b, note, 1, RSQRT_OPERATIONS, 3)
            b.vector(note, Kind.MUL, 1, elements, FLOAT_BYTES)

    def _qk_norm(self, b: StreamBuilder) -> None:
        parts = self.s.group + 1
        b.vector("qk norm", Kind.MUL, 1, parts * self.s.k, FLOAT_BYTES)
        b.vector("qk norm", Kind.SUM, parts, self.s.k, FLOAT_BYTES)
        self._reduce(b, "qk norm", "band", parts)
        self._special(b, "qk norm", parts, RSQRT_OPERATIONS, 3)
        b.vector("qk norm", Kind.MUL, parts + 1, self.s.k, FLOAT_BYTES)

    def _rope(self, b: StreamBuilder, heads: int, columns: int) -> None:
        half = max(heads * columns // 2, 1)
        if self.scheme.fuse_weights:  # one tile: all heads at once, with repeated tables
            b.vector("rope", Kind.MUL, 6, half, FLOAT_BYTES)
        else:
            b.vector("rope", Kind.MUL, 12, max(half // 2, 1), FLOAT_BYTES)

    def _scores(self, b: StreamBuilder, heads: int, columns: int) -> None:
        b.vector("scores", Kind.FILL, 1, heads, self.scheme.sum_bytes, per_position="length")
        self._attend(b, "scores", heads * columns, columns, heads)
        self._reduce(b, "scores", "band", heads, per_position=True)
        if not self.scheme.fuse_weights:  # otherwise the scale is part of the query's
            b.vector("scores", Kind.MUL, 1, heads, FLOAT_BYTES, per_position="length")

    def _attend(self, b: StreamBuilder, note: str, across: int, columns: int, heads: int) -> None:
        """Products with the cache: operations along positions (`across` of them, 0 if a sum runs over positions), along
        heads or along columns, whichever loop is cheapest at the bounds' context."""
        fma, kv_bytes, positions = self.scheme.fma, self.scheme.kv_bytes, self.positions
        loops = [(columns * positions, heads, "heads")]
        if across:
            loops.append((across, positions, "positions"))
        else:
            loops.append((heads * positions, columns, "columns"))
        if kv_bytes < 2:
            b.vector(f"{note}: unpack", Kind.COPY, 1, columns, 2, per_position="length")
        _, length, inner = min(loops, key=lambda loop: vector_cost(self.model, fma, loop[0], loop[1], kv_bytes).cycles)
        if inner == "positions":
            b.vector(note, fma, across, 1, kv_bytes, per_position="length")
        else:
            b.vector(note, fma, columns if inner == "heads" else heads, length, kv_bytes, per_position="count")

    def _softmax_values(self, b: StreamBuilder, heads: int, columns: int) -> None:
        """The maximum has a collective of its own; with overlap the local part runs beside it and is rescaled."""
        plain = self.scheme.plain_softmax
        if not plain:
            b.vector("softmax max", Kind.SUM, 1, heads, FLOAT_BYTES, per_position="length")
            self._reduce(b, "softmax max", "y", heads)
        mark = len(b)
        b.vector("softmax", Kind.MUL, 1, heads, FLOAT_BYTES, per_position="length")
        self._special(b, "softmax", heads, EXP_OPERATIONS, 1, per_position="length")
        b.vector("softmax sum", Kind.SUM, 1, heads, FLOAT_BYTES, per_position="length")
        if not self.scheme.fuse_softmax:
            self._reduce(b, "softmax sum", "y", heads)
        b.vector("values", Kind.FILL, 1, heads * columns, self.scheme.sum_bytes)
        self._attend(b, "values", 0, columns, heads)
        if self.scheme.overlap and self.scheme.fuse_softmax and not plain:
            b.mark_overlap(mark)
            b.task("softmax: rescale", 1, Task.LOCAL)
            self._special(b, "softmax: rescale", heads, EXP_OPERATIONS, 1)
            b.vector("softmax: rescale", Kind.MUL, 1, heads * (columns + 1), FLOAT_BYTES)
        ride = (heads if self.scheme.fuse_softmax else 0) + int(plain)
        self._reduce(b, "values", "y", heads * columns + ride)
        self._special(b, "softmax", heads, RECIPROCAL_OPERATIONS, 1)
        b.vector("softmax", Kind.MUL, 1, heads * columns, FLOAT_BYTES)

    def _activate(self, b: StreamBuilder, columns: int, ride: int) -> None:
        """Sum up and gate, activate, multiply down. With slices the roots activate and send only the product."""
        slices = self.scheme.slices if self.scheme.levels else 0
        if slices:
            share = ceil(columns / slices)
            elements = 2 * columns + ride * slices
            b.reduce("up, gate", Y, elements, self.scheme.wire_bytes, self.s.rows, slices, color=LINES.index("sliced"))
        else:
            share = columns
            self._reduce(b, "up, gate", "y", 2 * columns + ride)
        self._norm_close(b, "ffn norm", 2 * share, ride)
        self._special(b, "silu", share, SILU_OPERATIONS, 2)
        b.vector("up * gate", Kind.MUL, 1, share, FLOAT_BYTES)
        if slices:
            b.multicast("activated", Y, columns, self.scheme.wire_bytes, self.s.rows // 2 + slices)
        early = self._early_inputs(columns, slices) if slices and self.scheme.overlap else 0
        if early:
            mark = len(b)
            self._multiply_add(b, "down", early, self.s.d)
            b.mark_overlap(mark)
        self._gemv(b, "down", columns - early, (self.s.d,))
        self._reduce(b, "down", "x", self.s.d)
        b.vector("residual", Kind.MUL, 1, self.s.d, FLOAT_BYTES)

    def _early_inputs(self, columns: int, slices: int) -> int:
        """Slices follow each other at the pace of the up and gate product, so all but the last are multiplied while
        the last is on its way: as many inputs as fit into that pace."""
        s, fma = self.s, self.scheme.fma
        pace = vector_cost(self.model, fma, s.d, 2 * columns, 2).cycles / slices
        each = vector_cost(self.model, fma, 1, s.d, 2).cycles
        unpacks = 1 + self.scheme.unpack_operations
        return (slices - 1) * min(columns // slices, int(pace / (each * unpacks)))

    def _latent_attention(self, b: StreamBuilder) -> None:
        """Queries and keys compressed, the up projections absorbed; each band keeps a copy of the cache."""
        s, latent = self.s, self.s.dims.latent
        assert latent is not None
        compressed = ceil(latent.query_rank / s.columns) + ceil((latent.kv_rank + latent.rope_dims) / s.columns)
        queries = ceil(s.dims.heads * (latent.nope_dims + latent.rope_dims) / s.rows)
        inputs = ceil((latent.query_rank or s.dims.dim) / s.columns)
        ride = self._norm_open(b, "attention norm")
        self._gemv(b, "q, kv down", s.d, (compressed,))
        self._reduce(b, "q, kv down", "y", compressed + ride)
        self._norm_close(b, "attention norm", compressed, ride)
        b.vector("latent norms", Kind.MUL, 2, compressed, FLOAT_BYTES)
        self._gemv(b, "q up", inputs, (queries,))
        self._reduce(b, "q up", "x", queries + 2)
        self._special(b, "latent norms", 2, RSQRT_OPERATIONS, 3)
        b.vector("latent norms", Kind.MUL, 1, queries, FLOAT_BYTES)
        self._rope(b, 2, max(queries // 2, 1))
        b.vector("q absorbed", self.scheme.fma, s.nope_rows(), s.latent_columns(), 2)
        self._reduce(b, "q absorbed", "y", s.group * s.k)
        b.vector("kv store", Kind.COPY, 1, s.k, FLOAT_BYTES)
        self._scores(b, s.group, s.k)
        self._softmax_values(b, s.group, s.latent_columns())
        b.vector("values up", Kind.MUL, 2 * s.value_rows(), s.group * s.latent_columns(), FLOAT_BYTES)
        self._reduce(b, "values up", "band", s.group * s.value_rows())
        self._reduce(b, "values up: gather", "y", s.output_columns())
        self._gemv(b, "o", s.output_columns(), (s.d,))
        self._reduce(b, "o", "x", s.d)
        b.vector("residual", Kind.MUL, 1, s.d, FLOAT_BYTES)
