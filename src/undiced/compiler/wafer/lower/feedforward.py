"""Lowers feed-forward blocks: activations on columns, gated or not."""

from __future__ import annotations

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.lowering import Lowering, layered
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa

FUNCTIONS = {"silu": "silu", "gelu": "gelu", "gelu_tanh": "gelu_tanh"}


def glu(low: Lowering, node: Node) -> None:
    """activation(gate) * up."""
    w, gate, up = low.w, low.normed(low.get(node)), low.normed(low.get(node, 1))
    active = low.like(gate, layered(node.out)[0])
    w.emit(isa.Apply(w.node, FUNCTIONS[node.text("activation")], active, gate.name))
    w.emit(isa.Combine(w.node, "multiply", active, active, up.name))
    low.held[node.out] = Held(active, gate.side, gate.dims)


def act(low: Lowering, node: Node) -> None:
    """An activation by itself."""
    w, x = low.w, low.normed(low.get(node))
    active = low.like(x, layered(node.out)[0])
    w.emit(isa.Apply(w.node, FUNCTIONS[node.text("activation")], active, x.name))
    low.held[node.out] = Held(active, x.side, x.dims)


def add(low: Lowering, node: Node) -> None:
    """Element by element, where both lie."""
    w, a, b = low.w, low.normed(low.get(node)), low.normed(low.get(node, 1))
    if a.side != b.side:
        raise low.refuse(node, "of values on different axes")
    result = low.like(a, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "add", result, a.name, b.name))
    low.held[node.out] = Held(result, a.side, a.dims)


def mul_scalar(low: Lowering, node: Node) -> None:
    """By a constant."""
    w, x = low.w, low.normed(low.get(node))
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Scale(w.node, "multiply", result, x.name, node.number("scalar")))
    low.held[node.out] = Held(result, x.side, x.dims)


def softcap(low: Lowering, node: Node) -> None:
    """cap * tanh(x / cap)."""
    w, x = low.w, low.normed(low.get(node))
    cap = node.number("cap")
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Scale(w.node, "multiply", result, x.name, 1.0 / cap))
    w.emit(isa.Apply(w.node, "tanh", result, result))
    w.emit(isa.Scale(w.node, "multiply", result, result, cap))
    low.held[node.out] = Held(result, x.side, x.dims)
