"""What a latent attention is in the graph, and how its dimensions lie on the cores. Emits no instruction."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.lowering import Lowering
from undiced.model.node import Node
from undiced.program.wafer.layout import POSITION, Dim, Partial, Replicate, Shard, Spread


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes around a latent attention, from the norm of the hidden state to the product that leads back to it."""

    query: Node
    query_turn: Node
    latent: Node
    latent_norm: Node
    key: Node
    key_turn: Node
    mix: Node
    out: Node
    low_query: Node | None
    query_norm: Node | None

    @classmethod
    def around(cls, low: Lowering, mix: Node) -> Nodes:
        """What `mix` reads and what reads it."""
        made = {node.out: node for node in low.nodes}
        query_turn, latent_norm, key_turn = (made[name] for name in mix.ins)
        query, latent, key = (made[node.ins[0]] for node in (query_turn, latent_norm, key_turn))
        norm = made[query.ins[0]] if query.ins != latent.ins else None
        low_query = made[norm.ins[0]] if norm is not None else None
        return cls(query, query_turn, latent, latent_norm, key, key_turn, mix, low.users(mix.out)[0], low_query, norm)

    @property
    def names(self) -> set[str]:
        """What all of them but the attention itself make."""
        fields = (self.query, self.query_turn, self.latent, self.latent_norm, self.key, self.key_turn, self.out)
        extra = (self.low_query, self.query_norm)
        return {node.out for node in (*fields, *extra) if node is not None}


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a latent attention and how they lie."""

    grid: Grid
    head: Dim
    nope: Dim
    pair: Dim
    value: Dim
    rank: Dim

    @classmethod
    def of(cls, low: Lowering, mix: Node) -> Shape:
        """As the node says."""
        sizes = {name: mix.integer(name) for name in ("heads", "nope_dim", "rope_dim", "v_dim", "kv_rank")}
        if sizes["rope_dim"] % 2:
            raise low.refuse(mix, "with an odd number of rotated columns")
        return cls(
            low.grid,
            Dim("head", sizes["heads"]),
            Dim("nope", sizes["nope_dim"]),
            Dim("pair", sizes["rope_dim"] // 2),
            Dim("value", sizes["v_dim"]),
            Dim("rank", sizes["kv_rank"]),
        )

    @property
    def rope(self) -> tuple[Dim, Dim]:
        """A head's rotated columns."""
        return self.pair, Dim("turn", 2)

    def over(self, dim: str) -> Spread:
        """A dimension of latents over rows."""
        return self.grid.over_rows(dim)

    def bands(self, dim: str = "") -> Spread:
        """Heads over bands of columns, a dimension over a band's lanes (or the same on all)."""
        count = min(self.head.size, self.grid.columns)
        lanes = self.grid.columns // count
        return Shard("head", count), Shard(dim, lanes) if dim else Replicate(lanes)

    @property
    def head_terms(self) -> Spread:
        """Heads over bands of columns, terms of a sum on the lanes."""
        count, lanes = (part.ways for part in self.bands())
        return Shard("head", count), Partial("sum", lanes)

    @property
    def _halves(self) -> int:
        return min(2, self.grid.rows)

    @property
    def turning(self) -> Spread:
        """Pairs over rows, whole, each twice where there are rows enough: rotations need both elements."""
        return Shard("pair", self.grid.rows // self._halves), Replicate(self._halves)

    @property
    def turned(self) -> Spread:
        """Each element of a pair on a row of its own."""
        return Shard("pair", self.grid.rows // self._halves), Shard("turn", self._halves)

    @property
    def positions(self) -> Spread:
        """Cached positions over columns."""
        return (Shard(POSITION, self.grid.columns, "cyclic"),)
