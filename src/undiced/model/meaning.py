"""What every operator of the table computes, node by node in numpy, over the formulas of `reference`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from undiced.model import reference
from undiced.model.node import Node
from undiced.model.reference import F32, Ints
from undiced.model.rope import rope_frequencies
from undiced.model.state import KvState


@dataclass(frozen=True, slots=True)
class Run:
    """One step of the interpreter: all sequences' tokens concatenated.

    Attributes:
        tokens, positions: (T,) int64.
        spans: each sequence's rows [start, stop).
        states: each sequence's cache.
        context: the most positions that a sequence is meant to have; 0: as many as each has after this step.
    """

    tokens: Ints
    positions: Ints
    spans: tuple[tuple[int, int], ...]
    states: tuple[KvState, ...]
    context: int


Meaning = Callable[[Node, Sequence[F32], Sequence[F32], Run], F32]


def _optional(weights: Sequence[F32], index: int) -> F32 | None:
    return weights[index] if len(weights) > index else None


def _embed(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return weights[0][run.tokens] * np.float32(node.number("scale"))


def _position_embed(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return ins[0] + weights[0][run.positions]


def _rmsnorm(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return reference.rmsnorm(ins[0], _optional(weights, 0), node.number("eps"), node.integer("width"))


def _layernorm(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return reference.layernorm(ins[0], weights[0], weights[1], node.number("eps"))


def _linear(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return reference.linear(ins[0], weights[0], _optional(weights, 1))


def _rope(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    how = reference.Rotation(
        node.integer("head_dim"), node.integer("offset"), node.text("style"), node.number("attention_factor")
    )
    out = np.empty_like(ins[0])
    for start, stop in run.spans:
        positions = run.positions[start:stop]
        frequencies = rope_frequencies(node.attrs, run.context or int(positions[-1]) + 1, _optional(weights, 0))
        out[start:stop] = reference.rope(ins[0][start:stop], positions, frequencies, how)
    return out


def _position_scale(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    steps = np.floor((run.positions + 1) / node.integer("floor"))
    return ins[0] * (1.0 + node.number("scale") * np.log1p(steps)).astype(np.float32)[:, None]


def _attention(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    q, k, v = ins
    out = np.empty_like(q)
    head_dim, layer = node.integer("head_dim"), node.integer("layer")
    for (start, stop), state in zip(run.spans, run.states, strict=True):
        keys = state.append(layer, "k", k[start:stop])
        values = state.append(layer, "v", v[start:stop])
        allowed = reference.attention_mask(
            run.positions[start:stop], len(keys), node.integer("window"), node.integer("chunk")
        )
        q_heads, k_heads, v_heads = (x.reshape(len(x), -1, head_dim) for x in (q[start:stop], keys, values))
        scale, cap = node.number("scale"), node.number("softcap")
        out[start:stop] = reference.attend(q_heads, k_heads, v_heads, allowed, scale, cap, _optional(weights, 0))
    return out


def _mla_attention(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    """The expanded form: every cached latent becomes a head's key and value, the rotated key is shared."""
    q, latent, key = ins
    heads, v_dim, rank, layer = (node.integer(a) for a in ("heads", "v_dim", "kv_rank", "layer"))
    to_keys = weights[0].reshape(heads, rank, -1)
    to_values = weights[1].reshape(heads, v_dim, rank).swapaxes(1, 2)
    out = np.empty((len(q), heads * v_dim), dtype=np.float32)
    for (start, stop), state in zip(run.spans, run.states, strict=True):
        latents = state.append(layer, "latent", latent[start:stop])
        turned = state.append(layer, "k", key[start:stop])
        own, values = ((latents @ stack).swapaxes(0, 1) for stack in (to_keys, to_values))
        shared = np.broadcast_to(turned[:, None], (len(turned), heads, turned.shape[1]))
        keys = np.concatenate((own, shared), axis=-1)
        allowed = reference.attention_mask(run.positions[start:stop], len(keys), 0, 0)
        queries = q[start:stop].reshape(stop - start, heads, -1)
        out[start:stop] = reference.attend(queries, keys, values, allowed, node.number("scale"), 0.0, None)
    return out


def _glu(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return reference.glu(ins[0], ins[1], node.text("activation"))


def _act(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return reference.ACTIVATIONS[node.text("activation")](ins[0])


def _add(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return ins[0] + ins[1]


def _mul_scalar(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    return ins[0] * np.float32(node.number("scalar"))


def _softcap(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    cap = np.float32(node.number("cap"))
    capped: F32 = cap * np.tanh(ins[0] / cap)
    return capped


def _moe_route(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    rest = list(weights[1:])
    bias = rest.pop(0) if node.integer("router_bias") else None
    rule = reference.MoeRule(
        node.integer("top_k"),
        node.text("scoring"),
        bool(node.integer("normalize")),
        node.number("scaling"),
        node.integer("groups"),
        node.integer("top_groups"),
        node.integer("group_best"),
    )
    return reference.route(reference.linear(ins[0], weights[0], bias), _optional(rest, 0), rule)


def _moe_ffn(node: Node, ins: Sequence[F32], weights: Sequence[F32], run: Run) -> F32:
    count = node.integer("experts")
    stacks: list[F32 | None] = [w.reshape(count, -1, w.shape[-1]) for w in weights[:3]]
    stacks += [w.reshape(count, -1) for w in weights[3:]] or [None, None, None]
    activation, limit = node.text("activation"), node.number("limit")
    return reference.experts(ins[0], ins[1], stacks, activation, limit, bool(node.integer("scale_input")))


MEANINGS: dict[str, Meaning] = {
    "embed": _embed,
    "position_embed": _position_embed,
    "rmsnorm": _rmsnorm,
    "layernorm": _layernorm,
    "linear": _linear,
    "rope": _rope,
    "position_scale": _position_scale,
    "attention": _attention,
    "mla_attention": _mla_attention,
    "glu": _glu,
    "act": _act,
    "add": _add,
    "mul_scalar": _mul_scalar,
    "softcap": _softcap,
    "moe_route": _moe_route,
    "moe_ffn": _moe_ffn,
}
