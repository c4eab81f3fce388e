"""Lowers products with matrices: inputs on one axis, outputs on the other, the sum between them.

From rows to columns all products of one input are one tile, and a waiting norm's sum of squares rides on their sum.
From columns to rows the sum arrives where the hidden state lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from msgspec.structs import replace

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.lowering import HIDDEN, Lowering, layered, vector_weight, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Roots, Spread
from undiced.program.wafer.value import DType, Kind, Value, Weights, local_shape


@dataclass(frozen=True, slots=True)
class Output:
    """One product's result: dimensions, how they lie over columns, and how the weights' rows name them."""

    node: Node
    dims: tuple[Dim, ...]
    columns: Spread
    head_columns: tuple[int, ...] = ()
    scale: float = 1.0
    label: str = ""


def to_columns(low: Lowering, x: Held, outputs: list[Output], exact: bool = False) -> list[Held]:
    """Products of a value on rows with matrices whose outputs lie over columns; biases and a waiting norm included."""
    w, grid = low.w, low.grid
    norm = x.norm
    source = norm.scaled if norm else x.name
    shares = [_share(o, grid.columns) for o in outputs]
    riders = 1 if norm else 0
    flat = (Dim("flat", sum(shares) + riders),)
    terms = (Partial("sum", grid.rows),)
    payload = w.value("payload", flat, terms, (), w.numbers.sums)
    parts, offset = [], 0
    for output, share in zip(outputs, shares, strict=True):
        parts.append(w.value(f"{layered(output.node.out)[0]}.terms", output.dims, terms, output.columns,
                             w.numbers.sums, view=view_of(payload, offset)))  # fmt: skip
        offset += share
    weights = tuple(_matrix(low, x, output) for output in outputs)
    inner = tuple(dict.fromkeys(dim.name for output in outputs for dim in output.dims))
    if norm:
        rider = w.value("square", (), terms, (), view=view_of(payload, offset))
        low.square_sum(norm.source, rider)
    w.emit(isa.Product(w.node, source, weights, tuple(parts), inner))
    part = Roots(grid.rows, w.tree(grid.rows), 1, riders)
    at_root = w.value("payload.sum", flat, (part,), ())
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, grid.line(Axis.ROWS), "f32" if exact else w.numbers.wire))
    body = w.value("payload.body", (Dim("flat", 0),), (part,), (), view=view_of(at_root))
    if norm:
        square = w.value("square.sum", (), (part,), (), view=view_of(at_root, -riders))
        w.emit(isa.Combine(w.node, "multiply", body, body, low.inverse_root(square, norm.width, norm.eps)))
    if any(len(output.node.weights) > 1 for output in outputs):
        _add_biases(low, outputs, body, flat, part)
    whole = w.sent(body, grid.line(Axis.ROWS), "payload.all", (Dim("flat", sum(shares)),), (), (), exact=exact)
    return _parts_of(low, whole, outputs, shares)


def _parts_of(low: Lowering, whole: str, outputs: list[Output], shares: list[int]) -> list[Held]:
    out, offset = [], 0
    for output, share in zip(outputs, shares, strict=True):
        label = output.label or layered(output.node.out)[0]
        name = low.w.value(label, output.dims, (), output.columns, view=view_of(whole, offset))
        out.append(Held(name, "columns", output.dims))
        offset += share
    return out


def _share(output: Output, columns: int) -> int:
    """Elements of an output on a core."""
    return prod(local_shape(Value("", output.dims, columns=output.columns)))


def _matrix(low: Lowering, x: Held, output: Output) -> str:
    role, layer = layered(output.node.weights[0])
    order = (*output.dims, *x.dims)
    held = Weights(role, order, layer, output.head_columns, scale=output.scale)
    return low.w.weight(role, (*x.dims, *output.dims), held, low.w.values[x.name].rows, output.columns)


def _add_biases(low: Lowering, outputs: list[Output], body: str, flat: tuple[Dim, ...], part: Roots) -> None:
    """Biases lie side by side as the results do; those without one are 0."""
    w = low.w
    name = "biases:" + "+".join(layered(o.node.weights[1])[0] if len(o.node.weights) > 1 else "0" for o in outputs)
    shares = [_share(o, low.grid.columns) for o in outputs]
    w.values[name] = _flat_weight(name, sum(shares))
    offset = 0
    for output, share in zip(outputs, shares, strict=True):
        if len(output.node.weights) > 1:
            role, layer = layered(output.node.weights[1])
            held = Weights(role, output.dims, layer, output.head_columns, scale=output.scale)
            value = w.weight(role, output.dims, held, (), output.columns, DType.F32)
            w.values[value] = replace(w.values[value], view=view_of(name, offset))
        offset += share
    mine = w.value("bias", (Dim("flat", sum(shares)),), (Roots(part.ways, part.tree),), ())
    w.emit(isa.Slice(w.node, mine, name))
    w.emit(isa.Combine(w.node, "add", body, body, mine))


def _flat_weight(name: str, size: int) -> Value:
    return Value(name, (Dim("flat", size),), DType.F32, (), (), Kind.WEIGHT)


def to_rows(low: Lowering, x: Held, node: Node) -> Held:
    """The product of a value on columns whose outputs are the hidden state's columns, on rows."""
    w, grid = low.w, low.grid
    x = low.normed(x)
    role, layer = layered(node.weights[0])
    hidden = low.hidden_dims()
    over = grid.over_rows(HIDDEN)
    held = Weights(role, (*hidden, *x.dims), layer)
    weight = w.weight(role, (*x.dims, *hidden), held, over, w.values[x.name].columns)
    label = layered(node.out)[0]
    terms = w.value(f"{label}.terms", hidden, over, (Partial("sum", grid.columns),), w.numbers.sums)
    w.emit(isa.Product(w.node, x.name, (weight,), (terms,), (HIDDEN,)))
    at_root = w.joined(terms, grid.line(Axis.COLUMNS), exact=False)
    whole = Held(w.sent(at_root, grid.line(Axis.COLUMNS), label, hidden, over, (), exact=False), "rows", hidden)
    if len(node.weights) > 1:
        w.emit(isa.Combine(w.node, "add", whole.name, whole.name, vector_weight(low, node.weights[1], whole)))
    return whole
