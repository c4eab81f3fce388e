"""Instruction streams of our mapping: feed-forward blocks, head, embedding, and what enters a region.

The hidden state lies along Y (the region's hidden axis), heads and FFN along X; placement may turn a region.
"""

from __future__ import annotations

from math import ceil

from undiced.compiler.wafer.attention import AttentionWriter
from undiced.compiler.wafer.builder import StreamBuilder, X, Y
from undiced.compiler.wafer.vector_math import EXP_OPERATIONS, RECIPROCAL_OPERATIONS, SILU_OPERATIONS
from undiced.compiler.wafer.writer import FLOAT_BYTES, PAIR
from undiced.machine.instruction import Task
from undiced.machine.vector import Kind

PARTS = 8  # a feed-forward block may be cut into eighths of its width, so that regions fill up


def part_name(kind: str, parts: int) -> str:
    """The stream of `parts` eighths of a feed-forward block."""
    return kind if parts == PARTS else f"{kind} {parts}/{PARTS}"


class LayerWriter(AttentionWriter):
    """Writes the streams of one kind of layer on one shard."""

    def dense_ffn(self, parts: int = PARTS) -> StreamBuilder:
        """Norm, up and gate, activation, down, residual; or `parts` of `PARTS` of the width, where regions cut it."""
        b, s = StreamBuilder(part_name("ffn", parts)), self.s
        f = ceil(s.f * parts / PARTS)
        ride = self.norm_open(b, "ffn norm")
        product = self.gemv(b, "up, gate", s.d, (f, f))
        self._activate(b, f, ride, product)
        return b

    def expert_ffn(self, parts: int = PARTS) -> StreamBuilder:
        """Router, the experts that act, the shared one. Every core holds its slice of every expert, or part of it."""
        b, s = StreamBuilder(part_name("experts", parts)), self.s
        experts = s.dims.experts
        assert experts is not None
        logits = ceil(experts.count / s.columns)
        ride = self.norm_open(b, "ffn norm")
        product = self.gemv(b, "router", s.d, (logits,))
        self.normed_sums(b, "router", "ffn norm", "y", logits, ride, product)
        self.spread(b, "router", "y", logits)
        self.reduce(b, "router: gather", "x", experts.count)
        b.vector("top k", Kind.MUL, experts.active, 2 * experts.count, FLOAT_BYTES)
        b.vector("top k: folds", Kind.MUL, experts.active * experts.count.bit_length(), 1, FLOAT_BYTES)
        self.special(b, "router scores", experts.active, EXP_OPERATIONS + RECIPROCAL_OPERATIONS, 2)
        each = ceil(ceil(experts.ffn / s.columns) * parts / PARTS)
        shared = ceil(ceil(experts.shared_ffn / s.columns) * parts / PARTS)
        active = experts.active * each + shared
        columns = (2 * each,) * experts.active + ((2 * shared,) if shared else ())
        product = self.gemv(b, "up, gate", s.d, columns, split=True)
        self._activate(b, active, ride, product)
        return b

    def head(self) -> StreamBuilder:
        """Final norm, lm_head, one draw: the largest logit, plus noise where asked, drawn while the layers run."""
        b, s = StreamBuilder("head"), self.s
        riders = self.norm_open(b, "final norm")
        product = self.gemv(b, "lm_head", s.d, (s.vocab,))
        share = self.normed_sums(b, "lm_head", "final norm", "y", s.vocab, riders, product)
        b.vector("sample: noise", Kind.MUL, 1, share, FLOAT_BYTES)
        b.vector("sample: largest", Kind.SUM, 2, share, FLOAT_BYTES)
        self.gather(b, "sample: largest", "x", 1, exact=True)
        slices = self.slices("y")
        if slices:  # the roots' rows are neighbors and know a largest each
            b.multicast("sample: largest", Y, 1, FLOAT_BYTES, slices)
        b.transfer("sample: its index", 1, FLOAT_BYTES, s.columns)  # only its owner sends
        return b

    def feedback(self, distance: int, off_wafer: bool, host: bool) -> StreamBuilder:
        """The token on its way: to the host, or to the cores that hold the embedding, here or on the first wafer."""
        b = StreamBuilder("feedback")
        b.task("token", 1, Task.LOCAL)
        if off_wafer or host:
            b.transfer("token, off the wafer", 1, FLOAT_BYTES, 0, off_wafer=True)
            distance = self.s.rows + self.s.columns
        if not host:
            b.transfer("token", 1, FLOAT_BYTES, distance)
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
        elements = s.d + self.norm_scale("y")
        b.transfer("hidden state", elements, FLOAT_BYTES, s.columns if kind == "enter" else s.rows + s.columns)
        b.vector("hidden state", Kind.COPY, 1, s.d, FLOAT_BYTES)
        return b

    def _activate(self, b: StreamBuilder, columns: int, riders: int, product: float) -> None:
        """Sum up and gate, activate, multiply down. With slices the roots activate and send only the product."""
        slices = self.slices("sliced")
        line = "sliced" if slices else "y"
        share = self.normed_sums(b, "up, gate", "ffn norm", line, PAIR * columns, riders, product)
        pace = self.pace(share, self.scheme.wire_bytes)
        share //= PAIR
        size = self.scheme.wire_bytes if self.scheme.half_silu else FLOAT_BYTES
        self.special(b, "silu", share, SILU_OPERATIONS, 2, size)
        b.vector("up * gate", Kind.MUL, 1, share, size)
        self.spread(b, "activated", line, columns + self.norm_scale(line))
        self.product_of_slices(b, "down", columns, share, slices, pace)
        self.residual(b, "down")
