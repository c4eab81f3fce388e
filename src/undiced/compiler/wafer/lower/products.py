"""Lowers the graph's `linear`: decides from where its input lies where its output goes, and what names its columns."""

from __future__ import annotations

from undiced.compiler.wafer.lower.feedforward import gated, gated_pair, single_activation, ungated
from undiced.compiler.wafer.lower.latent import left_to_attention
from undiced.compiler.wafer.lower.linear import Output, to_columns, to_rows
from undiced.compiler.wafer.lower.lowering import FEATURE, Lowering
from undiced.compiler.wafer.lower.positions import pairing
from undiced.model.node import Node
from undiced.program.wafer.layout import Dim


def linear(low: Lowering, node: Node) -> None:
    """All products of one input as one tile; or the way back to the hidden state."""
    if left_to_attention(low, node):
        return
    x = low.get(node)
    if x.side == "columns":
        low.held[node.out] = to_rows(low, x, node)
        return
    nodes = low.siblings(node)
    outputs = [output_of(low, each) for each in nodes]
    together = gated_pair(low, node, nodes)
    if together is not None:
        gate, up = (outputs[[n.out for n in nodes].index(name)] for name in together.ins)
        low.held[together.out] = gated(low, x, gate, up, together)
        low.done.add(together.out)
        return
    alone = single_activation(low, nodes)
    if alone is not None:
        low.held[alone.out] = ungated(low, x, outputs[0], alone)
        low.done.add(alone.out)
        return
    for each, held in zip(nodes, to_columns(low, x, outputs), strict=True):
        low.held[each.out] = held


def output_of(low: Lowering, node: Node) -> Output:
    """How the output's columns are named and lie: by what reads them."""
    config, bands = low.config, low.bands
    role = attention_role(low, node.out)
    if role in ("q", "k"):
        if config.head_dim % 2:
            raise low.refuse(node, f"of heads with {config.head_dim} columns: they lie in pairs")
        pairs = (Dim("pair", config.head_dim // 2), Dim("turn", 2))
        heads: tuple[Dim, ...] = (Dim("kv", config.kv_heads),)
        heads += (Dim("group", config.heads // config.kv_heads),) if role == "q" else ()
        scale = float(config.scale) if role == "q" and config.qk_norm == "none" else 1.0
        lie = bands.queries("pair") if role == "q" else bands.keys("pair")
        return Output(node, (*heads, *pairs), lie, head_columns(low, node), scale)
    if role == "v":
        return Output(node, (Dim("kv", config.kv_heads), Dim("column", config.head_dim)), bands.keys("column"))
    dim = low.features(low.graph.slot(node.weights[0]).rows)
    return Output(node, (dim,), low.grid.over_columns(FEATURE))


def attention_role(low: Lowering, name: str) -> str:
    """Which input of attention a value becomes: q, k or v; "" for none."""
    for user in low.users(name):
        if user.op == "attention":
            return "qkv"[user.ins.index(name)]
        if user.op in ("rope", "rmsnorm", "position_scale"):
            return attention_role(low, user.out)
    return ""


def head_columns(low: Lowering, node: Node) -> tuple[int, ...]:
    """The order of a head's columns that its rotation wants, wherever in the segment it is."""
    for turned in low.nodes:
        if turned.op == "rope":
            return pairing(
                turned.integer("head_dim"), turned.integer("dims"), turned.integer("offset"), turned.text("style")
            )
    return ()
