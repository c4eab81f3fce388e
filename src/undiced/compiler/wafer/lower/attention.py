"""Lowers attention: positions over rows, a head's columns over the lanes of a sub-band.

Each core scores its positions for its columns; the sub-band joins the scores; every core weighs its positions' values;
columns of cores join those, the softmax's sum riding along.
"""

from __future__ import annotations

from math import ceil, prod

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.lowering import Lowering, layered, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Dim, Partial, Roots, Shard, Spread
from undiced.program.wafer.value import DType, Kind, Value, Weights, local_shape


def ring(node: Node, context: int, ahead: int) -> int:
    """Positions that a cache keeps: of a window or an aligned chunk no more than a step can attend to."""
    window = node.integer("window") or node.integer("chunk")
    return min(context, window + ahead - 1) if window else context


def attention(low: Lowering, node: Node) -> None:
    """Scores, softmax with its maximum taken off, values."""
    w, bands, config = low.w, low.bands, low.config
    q, k, v = (low.get(node, n) for n in range(3))
    slots = ring(node, low.context, low.ahead)
    positions: Spread = (Shard(POSITION, low.grid.rows, "cyclic"),)
    where = Dim(POSITION, slots)
    kv, group = Dim("kv", config.kv_heads), Dim("group", config.heads // config.kv_heads)
    pair, turn = k.dims[1:]
    column = Dim("column", config.head_dim)
    keys = w.value("keys", (kv, pair, turn, where), positions, bands.keys("pair"), w.choices.caches, kind=Kind.CACHE)
    values = w.value("values", (kv, where, column), positions, bands.keys("column"), w.choices.caches,
                     kind=Kind.CACHE)  # fmt: skip
    w.emit(isa.Append(w.node, keys, k.name))
    terms = w.value("scores.terms", (kv, group, where), positions, bands.terms(bands.queries()))
    w.emit(isa.Product(w.node, low.factor(q.name), (keys,), (terms,), longest(low, terms, (POSITION, "group"))))
    slices = w.choices.band_slices if low.bands.lanes > 1 else 1
    scores = w.joined(terms, bands.line, exact=False, slices=slices)
    w.emit(isa.Append(w.node, values, v.name))  # while the scores are on their way
    body = w.value("scores.body", (Dim("flat", 0),), *low.spreads(scores), view=view_of(scores))
    if config.qk_norm != "none":  # otherwise part of the queries' weights
        w.emit(isa.Scale(w.node, "multiply", body, body, float(config.scale)))
    cap = node.number("softcap")
    if cap:
        low.w.capped(body, body, cap)
    if w.choices.softmax == "clamped":
        low.held[node.out] = _clamped(low, node, body, values, (kv, group, where, column))
        return
    masked = w.sent(body, bands.line, "scores.masked", (kv, group, where), positions, bands.queries())
    w.emit(isa.Mask(w.node, masked, masked, node.integer("window"), node.integer("chunk"), _LOWEST))
    top = _maximum(low, masked, (kv, group))
    if node.weights:
        sinks = _sinks(low, node, (kv, group))
        w.emit(isa.Combine(w.node, "maximum", top, top, sinks))
    w.emit(isa.Combine(w.node, "subtract", masked, masked, top))
    weighed = w.value("weights", (kv, group, where), positions, bands.queries())
    w.emit(isa.Apply(w.node, "exp", weighed, masked))
    w.emit(isa.Mask(w.node, weighed, weighed, node.integer("window"), node.integer("chunk"), 0.0))
    low.held[node.out] = _values(low, node, weighed, values, top, (kv, group, column))


_LOWEST = -1e30
_SMALLEST = 1e-30


def _clamped(low: Lowering, node: Node, body: str, values: str, dims: tuple[Dim, ...]) -> Held:
    """Exponentials at the roots of a sub-band, with no maximum taken off; what leaves +-80 is held there."""
    w, bands = low.w, low.bands
    kv, group, where, column = dims
    positions = w.values[values].rows
    w.emit(isa.Apply(w.node, "exp", body, body))
    weighed = w.sent(body, bands.line, "weights", (kv, group, where), positions, bands.queries())
    w.emit(isa.Mask(w.node, weighed, weighed, node.integer("window"), node.integer("chunk"), 0.0))
    return _values(low, node, weighed, values, "", (kv, group, column))


def _maximum(low: Lowering, scores: str, dims: tuple[Dim, ...]) -> str:
    """The largest score of each head, on every core of the column."""
    w, grid, bands = low.w, low.grid, low.bands
    own = w.value("top.own", dims, (Partial("max", grid.rows),), bands.queries())
    w.emit(isa.Fold(w.node, "max", own, scores))
    at_root = w.joined(own, grid.line(Axis.ROWS), "max", whole=True)
    return w.sent(at_root, grid.line(Axis.ROWS), "top", dims, (), bands.queries())


def _sinks(low: Lowering, node: Node, dims: tuple[Dim, ...]) -> str:
    role, layer = layered(node.weights[0])
    return low.w.weight(role, dims, Weights(role, dims, layer), (), low.bands.queries(), DType.F32)


def _values(low: Lowering, node: Node, weighed: str, values: str, top: str, dims: tuple[Dim, ...]) -> Held:
    """Sums of values and of weights, joined over rows a head at a time, and divided where they arrive."""
    w, grid, bands = low.w, low.grid, low.bands
    kv, group, column = dims
    lanes = ceil(column.size / bands.lanes)
    heads = local_shape(Value("", (kv, group), columns=bands.queries()))
    count = heads[0] * heads[1]
    terms = (Partial("sum", grid.rows),)
    flat = (Dim("flat", count * (lanes + 1)),)
    payload = w.value("mixed.payload", flat, terms, ())
    mixed = w.value("mixed.terms", dims, terms, bands.queries("column"), view=view_of(payload, 0, lanes + 1, 0, lanes))
    sums = w.value("sums.terms", dims[:2], terms, bands.queries(), view=view_of(payload, 0, lanes + 1, lanes))
    w.emit(isa.Fold(w.node, "sum", sums, weighed))
    w.emit(isa.Product(w.node, weighed, (values,), (mixed,), longest(low, mixed, ("column", "group"))))
    slices = min(w.choices.row_slices, count)
    part = Roots(grid.rows, w.tree(grid.line(Axis.ROWS), slices), lanes + 1)
    at_root = w.value("mixed.sum", flat, (part,), ())
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, grid.line(Axis.ROWS), "f32"))
    mine = (Dim("head", 0), Dim("column", lanes))
    body = w.value("mixed.body", mine, (part,), (), view=view_of(at_root, 0, lanes + 1, 0, lanes))
    shares = w.value("sums.body", mine[:1], (part,), (), view=view_of(at_root, 0, lanes + 1, lanes))
    if node.weights:
        _join_sinks(low, node, shares, top, dims[:2], part)
    if bands.columns < grid.columns:  # columns without a head have nothing to divide by
        w.emit(isa.Scale(w.node, "maximum", shares, shares, _SMALLEST))
    w.emit(isa.Apply(w.node, "reciprocal", shares, shares))
    w.emit(isa.Combine(w.node, "multiply", body, body, shares))
    label = layered(node.out)[0]
    name = w.sent(body, grid.line(Axis.ROWS), label, dims, (), bands.queries("column"), exact=False)
    return Held(name, "columns", dims)


def _join_sinks(low: Lowering, node: Node, sums: str, top: str, dims: tuple[Dim, ...], part: Roots) -> None:
    """A sink's weight joins the softmax's sum once, where it is whole."""
    w, bands = low.w, low.bands
    weight = w.value("sinks.weight", dims, (), bands.queries())
    if top:
        w.emit(isa.Combine(w.node, "subtract", weight, _sinks(low, node, dims), top))
    else:
        w.emit(isa.Copy(w.node, weight, _sinks(low, node, dims)))
    w.emit(isa.Apply(w.node, "exp", weight, weight))
    mine = w.value("sinks.mine", (Dim("head", local_count(dims, bands.queries())),), (Roots(part.ways, part.tree),), ())
    w.emit(isa.Slice(w.node, mine, weight))
    w.emit(isa.Combine(w.node, "add", sums, sums, mine))


def local_count(dims: tuple[Dim, ...], columns: Spread) -> int:
    """Elements on a core."""
    return prod(local_shape(Value("", dims, columns=columns)))


def longest(low: Lowering, name: str, dims: tuple[str, ...]) -> tuple[str, ...]:
    """The dimension of a result along which a core's operations are longest."""
    value = low.w.values[name]
    share = dict(zip((dim.name for dim in value.dims), local_shape(value), strict=True))
    return (max(dims, key=lambda dim: share[dim]),)
