"""How the published mappings lower a layer: what lines join is sent to all of their cores, and all go on with it.

Both lay the hidden state over rows, heads and feed-forward columns over columns, and take the same collectives: a norm,
queries with keys and values, scores, the softmax's maximum and sum, values, the way back, a norm, gate with up, the way
back. What they do differently is a `Style`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

from msgspec.structs import replace

from undiced.compiler.wafer.lower.attention import ring
from undiced.compiler.wafer.lower.feedforward import FUNCTIONS, gate_times_up
from undiced.compiler.wafer.lower.held import ByPosition, Held
from undiced.compiler.wafer.lower.linear import Output, parts_of, weights_of
from undiced.compiler.wafer.lower.lowering import HIDDEN, Lowering, layered, matrix, vector_weight, view_of
from undiced.compiler.wafer.lower.norms import head_weight, heads_weight
from undiced.compiler.wafer.lower.positions import looked_up
from undiced.compiler.wafer.lower.products import output_of
from undiced.compiler.wafer.lower.table import LOWERINGS, Lower
from undiced.compiler.wafer.lower.writer import Writer
from undiced.compiler.wafer.published.rotation import rotate, table_of
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Dim, Partial, Shard, Spread
from undiced.program.wafer.sequences import CALLS
from undiced.program.wafer.value import DType, Kind, local_shape

_LOWEST = -1e30
Wire = Literal["f32", "f16"]


@dataclass(frozen=True, slots=True)
class Style:
    """What the published mappings do differently.

    Attributes:
        operand: element type of what products multiply.
        maximum: wire of the softmax's maximum.
        apart: what lines join is sent one way and then the other.
        vectors: functions that are sequences of vector operations; others are calls of the library.
        compiled: the sum of scores has one length, for all positions that the program holds; products and the softmax
            follow the position.
        activated: elements of a core's gate that the activation is taken of; None for all. The published benchmark
            takes as many as a core has hidden columns, and so computes no model where it has more of the gate's.
    """

    operand: DType
    maximum: Wire
    apart: bool
    vectors: frozenset[str]
    compiled: bool = False
    activated: int | None = None


def lowerings(style: Style) -> Mapping[str, Lower]:
    """The table of lowerings of a published mapping: ours where it has none of its own."""
    own = {"rmsnorm": rmsnorm, "linear": linear, "rope": rope, "attention": attention, "glu": glu, "act": act}
    return {**LOWERINGS, **{op: partial(lower, style) for op, lower in own.items()}}


def _everywhere(
    style: Style, low: Lowering, name: str, line: isa.Line, label: str, columns: Spread, rows: Spread = (),
    operation: isa.Join = "sum", wire: Wire = "f32", *, compiled: bool = False,
) -> str:  # fmt: skip
    return low.w.everywhere(name, line, label, rows, columns, operation, wire, apart=style.apart, compiled=compiled)


def apply(style: Style, w: Writer, function: str, result: str, a: str) -> None:
    """A function by a call of the library, where that has it and the mapping no sequence of vector operations."""
    library = function in CALLS and function not in style.vectors
    w.emit(isa.Apply(w.node, function, result, a, "library" if library else "vectors"))


# Products


def linear(style: Style, low: Lowering, node: Node) -> None:
    """All products of one input, each by itself, joined as one payload; or the way back to the hidden state."""
    x = low.get(node)
    if x.side == "columns":
        low.held[node.out] = _to_rows(style, low, x, node)
        return
    nodes = low.siblings(node)
    outputs = [replace(output_of(low, each), scale=1.0) for each in nodes]
    for each, held in zip(nodes, _to_columns(style, low, x, outputs), strict=True):
        low.held[each.out] = held


def _to_columns(style: Style, low: Lowering, x: Held, outputs: list[Output]) -> list[Held]:
    w, terms = low.w, (Partial("sum", low.grid.rows),)
    payload = w.value("payload", (Dim("flat", sum(o.share for o in outputs)),), terms, ())
    offset = 0
    for output in outputs:
        label = f"{layered(output.node.out)[0]}.terms"
        view = w.value(label, output.dims, terms, output.columns, view=view_of(payload, offset))
        inner = tuple(dim.name for dim in output.dims)
        _product(low, x.name, weights_of(low, x, output), view, inner)
        offset += output.share
    whole = _everywhere(style, low, payload, low.grid.line(Axis.ROWS), "payload.all", ())
    parts = parts_of(low, whole, outputs)
    for output, held in zip(outputs, parts, strict=True):
        if len(output.node.weights) > 1:
            role, layer = layered(output.node.weights[1])
            source = matrix(low, role, layer, output.dims, output.head_columns)
            bias = w.weight(role, output.dims, source, (), output.columns, DType.F32)
            w.emit(isa.Combine(w.node, "add", held.name, held.name, bias))
    return parts


def _product(low: Lowering, x: str, weight: str, result: str, inner: tuple[str, ...]) -> None:
    """Sums are set to 0 and lie in memory: every multiply-add reads and writes them."""
    w = low.w
    w.emit(isa.Fill(w.node, result, 0.0))
    w.emit(isa.Product(w.node, x, (weight,), (result,), inner, accumulate=True, unpinned=True))


def _to_rows(style: Style, low: Lowering, x: Held, node: Node) -> Held:
    w, grid = low.w, low.grid
    role, layer = layered(node.weights[0])
    hidden, over = low.hidden_dims(), grid.over_rows(HIDDEN)
    weight = w.weight(
        role, (*x.dims, *hidden), matrix(low, role, layer, (*hidden, *x.dims)), over, w.values[x.name].columns
    )
    label = layered(node.out)[0]
    terms = w.value(f"{label}.terms", hidden, over, (Partial("sum", grid.columns),))
    _product(low, x.name, weight, terms, (HIDDEN,))
    whole = Held(_everywhere(style, low, terms, grid.line(Axis.COLUMNS), label, (), over), "rows", hidden)
    if len(node.weights) > 1:
        w.emit(isa.Combine(w.node, "add", whole.name, whole.name, vector_weight(low, node.weights[1], whole)))
    return whole


# Norms


def rmsnorm(style: Style, low: Lowering, node: Node) -> None:
    """Of the hidden state, of all heads of queries or keys together, or of both head by head in one sum."""
    x = low.get(node)
    if node.out in low.held:
        return
    if _of_heads(low, node) and low.config.qk_norm != "whole":
        _norm_heads(style, low, node)
        return
    if node.integer("width") != prod(dim.size for dim in x.dims):
        raise low.refuse(node, "over a part of a value")
    w, axis = low.w, Axis.ROWS if x.side == "rows" else Axis.COLUMNS
    term = (Partial("sum", low.grid.extent(axis)),)
    squares = w.value(f"{x.name}.square", (), *((term, ()) if axis is Axis.ROWS else ((), term)))
    low.square_sum(x.name, squares)
    root = _everywhere(style, low, squares, low.grid.line(axis), f"{x.name}.root", ())
    _inverse_root(style, low, root, node)
    result = _operand(style, low, x, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "multiply", result, x.name, root))
    if node.weights:
        weight = heads_weight(low, node, x) if _of_heads(low, node) else vector_weight(low, node.weights[0], x)
        w.emit(isa.Combine(w.node, "multiply", result, result, weight))
    low.held[node.out] = Held(result, x.side, x.dims)


def _operand(style: Style, low: Lowering, held: Held, label: str) -> str:
    """A new value laid out as a held one, of the type that products multiply."""
    return low.w.value(label, held.dims, *low.spreads(held.name), dtype=style.operand)


def _inverse_root(style: Style, low: Lowering, squares: str, node: Node) -> None:
    low.w.emit(isa.Scale(low.w.node, "multiply_add", squares, squares, 1.0 / node.integer("width"), node.number("eps")))
    apply(style, low.w, "inverse_root", squares, squares)


def _norm_heads(style: Style, low: Lowering, node: Node) -> None:
    """Sums of squares of all heads that are normed, over the lanes of a band."""
    w, bands, config = low.w, low.bands, low.config
    others = [n for n in low.nodes if n.op == "rmsnorm" and n.ins[0] in low.held and _of_heads(low, n)]
    kv, group = Dim("kv", config.kv_heads), config.heads // config.kv_heads
    count = sum(group if _grouped(low, n) else 1 for n in others)
    squares = w.value("heads.square", (kv, Dim("head", count)), (), bands.terms(bands.queries()))
    start = 0
    places: list[tuple[Node, tuple[Dim, ...], int, int]] = []
    for each in others:
        x = low.get(each)
        heads = tuple(dim for dim in x.dims if dim.name not in ("pair", "turn"))
        size = group if _grouped(low, each) else 1
        view = view_of(squares, 0, count, start, size)
        low.square_sum(x.name, w.value(f"{x.name}.square", heads, (), bands.terms(bands.queries()), view=view))
        places.append((each, heads, start, size))
        start += size
    root = _everywhere(style, low, squares, bands.line, "heads.root", bands.queries())
    _inverse_root(style, low, root, node)
    for each, heads, start, size in places:
        x = low.get(each)
        mine = w.value(f"{x.name}.root", heads, (), bands.queries(), view=view_of(root, 0, count, start, size))
        result = low.like(x, layered(each.out)[0])
        w.emit(isa.Combine(w.node, "multiply", result, x.name, mine))
        if each.weights:
            w.emit(isa.Combine(w.node, "multiply", result, result, head_weight(low, each, x)))
        low.held[each.out] = Held(result, x.side, x.dims)
        low.done.add(each.out)


def _of_heads(low: Lowering, node: Node) -> bool:
    return any(dim.name == "pair" for dim in low.get(node).dims)


def _grouped(low: Lowering, node: Node) -> bool:
    return any(dim.name == "group" for dim in low.get(node).dims)


# Attention


def rope(style: Style, low: Lowering, node: Node) -> None:
    """Six operations over the pairs of each head: of even and odd elements with cosines and sines."""
    w, x = low.w, low.get(node)
    if node.weights and node.text("scaling") in ("llama3", "yarn"):
        raise low.refuse(node, "with divisors from the checkpoint that are stretched by rule besides")
    table = table_of(node, low.context)
    dims, columns = (Dim("pair", len(table.frequencies)), Dim("turn", 2)), low.bands.lanes_of("pair")
    row = looked_up(low, ByPosition(table, dims, (), columns))
    result, spread = _operand(style, low, x, layered(node.out)[0]), w.values[x.name].columns

    def half(name: str, which: int) -> str:
        return w.value(f"{name}.{which}", x.dims[:-1], (), spread, view=view_of(name, 0, 2, which))

    def factor(which: int) -> str:
        view = view_of(row, 0, 2, which)
        return w.value(f"{row}.{which}", dims[:1], (), columns, kind=Kind.STATE, view=view)

    rotate(w, (half(x.name, 0), half(x.name, 1)), (factor(0), factor(1)), (half(result, 0), half(result, 1)))
    low.held[node.out] = Held(result, x.side, x.dims)


def attention(style: Style, low: Lowering, node: Node) -> None:
    """Scores over a band, the softmax over all positions, values; each sum by itself."""
    w, bands, config, grid = low.w, low.bands, low.config, low.grid  # bands are whole: queries and keys lie alike
    q, k, v = (low.get(node, n) for n in range(3))
    if node.weights:
        raise CompileError(
            f"Published mappings have no sinks; {low.config.name} has, in {node.out}.",
            remedy=f"Use {option('mapping', 'undiced')}.",
        )
    positions: Spread = (Shard(POSITION, grid.rows, "cyclic"),)
    where = Dim(POSITION, ring(node, low.context, low.ahead))
    kv, group, column = q.dims[0], q.dims[1], Dim("column", config.head_dim)
    keys = w.value("keys", (kv, *k.dims[1:], where), positions, bands.keys("pair"), w.choices.caches, kind=Kind.CACHE)
    values = w.value("values", (kv, where, column), positions, bands.keys("column"), w.choices.caches, kind=Kind.CACHE)
    w.emit(isa.Append(w.node, keys, k.name))
    w.emit(isa.Append(w.node, values, v.name))
    terms = w.value("scores.terms", (kv, group, where), positions, bands.terms(bands.queries()))
    _product(low, q.name, keys, terms, (POSITION,))
    scores = _everywhere(style, low, terms, bands.line, "scores", bands.queries(), positions, compiled=style.compiled)
    w.emit(isa.Scale(w.node, "multiply", scores, scores, float(config.scale)))
    if node.number("softcap"):
        low.w.capped(scores, scores, node.number("softcap"))
    seen = node.integer("window"), node.integer("chunk")
    w.emit(isa.Mask(w.node, scores, scores, *seen, _LOWEST))
    rows, heads = (kv, group), (Partial("max", grid.rows),)
    own = w.value("top.own", rows, heads, bands.queries())
    w.emit(isa.Fold(w.node, "max", own, scores))
    line = grid.line(Axis.ROWS)
    top = _everywhere(style, low, own, line, "top", bands.queries(), operation="max", wire=style.maximum)
    w.emit(isa.Combine(w.node, "subtract", scores, scores, top))
    apply(style, low.w, "exp", scores, scores)
    w.emit(isa.Mask(w.node, scores, scores, *seen, 0.0))
    shares = w.value("sums.own", rows, (Partial("sum", grid.rows),), bands.queries())
    w.emit(isa.Fold(w.node, "sum", shares, scores))
    total = _everywhere(style, low, shares, line, "sums", bands.queries())
    apply(style, low.w, "reciprocal", total, total)
    weighed = w.value("weights", (kv, group, where), positions, bands.queries(), style.operand)
    w.emit(isa.Combine(w.node, "multiply", weighed, scores, total))
    mixed = w.value("mixed.terms", (*rows, column), (Partial("sum", grid.rows),), bands.queries("column"))
    _product(low, weighed, values, mixed, ("column",))
    label = layered(node.out)[0]
    whole = _everywhere(style, low, mixed, line, f"{label}.all", bands.queries("column"))
    low.held[node.out] = Held(_converted(style, low, whole, label), "columns", (*rows, column))


def _converted(style: Style, low: Lowering, name: str, label: str) -> str:
    """A value as products take it."""
    held = low.w.values[name]
    if style.operand is held.dtype:
        return name
    result = low.w.value(label, held.dims, held.rows, held.columns, style.operand)
    low.w.emit(isa.Copy(low.w.node, result, name))
    return result


# Feed-forward


def glu(style: Style, low: Lowering, node: Node) -> None:
    """activation(gate) * up on every core."""
    w, gate, up = low.w, low.get(node), low.get(node, 1)
    active, function = _operand(style, low, gate, layered(node.out)[0]), FUNCTIONS[node.text("activation")]
    width = prod(local_shape(w.values[gate.name]))
    if node.text("activation") == "swiglu_oss":
        gate_times_up(w, active, gate.name, up.name, node.text("activation"))
    elif style.activated is None or style.activated >= width:
        whole = low.like(gate, f"{layered(node.out)[0]}.activated")
        apply(style, low.w, function, whole, gate.name)
        w.emit(isa.Combine(w.node, "multiply", active, whole, up.name))
    else:
        part = w.value("gate.part", (Dim("flat", style.activated),), (), (), view=view_of(gate.name))
        apply(style, low.w, function, part, part)
        w.emit(isa.Combine(w.node, "multiply", active, gate.name, up.name))
    low.held[node.out] = Held(active, gate.side, gate.dims)


def act(style: Style, low: Lowering, node: Node) -> None:
    """An activation by itself on every core."""
    x = low.get(node)
    active = _operand(style, low, x, layered(node.out)[0])
    apply(style, low.w, FUNCTIONS[node.text("activation")], active, x.name)
    low.held[node.out] = Held(active, x.side, x.dims)
