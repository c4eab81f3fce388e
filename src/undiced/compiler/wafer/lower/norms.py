"""Lowers norms: over the hidden state they wait for the product that they feed; over heads they are taken at once."""

from __future__ import annotations

from math import prod
from typing import Literal

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.lowering import Lowering, layered, vector_weight
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial
from undiced.program.wafer.value import DType, View, Weights

_AFFINE: tuple[Literal["multiply", "add"], ...] = ("multiply", "add")  # by what a layernorm's weights enter


def rmsnorm(low: Lowering, node: Node) -> None:
    """Over the whole width of a value, over all heads together, or head by head."""
    x = low.normed(low.get(node))
    in_heads = any(dim.name == "pair" for dim in x.dims)
    if node.integer("width") == _width(x) and not in_heads:
        norm = low.open_norm(node, x)
        low.held[node.out] = Held(norm.scaled, x.side, x.dims, norm)
    elif node.integer("width") == _width(x) and low.config.qk_norm == "whole":
        low.held[node.out] = _all_heads(low, node, x)
    else:
        low.held[node.out] = _heads(low, node, x)


def _width(x: Held) -> int:
    return prod(dim.size for dim in x.dims)


def _heads(low: Lowering, node: Node, x: Held) -> Held:
    """Sums of squares over the lanes of a sub-band, one a head."""
    w, bands = low.w, low.bands
    heads = tuple(dim for dim in x.dims if dim.name not in ("pair", "turn"))
    lie = bands.queries() if any(dim.name == "group" for dim in heads) else bands.keys()
    squares = w.value(f"{x.name}.square", heads, (), bands.terms(lie))
    low.square_sum(x.name, squares)
    at_root = w.joined(squares, bands.line, whole=True)
    low.inverse_root(at_root, node.integer("width"), node.number("eps"))
    root = w.sent(at_root, bands.line, f"{x.name}.root", heads, (), lie)
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "multiply", result, x.name, root))
    if node.weights:
        w.emit(isa.Combine(w.node, "multiply", result, result, head_weight(low, node, x)))
    return Held(result, x.side, x.dims)


def _all_heads(low: Lowering, node: Node, x: Held) -> Held:
    """One sum of squares over all columns of cores; where sub-bands have the same keys, each counts its own."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    copies = 1 if any(dim.name == "group" for dim in x.dims) else low.bands.groups
    squares = w.value(f"{x.name}.square", (), (), (Partial("sum", line.span),))
    low.square_sum(_told_apart(low, x) if copies > 1 else x.name, squares)
    at_root = w.joined(squares, line, whole=True)
    low.inverse_root(at_root, node.integer("width") * copies, node.number("eps"))
    root = w.sent(at_root, line, f"{x.name}.root", (), (), ())
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "multiply", result, x.name, root))
    w.emit(isa.Combine(w.node, "multiply", result, result, heads_weight(low, node, x)))
    return Held(result, x.side, x.dims)


def _told_apart(low: Lowering, keys: Held) -> str:
    """Keys of every sub-band as heads of its own, in the same place."""
    w, held = low.w, low.w.values[keys.name]
    head, *columns = keys.dims
    dims = (head, Dim("group", low.bands.groups), *columns)
    spread = low.bands.queries("pair")
    return w.value(f"{keys.name}.each", dims, (), spread, held.dtype, view=held.view or View(keys.name))


def heads_weight(low: Lowering, node: Node, x: Held) -> str:
    """A norm's weights for every head, in the order of a head's pairs."""
    from undiced.compiler.wafer.lower.products import head_columns

    role, layer = layered(node.weights[0])
    held = Weights(role, x.dims, layer, head_columns(low, node))
    return low.w.weight(role, x.dims, held, *low.spreads(x.name), DType.F32)


def head_weight(low: Lowering, node: Node, x: Held) -> str:
    """A norm's weights in the order of a head's pairs."""
    from undiced.compiler.wafer.lower.products import head_columns

    role, layer = layered(node.weights[0])
    dims = tuple(dim for dim in x.dims if dim.name in ("pair", "turn"))
    held = Weights(role, dims, layer, head_columns(low, node))
    return low.w.weight(role, dims, held, (), low.bands.lanes_of("pair"), DType.F32)


def layernorm(low: Lowering, node: Node) -> None:
    """Mean and variance in two sums: the mean first, so that the variance is that of small numbers."""
    w, x = low.w, low.normed(low.get(node))
    axis = Axis.ROWS if x.side == "rows" else Axis.COLUMNS
    width = _width(x)
    centered = low.like(x, f"{x.name}.centered")
    w.emit(isa.Combine(w.node, "subtract", centered, x.name, _mean(low, x.name, axis, width)))
    _forget_padding(low, x, centered)
    variance = w.value(f"{x.name}.square", (), *_terms(low, axis))
    low.square_sum(centered, variance)
    at_root = w.joined(variance, low.grid.line(axis), whole=True)
    low.inverse_root(at_root, width, node.number("eps"))
    root = w.sent(at_root, low.grid.line(axis), f"{x.name}.root", (), (), ())
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "multiply", result, centered, root))
    for slot, operation in zip(node.weights, _AFFINE, strict=True):
        w.emit(isa.Combine(w.node, operation, result, result, vector_weight(low, slot, x)))
    low.held[node.out] = Held(result, x.side, x.dims)


def _terms(low: Lowering, axis: Axis):  # type: ignore[no-untyped-def]
    terms = (Partial("sum", low.grid.extent(axis)),)
    return (terms, ()) if axis is Axis.ROWS else ((), terms)


def _mean(low: Lowering, name: str, axis: Axis, width: int) -> str:
    w = low.w
    own = w.value(f"{name}.own", (), *_terms(low, axis))
    w.emit(isa.Fold(w.node, "sum", own, name))
    at_root = w.joined(own, low.grid.line(axis), whole=True)
    w.emit(isa.Scale(w.node, "multiply", at_root, at_root, 1.0 / width))
    return w.sent(at_root, low.grid.line(axis), f"{name}.mean", (), (), ())


def _forget_padding(low: Lowering, x: Held, centered: str) -> None:
    """Padding is 0 less the mean now: a vector of ones where there are columns puts it back to 0."""
    ones = low.w.weight("ones", x.dims, Weights("", x.dims, False), *low.spreads(x.name), dtype=DType.F32)
    low.w.emit(isa.Combine(low.w.node, "multiply", centered, centered, ones))
