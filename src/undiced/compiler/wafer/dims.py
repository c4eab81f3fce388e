"""The dimensions of a model that mappings need, taken from a model configuration. Knows no machine.

`Dims` is what every mapping takes, so that published benchmark shapes (one head, padded) need no checkpoint.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from math import ceil

from undiced.core.errors import CompileError

_LARGEST = 1 << 24
_MOST_LAYERS = 1024
_MOST_EXPERTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts: how many, how many act on a token, their widths, dense layers at the start."""

    count: int
    active: int
    ffn: int
    shared_ffn: int = 0
    dense_layers: int = 0


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention: ranks of the compressed queries (0: none) and keys, dimensions of a head's parts."""

    query_rank: int
    kv_rank: int
    nope_dims: int
    rope_dims: int
    value_dims: int


@dataclass(frozen=True, slots=True)
class Dims:
    """A decoder's dimensions; `ffn` is the dense width (of a model without experts, or of its dense layers)."""

    name: str
    layers: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    qk_norm: bool = False
    experts: Experts | None = None
    latent: Latent | None = None

    def __post_init__(self) -> None:
        for what, size, most in (
            ("layers", self.layers, _MOST_LAYERS),
            ("hidden columns", self.dim, _LARGEST),
            ("heads", self.heads, _LARGEST),
            ("KV heads", self.kv_heads, _LARGEST),
            ("columns per head", self.head_dim, _LARGEST),
            ("feed-forward columns", self.ffn, _LARGEST),
            ("tokens of vocabulary", self.vocab, _LARGEST),
        ):
            self._check(what, size, 1, most)
        if self.heads % self.kv_heads:
            raise CompileError(
                f"{self.name}: {self.kv_heads} KV heads can't serve {self.heads} heads evenly.",
                remedy="Use a divisor of the heads.",
            )
        self._check_experts()
        self._check_latent()

    def _check_experts(self) -> None:
        experts = self.experts
        if experts is None:
            return
        if not 1 <= experts.active <= experts.count:
            raise CompileError(
                f"{self.name}: {experts.active} of {experts.count} experts can't act on a token.",
                remedy=f"Use 1 to {experts.count}.",
            )
        for what, size, low, most in (
            ("experts", experts.count, 1, _MOST_EXPERTS),
            ("columns per expert", experts.ffn, 1, _LARGEST),
            ("columns of shared experts", experts.shared_ffn, 0, _LARGEST),
            ("dense layers", experts.dense_layers, 0, self.layers),
        ):
            self._check(what, size, low, most)

    def _check_latent(self) -> None:
        latent = self.latent
        if latent is None:
            return
        for what, size, low in (
            ("columns of compressed queries", latent.query_rank, 0),
            ("columns of compressed keys", latent.kv_rank, 1),
            ("query columns without rotation", latent.nope_dims, 0),
            ("query columns with rotation", latent.rope_dims, 0),
            ("value columns", latent.value_dims, 1),
        ):
            self._check(what, size, low, _LARGEST)

    def _check(self, what: str, size: int, low: int, most: int) -> None:
        if not low <= size <= most:
            raise CompileError(f"{self.name} can't have {size} {what}.", remedy=f"Use {low} to {most}.")

    @property
    def kv_dim(self) -> int:
        """Width of all keys of a position."""
        return self.kv_heads * self.head_dim

    @property
    def q_dim(self) -> int:
        """Width of all queries of a position."""
        return self.heads * self.head_dim

    @property
    def digest(self) -> str:
        """sha256 over all dimensions: stands for the graph where there is none."""
        return hashlib.sha256(repr(asdict(self)).encode()).hexdigest()


def one_head(dims: Dims, grid: int) -> Dims:
    """The published benchmark's shape: one head and one KV head of width `dim`, dimensions padded up to the grid."""

    def padded(size: int) -> int:
        return ceil(size / grid) * grid

    dim = padded(dims.dim)
    return replace(
        dims, dim=dim, heads=1, kv_heads=1, head_dim=dim, ffn=padded(dims.ffn), qk_norm=False, experts=None, latent=None
    )
