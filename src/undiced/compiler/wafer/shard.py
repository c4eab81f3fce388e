"""How one layer lies on a region: the hidden state and KV positions over one axis, heads and FFN over the other.

Products alternate between the axes, so each finds its operand where the one before left it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from undiced.compiler.wafer.dims import Dims
from undiced.compiler.wafer.scheme import Scheme

_ACTIVATION_BYTES = 4
_NORM_BYTES = 2  # scaling by a power of two keeps a weight's format


@dataclass(frozen=True, slots=True)
class Shard:
    """One core's share on a region of `rows` (hidden axis) by `columns` (head axis) cores.

    Attributes:
        d: hidden columns; k: key columns of its KV heads (values alike); group: query heads a KV head; q = group x k.
        band: cores along the head axis that share a KV head; bands: how many there are.
        f: dense FFN columns; vocab: vocabulary rows.
    """

    dims: Dims
    rows: int
    columns: int
    d: int
    k: int
    group: int
    band: int
    bands: int
    f: int
    vocab: int

    @classmethod
    def of(cls, dims: Dims, rows: int, columns: int) -> Shard:
        """The shard of `dims` on rows x columns cores."""
        bands = _bands(dims, columns)
        band = max(1, columns // bands)
        heads_here = max(1, ceil(dims.kv_heads / columns)) if dims.latent is None else 1
        width = dims.latent.kv_rank + dims.latent.rope_dims if dims.latent else dims.head_dim
        group = dims.heads // dims.kv_heads if dims.latent is None else ceil(dims.heads / bands)
        return cls(
            dims=dims,
            rows=rows,
            columns=columns,
            d=ceil(dims.dim / rows),
            k=ceil(width / band) * heads_here,
            group=group,
            band=band,
            bands=bands,
            f=ceil(dims.ffn / columns),
            vocab=ceil(dims.vocab / columns),
        )

    @property
    def q(self) -> int:
        """Query columns of a core."""
        return self.group * self.k

    def positions(self, context: int) -> int:
        """KV positions on the fullest core."""
        return max(1, ceil(context / self.rows))

    def attention_weights(self) -> int:
        """Matrix elements of the attention block on a core."""
        latent = self.dims.latent
        if latent is None:
            return self.d * (self.q + 2 * self.k) + self.q * self.d
        down = ceil(latent.query_rank / self.columns) + ceil((latent.kv_rank + latent.rope_dims) / self.columns)
        q_width = self.dims.heads * (latent.nope_dims + latent.rope_dims)
        up = ceil(max(latent.query_rank, self.dims.dim if not latent.query_rank else 0) / self.columns) * ceil(
            q_width / self.rows
        )
        absorbed = self.nope_rows() * self.latent_columns() + self.group * self.latent_columns() * self.value_rows()
        return self.d * down + up + absorbed + self.output_columns() * self.d

    def nope_rows(self) -> int:
        """Latent attention: query dimensions without rotation on a row."""
        assert self.dims.latent is not None
        return ceil(self.dims.heads * self.dims.latent.nope_dims / self.rows)

    def latent_columns(self) -> int:
        """Latent attention: compressed key columns of a core of a band."""
        assert self.dims.latent is not None
        return ceil(self.dims.latent.kv_rank / self.band)

    def value_rows(self) -> int:
        """Latent attention: value dimensions of one of a band's heads on a row."""
        assert self.dims.latent is not None
        return ceil(self.dims.latent.value_dims / self.rows)

    def output_columns(self) -> int:
        """Inputs of the output projection on a core."""
        latent = self.dims.latent
        return ceil(self.dims.heads * latent.value_dims / self.columns) if latent else self.q

    def free_columns(self) -> int:
        """Columns without heads: a band is wider than its head's columns, or the bands leave some over."""
        if self.dims.latent is not None or self.dims.kv_heads > self.columns:
            return 0
        return self.columns - self.bands * ceil(self.dims.head_dim / self.k)

    def beside_attention(self) -> int:
        """Dense FFN columns on a core that holds heads too: what the free columns, as full as any, leave over."""
        free = self.free_columns()
        return min(self.f, ceil(max(0, self.dims.ffn - free * self.f) / (self.columns - free)))

    def ffn_weights(self, layer: int, free: bool = False) -> int:
        """Matrix elements of a layer's feed-forward block, all experts included, on a core beside attention (or free
        of it)."""
        experts = self.dims.experts
        if experts is None or layer < experts.dense_layers:
            return 3 * self.d * (self.f if free else self.beside_attention())
        each = 3 * self.d * ceil(experts.ffn / self.columns)
        shared = 3 * self.d * ceil(experts.shared_ffn / self.columns)
        return experts.count * each + shared + self.d * ceil(experts.count / self.columns)

    def kv_bytes(self, scheme: Scheme, context: int, batch: int) -> int:
        """Bytes of one layer's KV cache on the fullest core."""
        elements = self.k if self.dims.latent else 2 * self.k
        return self.positions(context) * elements * scheme.kv_bytes * batch

    def buffer_bytes(self, scheme: Scheme, context: int, batch: int) -> int:
        """Bytes of activations, scaled norm weights, scores, rotation tables. Arriving wavelets are added in place."""
        widest = max(self.q + 2 * self.k, 2 * self.f_active())
        scores = 2 * self.group * self.positions(context)
        each = (3 * self.d + widest + scores) * _ACTIVATION_BYTES + self.d * _NORM_BYTES
        return each * batch + 2 * self.k * _ACTIVATION_BYTES

    def f_active(self) -> int:
        """FFN columns that one token uses on a core."""
        experts = self.dims.experts
        if experts is None:
            return self.f
        routed = experts.active * ceil(experts.ffn / self.columns) + ceil(experts.shared_ffn / self.columns)
        return max(routed, self.f if experts.dense_layers else 0)


def _bands(dims: Dims, columns: int) -> int:
    """KV heads side by side along the head axis; latent attention keeps copies of its one latent instead."""
    if dims.latent is None:
        return min(dims.kv_heads, columns)
    width = dims.latent.kv_rank + dims.latent.rope_dims
    bands = 1
    while bands * 2 <= dims.heads and columns // (bands * 2) >= 16 and width * bands * 2 <= 1 << 14:
        bands *= 2
    return bands
