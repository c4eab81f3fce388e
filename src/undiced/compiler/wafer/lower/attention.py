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
from undiced.program.wafer.layout import FLAT, POSITION, Axis, Dim, Partial, Roots, Shard, Spread
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
    if _apart(low, (kv, group)):
        w.emit(isa.Append(w.node, values, v.name))
        low.held[node.out] = _head_by_head(low, node, q, (keys, values), (kv, group, where, column))
        return
    terms = w.value("scores.terms", (kv, group, where), positions, bands.terms(bands.queries()))
    w.emit(isa.Product(w.node, low.factor(q.name), (keys,), (terms,), longest(low, terms, (POSITION, "group"))))
    slices = w.choices.band_slices if low.bands.lanes > 1 else 1
    scores = w.joined(terms, bands.line, exact=False, slices=slices)
    w.emit(isa.Append(w.node, values, v.name))  # while the scores are on their way
    body = _scaled(low, node, scores)
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
_PART = "part"


def _scaled(low: Lowering, node: Node, scores: str) -> str:
    """Scores at the roots, scaled and capped."""
    w = low.w
    body = w.value("scores.body", (Dim("flat", 0),), *low.spreads(scores), view=view_of(scores))
    if low.config.qk_norm != "none":  # otherwise part of the queries' weights
        w.emit(isa.Scale(w.node, "multiply", body, body, float(low.config.scale)))
    cap = node.number("softcap")
    if cap:
        w.capped(body, body, cap)
    return body


def _apart(low: Lowering, heads: tuple[Dim, ...]) -> bool:
    """Whether a core's query heads, of one KV head, are scored one after the other."""
    kv, queries = local_shape(Value("", heads, columns=low.bands.queries()))
    return low.w.choices.head_by_head and low.w.choices.softmax == "clamped" and kv == 1 and queries > 1


def _head_by_head(low: Lowering, node: Node, q: Held, caches: tuple[str, str], dims: tuple[Dim, ...]) -> Held:
    """What `_clamped` does, for one query head of every sub-band after the other."""
    w, bands, (keys, values) = low.w, low.bands, caches
    kv, group, where, column = dims
    part, positions = Dim(_PART, bands.groups), w.values[values].rows
    flat, start = _flat(low, q)
    lanes, size = ceil(column.size / bands.lanes), prod(local_shape(w.values[q.name])[2:])
    count = ceil(group.size / bands.groups)
    terms = (Partial("sum", low.grid.rows),)
    payload = w.value("mixed.payload", (Dim("flat", count * (lanes + 1)),), terms, ())
    for head in range(count):
        view = view_of(flat, start + head * size)
        mine = w.value(f"{q.name}.{head}", (kv, part, *q.dims[2:]), (), bands.one_query("pair"), view=view)
        own = w.value("scores.terms", (kv, part, where), positions, bands.terms(bands.one_query()))
        w.emit(isa.Product(w.node, mine, (keys,), (own,), (POSITION,)))
        slices = w.choices.band_slices if bands.lanes > 1 else 1
        body = _scaled(low, node, w.joined(own, bands.line, exact=False, slices=slices))
        w.emit(isa.Apply(w.node, "exp", body, body))
        weighed = w.sent(body, bands.line, "weights", (kv, part, where), positions, bands.one_query())
        w.emit(isa.Mask(w.node, weighed, weighed, node.integer("window"), node.integer("chunk"), 0.0))
        at = head * (lanes + 1)
        sums = w.value("sums.terms", (kv, part), terms, bands.one_query(), view=view_of(payload, at + lanes))
        mixed = w.value("mixed.terms", (kv, part, column), terms, bands.one_query("column"), view=view_of(payload, at))
        w.emit(isa.Fold(w.node, "sum", sums, weighed))
        w.emit(isa.Product(w.node, weighed, (values,), (mixed,), ("column",)))
    return _divided(low, node, payload, "", (kv, group, column))


def _flat(low: Lowering, q: Held) -> tuple[str, int]:
    """The memory in which queries lie, in 16 bits where products take them so, and from which element on."""
    w, name, start = low.w, low.factor(q.name), 0
    value = w.values[name]
    while value.view is not None and value.view.of == 1:
        start += value.view.offset
        value = w.values[value.view.parent]
    if value.view is None and value.dims[0].name == FLAT:
        return value.name, start
    flat = w.value("queries.flat", (Dim(FLAT, prod(local_shape(w.values[name]))),), dtype=w.values[name].dtype)
    laid = w.value("queries.laid", q.dims, *low.spreads(name), view=view_of(flat))
    w.emit(isa.Copy(w.node, laid, name))
    return flat, 0


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
    """Sums of values and of weights, side by side for each head; joined over rows, and divided where they arrive."""
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
    return _divided(low, node, payload, top, dims)


def _divided(low: Lowering, node: Node, payload: str, top: str, dims: tuple[Dim, ...]) -> Held:
    """The joined sums of values over the joined sums of weights, sent to all rows."""
    w, grid, bands = low.w, low.grid, low.bands
    flat, (*_, column) = w.values[payload].dims, dims
    lanes = ceil(column.size / bands.lanes)
    slices = min(w.choices.row_slices, flat[0].size // (lanes + 1))
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
