"""The operator table: for each operator its arity, attributes, shape rule, FLOPs, bytes and numpy meaning.

Everything that walks a graph (verification, costs, the interpreter, compilers) reads this table; a graph is legal
when every node agrees with its row. New operators are new rows, here and in `meaning`, which only an interpreter loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.model import shapes, work
from undiced.model.node import Load, View

if TYPE_CHECKING:
    from undiced.model.meaning import Meaning


@dataclass(frozen=True, slots=True)
class Op:
    """A row of the table.

    Attributes:
        name: what nodes call it.
        ins: names of its inputs in order.
        weights: fewest and most weight slots.
        attrs: name and type of every attribute; nodes have exactly these.
        width: shape rule.
        flops: FLOPs of a step.
        traffic: bytes of a step, given the width of the result.
    """

    name: str
    ins: tuple[str, ...]
    weights: tuple[int, int]
    width: Callable[[View], int]
    flops: Callable[[View, Load], float]
    traffic: Callable[[View, int, Load], float] = work.plain_bytes
    attrs: Mapping[str, type] = field(default_factory=dict)

    @property
    def run(self) -> Meaning:
        """What it computes, in numpy."""
        from undiced.model.meaning import MEANINGS

        return MEANINGS[self.name]

    def bytes(self, view: View, load: Load) -> float:
        """Bytes that a step reads and writes: weights, cache, activations."""
        return self.traffic(view, self.width(view), load)


_ROPE_ATTRS: dict[str, type] = {
    "head_dim": int, "dims": int, "offset": int, "theta": float, "style": str, "scaling": str, "factor": float,
    "low_freq_factor": float, "high_freq_factor": float, "original_context": int, "beta_fast": float,
    "beta_slow": float, "truncate": int, "attention_factor": float, "short_factors": str, "long_factors": str,
}  # fmt: skip
_ATTENTION_ATTRS: dict[str, type] = {
    "heads": int, "kv_heads": int, "head_dim": int, "window": int, "chunk": int, "scale": float, "softcap": float,
    "layer": int,
}  # fmt: skip
_MLA_ATTRS: dict[str, type] = {
    "heads": int, "nope_dim": int, "rope_dim": int, "v_dim": int, "kv_rank": int, "scale": float, "layer": int,
}  # fmt: skip
_ROUTE_ATTRS: dict[str, type] = {
    "experts": int, "top_k": int, "scoring": str, "normalize": int, "scaling": float, "groups": int,
    "top_groups": int, "group_best": int, "router_bias": int, "selection_bias": int,
}  # fmt: skip
_EXPERT_ATTRS: dict[str, type] = {"experts": int, "top_k": int, "activation": str, "limit": float, "scale_input": int}

OPS: dict[str, Op] = {
    op.name: op
    for op in (
        Op("embed", ("tokens",), (1, 1), shapes.embed, work.no_flops, work.embed_bytes, {"scale": float}),
        Op("position_embed", ("x", "positions"), (1, 1), shapes.position_embed, work.per_value(1),
           work.embed_bytes),
        Op("rmsnorm", ("x",), (0, 1), shapes.rmsnorm, work.per_value(4), work.plain_bytes,
           {"eps": float, "width": int}),
        Op("layernorm", ("x",), (2, 2), shapes.layernorm, work.per_value(7), work.plain_bytes,
           {"eps": float}),
        Op("linear", ("x",), (1, 2), shapes.linear, work.linear_flops),
        Op("rope", ("x", "positions"), (0, 1), shapes.rope, work.per_value(3), work.plain_bytes, _ROPE_ATTRS),
        Op("position_scale", ("x", "positions"), (0, 0), shapes.position_scale, work.per_value(1),
           work.plain_bytes, {"floor": int, "scale": float}),
        Op("attention", ("q", "k", "v"), (0, 1), shapes.attention, work.attention_flops,
           work.attention_bytes, _ATTENTION_ATTRS),
        Op("mla_attention", ("q", "latent", "key"), (2, 2), shapes.mla_attention, work.mla_flops,
           work.mla_bytes, _MLA_ATTRS),
        Op("glu", ("gate", "up"), (0, 0), shapes.same, work.per_value(5), work.plain_bytes,
           {"activation": str}),
        Op("act", ("x",), (0, 0), shapes.same, work.per_value(5), work.plain_bytes, {"activation": str}),
        Op("add", ("a", "b"), (0, 0), shapes.same, work.per_value(1)),
        Op("mul_scalar", ("x",), (0, 0), shapes.same, work.per_value(1), work.plain_bytes,
           {"scalar": float}),
        Op("softcap", ("x",), (0, 0), shapes.same, work.per_value(3), work.plain_bytes, {"cap": float}),
        Op("moe_route", ("x",), (1, 3), shapes.moe_route, work.route_flops, work.plain_bytes,
           _ROUTE_ATTRS),
        Op("moe_ffn", ("x", "routes"), (3, 6), shapes.moe_ffn, work.experts_flops, work.experts_bytes,
           _EXPERT_ATTRS),
    )
}  # fmt: skip
