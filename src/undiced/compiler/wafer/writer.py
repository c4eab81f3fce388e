"""What every block of our mapping is written with: products, sums over lines, norms, transcendentals.

A line's sum is gathered at one root, or in slices at neighboring roots; what follows is computed there, on a share
each, and then spread to the whole line. Knows one shard and the scheme's switches, not which block it writes.
"""

from __future__ import annotations

from math import ceil

from undiced.compiler.wafer.builder import StreamBuilder, X, Y
from undiced.compiler.wafer.scheme import Scheme
from undiced.compiler.wafer.shard import Shard
from undiced.compiler.wafer.vector_math import RSQRT_OPERATIONS
from undiced.machine.collective import SENDER_GAP, wavelets_of
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Load, instr_cost
from undiced.machine.vector import Kind, vector_cost

LINES = ("y", "x", "band", "sliced")
FLOAT_BYTES = 4
PAIR = 2  # columns that stay together: what a rotation turns, or up and gate


class Writer:
    """Helpers over one shard; `positions` a core, at the bounds' context, decides which loop of attention is inner."""

    def __init__(self, shard: Shard, scheme: Scheme, model: CostModel, positions: int) -> None:
        self.s = shard
        self.scheme = scheme
        self.model = model
        self.positions = positions

    # Sums over lines

    def slices(self, line: str) -> int:
        """Trees that share the sums of a kind of line; 0: one tree whose root does nothing of its own."""
        scheme = self.scheme
        if not scheme.levels:
            return 0
        if line == "sliced" or (line == "y" and scheme.slice_rows):
            return scheme.slices
        if line != "band" or self._banded(line) != "band" or not (scheme.plain_softmax and scheme.fuse_softmax):
            return 0
        slices = min(scheme.band_slices, self.s.group)
        return slices if slices > 1 else 0

    def gather(
        self,
        b: StreamBuilder,
        note: str,
        line: str,
        elements: int,
        *,
        riders: int = 0,
        granule: int = 1,
        exact: bool = False,
        per_position: bool = False,
    ) -> int:
        """Sum `elements` over a line; returns how many of them a core is left with for what follows.

        `riders` go to every root; `granule` elements stay together; `exact` sums travel in 32 bits.
        """
        line, slices = self._banded(line), self.slices(line)
        size = FLOAT_BYTES if exact else self.scheme.wire_bytes
        axis = self._axis(line)
        if not slices:
            color = LINES.index(line)
            b.allreduce(
                note, axis, elements + riders, size, self._span(line), 0, 0, color=color, per_position=per_position
            )
            return elements
        share = granule * ceil(elements / granule / slices)
        color = LINES.index("sliced" if line == "y" else line)
        total = slices * (share + riders)
        b.reduce(note, axis, total, size, self._span(line), slices, color=color, per_position=per_position)
        return share

    def spread(
        self,
        b: StreamBuilder,
        note: str,
        line: str,
        elements: int,
        *,
        exact: bool = False,
        per_position: bool = False,
    ) -> None:
        """Send what the roots of a sliced sum made of it to the whole line; whole sums are there already."""
        line, slices = self._banded(line), self.slices(line)
        if slices:
            size = FLOAT_BYTES if exact else self.scheme.wire_bytes
            distance = self._span(line) // 2 + SENDER_GAP * slices
            b.multicast(note, self._axis(line), elements, size, distance, slices=slices, per_position=per_position)

    def reduce(self, b: StreamBuilder, note: str, line: str, elements: int, riders: int = 0) -> None:
        """A sum that every core of the line needs as it is."""
        self.gather(b, note, line, elements, riders=riders)
        self.spread(b, note, line, elements + riders)

    def _banded(self, line: str) -> str:
        return "x" if line == "band" and self.s.band == self.s.columns else line

    @staticmethod
    def _axis(line: str) -> int:
        return Y if line in ("y", "sliced") else X

    def _span(self, line: str) -> int:
        s = self.s
        return {"y": s.rows, "sliced": s.rows, "x": s.columns, "band": s.band}[line]

    # Products

    def gemv(self, b: StreamBuilder, note: str, inputs: int, outputs: tuple[int, ...], split: bool = False) -> float:
        """One multiply-add per input and tile; fused tiles are one. Returns its cycles."""
        start = len(b)
        tiles = outputs if split or not self.scheme.fuse_weights else (sum(outputs),)
        if not self.scheme.first_writes and (not self.scheme.fuse_weights or self.scheme.cached):
            b.vector(f"{note}: clear or store", Kind.FILL, 1, sum(outputs), self.scheme.sum_bytes)
        for length in tiles:
            if self.scheme.unpack_operations:
                b.vector(f"{note}: unpack", Kind.COPY, inputs * self.scheme.unpack_operations, length, 2)
            self.multiply_add(b, note, inputs, length)
        return self.cycles(b, start)

    def multiply_add(self, b: StreamBuilder, note: str, inputs: int, length: int, *, ends: bool = True) -> None:
        """An operation per input, and a pass for each piece of the outputs whose sums fit the cache.

        The first product of a sum is written, not added; the last (if the sum `ends` here) goes to memory.
        """
        passes = 1
        if self.scheme.cached:
            passes = ceil(length * self.scheme.sum_bytes / self.model.cache_bytes)
        piece = ceil(length / passes)
        stores = passes if ends and self.scheme.first_writes and self.scheme.cached else 0
        b.vector(note, self.scheme.fma, inputs * passes - stores, piece, 2)
        b.vector(note, self.scheme.storing, stores, piece, 2)

    def product_of_slices(self, b: StreamBuilder, note: str, inputs: int, share: int, slices: int, pace: float) -> None:
        """A product whose inputs were just sent in `slices` of `share` inputs, `pace` cycles apart: what the pace
        allows of all but the last is multiplied while the last is on its way."""
        early = 0
        if slices > 1 and self.scheme.early:
            each = vector_cost(self.model, self.scheme.fma, 1, self.s.d, 2).cycles
            hidden = int(pace / (each * (1 + self.scheme.unpack_operations)))
            early = max(0, min((slices - 1) * min(share, hidden), inputs - 1))
        mark = len(b)
        self.multiply_add(b, note, early, self.s.d, ends=False)
        b.mark_overlap(mark)
        self.gemv(b, note, inputs - early, (self.s.d,))

    def pace(self, elements: int, element_bytes: int) -> float:
        """Cycles between slices of `elements`: each core's time for one more tree."""
        return wavelets_of(self.model, elements, element_bytes) / self.model.link_rate + self.model.step_software

    def cycles(self, b: StreamBuilder, start: int) -> float:
        """What the instructions from `start` on take, one after the other."""
        load = Load(positions=self.positions)
        return sum(instr_cost(self.model, i, load).cycles for i in b.written(start))

    # Scalars and elementwise functions

    def special(
        self,
        b: StreamBuilder,
        note: str,
        length: int,
        operations: int,
        scalars: int,
        size: int = FLOAT_BYTES,
        *,
        per_position: str = "",
    ) -> None:
        """A transcendental of each element: vector operations over elements of `size` bytes, or library scalars."""
        elements = length * (self.positions if per_position else 1)
        vectors = vector_cost(self.model, Kind.MUL, operations, elements, size).cycles
        if self.scheme.vector_math and vectors < scalars * elements * self.model.transcendental:
            b.vector(note, Kind.MUL, operations, length, size, per_position=per_position)
        else:
            b.vector(note, Kind.TRANSCENDENTAL, scalars, length, per_position=per_position)

    def norm_open(self, b: StreamBuilder, note: str) -> int:
        """Sum of squares; returns how many elements ride on the product (or normalizes at once).

        In 16 bits two copies of different scale ride, so that no sum is out of range of both.
        """
        b.vector(note, Kind.MUL, 2, self.s.d, FLOAT_BYTES)
        b.vector(note, Kind.SUM, 1, self.s.d, FLOAT_BYTES)
        riders = 1 if self.scheme.wire_bytes == FLOAT_BYTES else 2
        if self.scheme.fuse_norms:
            return riders
        self.reduce(b, note, "y", riders)
        self._root(b, note, riders)
        b.vector(note, Kind.MUL, 1, self.s.d, FLOAT_BYTES)
        return 0

    def normed_sums(
        self, b: StreamBuilder, note: str, norm: str, line: str, elements: int, riders: int, product: float
    ) -> int:
        """Sums of a product of `product` cycles, scaled where they arrive by the norm that was not applied before it.

        With slices the sum of squares goes ahead: on its way while the product runs, its root taken and passed to the
        other roots before the sums are there. Returns as `gather`; pairs stay together.
        """
        slices = self.slices(line)
        if riders and slices and self.scheme.norms_ahead and product > self._root_cycles(slices):
            color = LINES.index("sliced")
            b.reduce(norm, Y, 1, FLOAT_BYTES, self._span(line), slices, color=color, ahead=True)
            share = self.gather(b, note, line, elements, granule=PAIR)
        else:
            share = self.gather(b, note, line, elements, riders=riders, granule=PAIR)
            if riders:
                self._root(b, norm, riders)
        if riders:
            b.vector(norm, Kind.MUL, 1, share, FLOAT_BYTES)
        return share

    def norm_scale(self, line: str) -> int:
        """Elements that tell a line its norm's root, rounded to a power of two: where products travel in 16 bits before
        their norm is applied, the next norm's weights take it, so that sums of a large hidden state stay in range."""
        return int(self.scheme.fuse_norms and self.scheme.wire_bytes < FLOAT_BYTES and self.slices(line) > 0)

    def residual(self, b: StreamBuilder, note: str) -> None:
        """Sum a product over columns and add it to the hidden state; the next norm's weights are scaled meanwhile."""
        self.reduce(b, note, "x", self.s.d)
        if self.scheme.fuse_norms and self.scheme.wire_bytes < FLOAT_BYTES:
            mark = len(b)
            b.vector("norm scale", Kind.MUL, 1, self.s.d, FLOAT_BYTES)
            b.mark_overlap(mark)
        b.vector("residual", Kind.MUL, 1, self.s.d, FLOAT_BYTES)

    def _root_cycles(self, slices: int) -> float:
        """An inverse root, and its way to the neighboring roots."""
        root = StreamBuilder("root")
        self._root(root, "", 1)
        root.multicast("", Y, 1, FLOAT_BYTES, slices)
        return self.cycles(root, 0)

    def _root(self, b: StreamBuilder, note: str, riders: int) -> None:
        if riders > 1:
            b.vector(f"{note}: scale in range", Kind.MUL, 2, 1, FLOAT_BYTES)
        self.special(b, note, 1, RSQRT_OPERATIONS, 2)

    def rope(self, b: StreamBuilder, elements: int) -> None:
        """Rotate pairs: with repeated tables x * cos + swapped x * sin, else head by head."""
        if self.scheme.fuse_weights:
            b.vector("rope", Kind.MUL, 3, elements, FLOAT_BYTES)
        else:
            b.vector("rope", Kind.MUL, 12, max(elements // 4, 1), FLOAT_BYTES)
