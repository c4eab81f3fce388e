"""Instructions of latent attention, absorbed: every position has one row in the cache, which all heads share.

A row is a latent of `rank` columns and a rotated key of `rope` columns. Queries meet the latents themselves, for which
each head's `nope` columns pass through a matrix of its own; what attention mixes are latents, too, and each head's pass
through another matrix of its own.
"""

from __future__ import annotations

from undiced.program.host.field import Count, Factor, Floats, KvIndex, Matrix, Partition
from undiced.program.host.instr import Instr, Shape, Span

HEAD_TILE = 16  # rows of a head's matrix come in multiples of these: no tile of a packed matrix has rows of two heads


class HeadMatmul(Instr, frozen=True, kw_only=True, tag=19):
    """dst[:, h*rows:(h+1)*rows] = a[:, h*stride:h*stride+columns] @ weight[h*rows:(h+1)*rows].T, h each of `heads`"""

    split = Partition.COLUMNS
    dst: Floats
    a: Factor
    weight: Matrix
    heads: Count
    rows: Count
    columns: Count
    stride: Count

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, (self.heads - 1) * self.stride + self.columns),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.heads * self.rows),)

    def shapes(self) -> tuple[Shape, ...]:
        return (Shape(self.weight, self.heads * self.rows, self.columns),)

    def fault(self) -> str:
        if self.rows % HEAD_TILE:
            return f"{self.rows} rows of a head are no multiple of {HEAD_TILE}"
        return "dst is a" if self.dst == self.a else ""


class LatentStore(Instr, frozen=True, kw_only=True, tag=20):
    """append a[:, :columns] to the layer's cache of latents"""

    row_kind = "tokens"
    a: Floats
    kv_layer: KvIndex
    columns: Count

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, self.columns),)


class LatentAttention(Instr, frozen=True, kw_only=True, tag=21):
    """dst = causal attention over the layer's cache of latents, whose first `rank` columns are the values; head h's
    query is q[:, h*rank:(h+1)*rank], and behind it the last `rope` columns of turned[:, h*(nope+rope):][:nope+rope]"""

    split = Partition.HEADS
    dst: Floats
    q: Floats
    turned: Floats
    kv_layer: KvIndex
    heads: Count
    rank: Count
    nope: Count
    rope: Count
    scale: float

    def reads(self) -> tuple[Span, ...]:
        turned = Span(self.turned, 0, self.heads * (self.nope + self.rope))
        return Span(self.q, 0, self.heads * self.rank), turned

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.heads * self.rank),)

    def fault(self) -> str:
        return "dst is q" if self.dst in (self.q, self.turned) else ""
