"""FLOPs and bytes of each operator for a step: the work itself, without any machine.

A multiply-add counts as two FLOPs, a transcendental as one. Bytes count every weight once a step in its file format,
the cache that a step reads and writes, and activations in and out.
"""

from __future__ import annotations

from collections.abc import Callable

from undiced.model.node import Load, View, slot_bytes


def attended(window: int, load: Load) -> float:
    """Positions that a token attends to on average under a window (0: none)."""
    return min(load.context, window) if window else load.context


def cached(window: int, load: Load) -> float:
    """Positions whose cache rows a step reads, all sequences together."""
    per_sequence = load.context + (load.tokens / load.sequences - 1) / 2
    return load.sequences * (min(per_sequence, window + load.tokens / load.sequences) if window else per_sequence)


def expected_experts(experts: int, top_k: int, tokens: int) -> float:
    """Experts that at least one of `tokens` visits, if tokens choose evenly and independently."""
    return experts * (1.0 - (1.0 - top_k / experts) ** tokens)


def per_value(flops: float) -> Callable[[View, Load], float]:
    """A rule of so many FLOPs for each number of the first input."""

    def rule(view: View, load: Load) -> float:
        return flops * load.tokens * view.widths[0]

    return rule


def no_flops(view: View, load: Load) -> float:
    """A copy."""
    return 0.0


def linear_flops(view: View, load: Load) -> float:
    """A multiply-add per weight and token."""
    weight = view.slots[0]
    return float(load.tokens) * weight.rows * (2 * weight.columns + len(view.slots) - 1)


def attention_flops(view: View, load: Load) -> float:
    """Scores and mixing take 4 head_dim a head and position, the softmax 4."""
    node = view.node
    positions = load.tokens * attended(node.integer("window") or node.integer("chunk"), load)
    return positions * node.integer("heads") * (4 * node.integer("head_dim") + 4)


def mla_flops(view: View, load: Load) -> float:
    """The absorbed form: queries and results pass through kv_b, attention works on latents."""
    node = view.node
    heads, rank = node.integer("heads"), node.integer("kv_rank")
    passes = 2 * rank * (node.integer("nope_dim") + node.integer("v_dim"))
    each = 4 * rank + 2 * node.integer("rope_dim") + 4
    return float(load.tokens) * heads * (passes + each * attended(0, load))


def route_flops(view: View, load: Load) -> float:
    """The router's product, then about 4 operations per expert."""
    return float(load.tokens) * view.slots[0].rows * (2 * view.slots[0].columns + 4)


def experts_flops(view: View, load: Load) -> float:
    """Three products a chosen expert, and the gate."""
    gate = view.slots[0]
    experts, top_k = view.node.integer("experts"), view.node.integer("top_k")
    return float(load.tokens) * top_k * (gate.rows // experts) * (6 * gate.columns + 5)


def _values(view: View, load: Load, width: int) -> float:
    return float(load.tokens) * (sum(view.widths) + width) * load.value_bytes


def plain_bytes(view: View, width: int, load: Load) -> float:
    """Every weight once, values in and out."""
    return sum(slot_bytes(s) for s in view.slots) + _values(view, load, width)


def embed_bytes(view: View, width: int, load: Load) -> float:
    """One row of the table a token."""
    table = view.slots[0]
    return load.tokens * slot_bytes(table) / table.rows + _values(view, load, width)


def attention_bytes(view: View, width: int, load: Load) -> float:
    """Keys and values of the positions in reach, and those that the step appends."""
    node = view.node
    positions = cached(node.integer("window") or node.integer("chunk"), load) + load.tokens
    row = 2 * node.integer("kv_heads") * node.integer("head_dim") * load.kv_bytes
    return plain_bytes(view, width, load) + positions * row


def mla_bytes(view: View, width: int, load: Load) -> float:
    """One latent and one rotated key a position."""
    row = (view.node.integer("kv_rank") + view.node.integer("rope_dim")) * load.kv_bytes
    return plain_bytes(view, width, load) + (cached(0, load) + load.tokens) * row


def experts_bytes(view: View, width: int, load: Load) -> float:
    """Only the experts that some token visits."""
    experts = view.node.integer("experts")
    share = expected_experts(experts, view.node.integer("top_k"), load.tokens) / experts
    return share * sum(slot_bytes(s) for s in view.slots) + _values(view, load, width)
