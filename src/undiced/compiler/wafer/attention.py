"""Attention of our mapping: queries, keys and values, scores over a KV head's band, softmax, values, output.

Positions lie over rows and a head's dimensions over the columns of its band; latent attention keeps copies of its
cache.
"""

from __future__ import annotations

from math import ceil

from undiced.compiler.wafer.builder import StreamBuilder
from undiced.compiler.wafer.vector_math import EXP_OPERATIONS, RECIPROCAL_OPERATIONS, RSQRT_OPERATIONS
from undiced.compiler.wafer.writer import FLOAT_BYTES, Writer
from undiced.machine.instruction import Task
from undiced.machine.vector import Kind, vector_cost


class AttentionWriter(Writer):
    """Writes the attention stream of one kind of layer on one shard."""

    def attention(self) -> StreamBuilder:
        """Norm, q k v, attention over the cache, output projection, residual."""
        b = StreamBuilder("attention")
        if self.s.dims.latent is not None:
            self._latent_attention(b)
            return b
        s = self.s
        riders = self.norm_open(b, "attention norm")
        product = self.gemv(b, "q, k, v", s.d, (s.q, s.k, s.k))
        share = self.normed_sums(b, "q, k, v", "attention norm", "y", s.q + 2 * s.k, riders, product)
        rotated = s.q + s.k
        if not s.dims.qk_norm:
            self.rope(b, min(share, rotated))
        self.spread(b, "q, k, v", "y", s.q + 2 * s.k + self.norm_scale("y"))
        if s.dims.qk_norm:
            self._qk_norm(b)
            self.rope(b, rotated)
        mark = len(b)
        b.vector("kv store", Kind.COPY, 2, s.k, FLOAT_BYTES)
        if self.slices("y") and self.scheme.early and not s.dims.qk_norm:
            b.mark_overlap(mark)  # keys and values are in the first slice, the last is of queries
        share, slices, pace = self._attend(b, s.group, s.k, s.k)
        self.product_of_slices(b, "o", s.q, share, slices, pace)
        self.residual(b, "o")
        return b

    def _qk_norm(self, b: StreamBuilder) -> None:
        parts = self.s.group + 1
        b.vector("qk norm", Kind.MUL, 1, parts * self.s.k, FLOAT_BYTES)
        b.vector("qk norm", Kind.SUM, parts, self.s.k, FLOAT_BYTES)
        self.reduce(b, "qk norm", "band", parts)
        self.special(b, "qk norm", parts, RSQRT_OPERATIONS, 2)
        b.vector("qk norm", Kind.MUL, parts + 1, self.s.k, FLOAT_BYTES)

    def _attend(self, b: StreamBuilder, heads: int, key_columns: int, value_columns: int) -> tuple[int, int, float]:
        """Scores of this row's positions, their softmax, and the values that it weighs.

        Returns: in how large and how many slices the values are sent at last, and how many cycles apart.
        """
        self._unpack(b, "scores", key_columns)
        self._scores(b, heads, key_columns)
        self._unpack(b, "values", value_columns)
        share = self.gather(b, "scores", "band", heads, per_position=True)
        if not self.scheme.fuse_weights:  # otherwise the scale is part of the query's
            b.vector("scores", Kind.MUL, 1, heads, FLOAT_BYTES, per_position="length")
        if self.slices("band"):
            self._exponentials(b, share)
            sums = ceil(heads / self.positions)  # summed while the weights leave, behind which they are sent
            self.spread(b, "softmax", "band", heads + sums, exact=True, per_position=True)
            mark = len(b)
            self._softmax_sum(b, share)
            early = self._early_columns(heads, value_columns, share)
            self._product(b, "values", self.scheme.attending, 0, early, heads)
            b.mark_overlap(mark)
            self._weigh(b, heads, value_columns, early)
            return self._sum_values(b, heads, value_columns)
        return self._softmax_values(b, heads, value_columns)

    def _early_columns(self, heads: int, columns: int, share: int) -> int:
        """Columns whose worth of products with the values is hidden: slices of the weights are of positions and arrive
        one after the other, so that all but the last are multiplied meanwhile."""
        slices = self.slices("band")
        pace = self.pace(share * self.positions, self.scheme.wire_bytes)
        each = self._loops(self.scheme.attending, 0, columns, heads)[0][0] / slices
        return columns * (slices - 1) // slices if self.scheme.early and each <= pace else 0

    def _scores(self, b: StreamBuilder, heads: int, columns: int) -> None:
        """Queries by keys. The last product of each sum leaves it in memory."""
        if not self.scheme.first_writes:
            b.vector("scores", Kind.FILL, 1, heads, self.scheme.sum_bytes, per_position="length")
        fma = self.scheme.fma if self.scheme.wire_bytes < FLOAT_BYTES else self.scheme.attending
        last = self.scheme.storing if fma is self.scheme.fma else Kind.FMA32
        stores = int(self.scheme.first_writes and self.scheme.cached)
        self._product(b, "scores", fma, heads * (columns - stores), columns - stores, heads)
        self._product(b, "scores", last, heads * stores, stores, heads)

    def _product(self, b: StreamBuilder, note: str, fma: Kind, across: int, columns: int, heads: int) -> None:
        """Products with `columns` of the cache: operations along positions (`across` of them, 0 if a sum runs over
        positions), along heads or along columns, whichever loop is cheapest at the bounds' context."""
        _, length, inner = self._loops(fma, across, columns, heads)[0]
        if inner == "positions":
            b.vector(note, fma, across, 1, self.scheme.kv_bytes, per_position="length")
        else:
            count = columns if inner == "heads" else heads
            b.vector(note, fma, count, length, self.scheme.kv_bytes, per_position="count")

    def _unpack(self, b: StreamBuilder, note: str, columns: int) -> None:
        if self.scheme.kv_bytes < 2:
            b.vector(f"{note}: unpack", Kind.COPY, 1, columns, 2, per_position="length")

    def _loops(self, fma: Kind, across: int, columns: int, heads: int) -> list[tuple[float, int, str]]:
        """Cycles, length and name of the inner loops that a product with the cache may have, cheapest first."""
        kv_bytes, positions = self.scheme.kv_bytes, self.positions
        loops = [(columns * positions, heads, "heads")]
        loops.append((across, positions, "positions") if across else (heads * positions, columns, "columns"))
        costed = [
            (vector_cost(self.model, fma, n, length, kv_bytes).cycles, length, inner) for n, length, inner in loops
        ]
        return sorted(costed, key=lambda loop: loop[0])

    def _exponentials(self, b: StreamBuilder, heads: int) -> None:
        b.vector("softmax", Kind.MUL, 1, heads, FLOAT_BYTES, per_position="length")
        self.special(b, "softmax", heads, EXP_OPERATIONS, 1, per_position="length")

    def _softmax_sum(self, b: StreamBuilder, heads: int) -> None:
        b.vector("softmax sum", Kind.SUM, 1, heads, FLOAT_BYTES, per_position="length")

    def _softmax_values(self, b: StreamBuilder, heads: int, columns: int) -> tuple[int, int, float]:
        """The maximum has a collective of its own; with overlap the local part runs beside it and is rescaled."""
        plain = self.scheme.plain_softmax
        if not plain:
            b.vector("softmax max", Kind.SUM, 1, heads, FLOAT_BYTES, per_position="length")
            self.reduce(b, "softmax max", "y", heads)
        mark = len(b)
        self._exponentials(b, heads)
        self._softmax_sum(b, heads)
        if not self.scheme.fuse_softmax:
            self.reduce(b, "softmax sum", "y", heads)
        if self.scheme.overlap and self.scheme.fuse_softmax and not plain:
            self._weigh(b, heads, columns)
            b.mark_overlap(mark)
            b.task("softmax: rescale", 1, Task.LOCAL)
            self.special(b, "softmax: rescale", heads, EXP_OPERATIONS, 1)
            b.vector("softmax: rescale", Kind.MUL, 1, heads * (columns + 1), FLOAT_BYTES)
            return self._sum_values(b, heads, columns)
        return self._values(b, heads, columns)

    def _weigh(self, b: StreamBuilder, heads: int, columns: int, early: int = 0) -> None:
        """Products of weights and values, but for `early` columns' worth."""
        b.vector("values", Kind.FILL, 1, heads * columns, FLOAT_BYTES)
        self._product(b, "values", self.scheme.attending, 0, columns - early, heads)

    def _values(self, b: StreamBuilder, heads: int, columns: int) -> tuple[int, int, float]:
        self._weigh(b, heads, columns)
        return self._sum_values(b, heads, columns)

    def _sum_values(self, b: StreamBuilder, heads: int, columns: int) -> tuple[int, int, float]:
        """Sum over rows with the softmax's sums riding along; divide where they arrive. Slices are of whole heads."""
        fused, slices = self.scheme.fuse_softmax, self.slices("y")
        flag = int(self.scheme.plain_softmax)
        whole = bool(slices) and fused and heads >= slices
        if whole:
            here = self.gather(b, "values", "y", heads * (columns + 1), riders=flag, granule=columns + 1, exact=True)
            heads_here = here // (columns + 1)
            share, traveling = heads_here * columns, here + flag
        else:
            riders = (heads if fused else 0) + flag
            share = here = self.gather(b, "values", "y", heads * columns, riders=riders, exact=True)
            heads_here, traveling = heads, here + riders
        self.special(b, "softmax", heads_here, RECIPROCAL_OPERATIONS, 1)
        b.vector("softmax", Kind.MUL, 1, here, FLOAT_BYTES)
        self.spread(b, "values", "y", heads * columns)
        return share, ceil(heads * columns / share), self.pace(traveling, FLOAT_BYTES)

    def _latent_attention(self, b: StreamBuilder) -> None:
        """Queries and keys compressed, the up projections absorbed; each band keeps a copy of the cache."""
        s, latent = self.s, self.s.dims.latent
        assert latent is not None
        compressed = ceil(latent.query_rank / s.columns) + ceil((latent.kv_rank + latent.rope_dims) / s.columns)
        queries = ceil(s.dims.heads * (latent.nope_dims + latent.rope_dims) / s.rows)
        inputs = ceil((latent.query_rank or s.dims.dim) / s.columns)
        riders = self.norm_open(b, "attention norm")
        product = self.gemv(b, "q, kv down", s.d, (compressed,))
        self.normed_sums(b, "q, kv down", "attention norm", "y", compressed, riders, product)
        self.spread(b, "q, kv down", "y", compressed + self.norm_scale("y"))
        b.vector("latent norms", Kind.MUL, 2, compressed, FLOAT_BYTES)
        self.gemv(b, "q up", inputs, (queries,))
        self.reduce(b, "q up", "x", queries, riders=2 * riders)
        self.special(b, "latent norms", 2, RSQRT_OPERATIONS, 2)
        b.vector("latent norms", Kind.MUL, 1, queries, FLOAT_BYTES)
        self.rope(b, 2 * max(queries // 2, 1))
        b.vector("q absorbed", self.scheme.fma, s.nope_rows(), s.latent_columns(), 2)
        self.reduce(b, "q absorbed", "y", s.group * s.k)
        b.vector("kv store", Kind.COPY, 1, s.k, FLOAT_BYTES)
        self._attend(b, s.group, s.k, s.latent_columns())
        b.vector("values up", Kind.MUL, 2 * s.value_rows(), s.group * s.latent_columns(), FLOAT_BYTES)
        self.reduce(b, "values up", "band", s.group * s.value_rows())
        self.reduce(b, "values up: gather", "y", s.output_columns())
        self.gemv(b, "o", s.output_columns(), (s.d,))
        self.residual(b, "o")
