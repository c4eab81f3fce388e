"""Lowers feed-forward blocks: activations on columns, gated or not."""

from __future__ import annotations

from msgspec.structs import replace

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.linear import Output, activated, summed
from undiced.compiler.wafer.lower.lowering import Lowering, layered, view_of
from undiced.compiler.wafer.lower.writer import Writer
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Dim

FUNCTIONS = {"silu": "silu", "gelu": "gelu", "gelu_tanh": "gelu_tanh", "swiglu_oss": "quick_gelu"}


def gate_times_up(w: Writer, result: str, gate: str, up: str, activation: str, limit: float = 0.0) -> None:
    """activation(gate) * up; "swiglu_oss" clamps both by `limit` and adds 1 to `up`. Changes its operands."""
    if activation == "swiglu_oss":
        if limit:
            w.emit(isa.Scale(w.node, "minimum", gate, gate, limit))
            w.emit(isa.Scale(w.node, "minimum", up, up, limit))
            w.emit(isa.Scale(w.node, "maximum", up, up, -limit))
        w.emit(isa.Scale(w.node, "add", up, up, 1.0))
    w.emit(isa.Apply(w.node, FUNCTIONS[activation], result, gate))
    w.emit(isa.Combine(w.node, "multiply", result, result, up))


def gated_pair(low: Lowering, node: Node, nodes: list[Node]) -> Node | None:
    """The activation that alone reads two products of one input, if that is what they are for."""
    users = [user for each in nodes for user in low.users(each.out)]
    if len(nodes) == 2 and len(users) == 2 and users[0] is users[1] and users[0].op == "glu":
        return users[0]
    return None


def gated(low: Lowering, x: Held, gate: Output, up: Output, node: Node) -> Held:
    """activation(gate) * up at the roots, gate and up side by side element by element."""
    tile = summed(low, x, [gate, up], interleaved=True)
    w, dims = low.w, (Dim("flat", 0),)

    def work(result: str, body: str) -> None:
        halves = [w.value(f"{what}.body", dims, (tile.part,), (), view=view_of(tile_root(low, body), 0, 2, n))
                  for n, what in enumerate(("gate", "up"))]  # fmt: skip
        gate_times_up(w, result, halves[0], halves[1], node.text("activation"))

    return activated(low, tile, layered(node.out)[0], work)


def tile_root(low: Lowering, body: str) -> str:
    """The value that a view lies in."""
    view = low.w.values[body].view
    return view.parent if view else body


def single_activation(low: Lowering, nodes: list[Node]) -> Node | None:
    """The activation that alone reads a product."""
    users = low.users(nodes[0].out)
    return users[0] if len(nodes) == 1 and len(users) == 1 and users[0].op == "act" else None


def ungated(low: Lowering, x: Held, output: Output, node: Node) -> Held:
    """An activation by itself, at the roots."""
    tile = summed(low, x, [output])

    def work(result: str, body: str) -> None:
        low.w.emit(isa.Apply(low.w.node, FUNCTIONS[node.text("activation")], result, body))

    return activated(low, tile, layered(node.out)[0], work)


def glu(low: Lowering, node: Node) -> None:
    """activation(gate) * up, where both lie already."""
    w, gate, up = low.w, low.normed(low.get(node)), low.normed(low.get(node, 1))
    active = low.like(gate, layered(node.out)[0])
    gate_times_up(w, active, gate.name, up.name, node.text("activation"))
    low.held[node.out] = Held(active, gate.side, gate.dims)


def act(low: Lowering, node: Node) -> None:
    """An activation where its input lies."""
    w, x = low.w, low.normed(low.get(node))
    active = low.like(x, layered(node.out)[0])
    w.emit(isa.Apply(w.node, FUNCTIONS[node.text("activation")], active, x.name))
    low.held[node.out] = Held(active, x.side, x.dims)


def add(low: Lowering, node: Node) -> None:
    """Element by element, where both lie."""
    w = low.w
    a, b = (low.normed(low.sums.get(name, low.held[name])) for name in node.ins)
    if a.side != b.side:
        raise low.refuse(node, "of values on different axes")
    result = low.like(a, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "add", result, a.name, b.name))
    low.held[node.out] = Held(result, a.side, a.dims)


def mul_scalar(low: Lowering, node: Node) -> None:
    """By a constant; a norm that waits goes on waiting."""
    w, x = low.w, low.get(node)
    label = layered(node.out)[0]
    result = low.like(x, f"{label}.unnormed" if x.norm else label)
    w.emit(isa.Scale(w.node, "multiply", result, x.norm.scaled if x.norm else x.name, node.number("scalar")))
    norm = None if x.norm is None else replace(x.norm, scaled=result)
    low.held[node.out] = Held(result, x.side, x.dims, norm)


def softcap(low: Lowering, node: Node) -> None:
    """cap * tanh(x / cap)."""
    x = low.normed(low.get(node))
    result = low.like(x, layered(node.out)[0])
    low.w.capped(result, x.name, node.number("cap"))
    low.held[node.out] = Held(result, x.side, x.dims)
