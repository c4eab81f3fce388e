"""Lowers latent attention, absorbed: queries meet the cached latents themselves, and values leave them last.

Positions lie over columns, latents and rotated keys over rows; heads lie over bands of columns wherever a head has
columns of its own. Products alternate sides from there, and the last leads to the rows of the hidden state.
"""

from __future__ import annotations

from math import ceil, prod

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.latent_inputs import projected
from undiced.compiler.wafer.lower.latent_shape import Nodes, Shape
from undiced.compiler.wafer.lower.linear import to_rows
from undiced.compiler.wafer.lower.lowering import Lowering, layered, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Dim, Partial, Roots
from undiced.program.wafer.value import Kind, Value, Weights, local_shape

_LOWEST = -1e30
_TINY = 1e-30  # what idle columns divide by


def left_to_attention(low: Lowering, node: Node) -> bool:
    """Whether a product belongs to a latent attention, which then lowers all of its nodes."""
    for mix in low.nodes:
        if mix.op == "mla_attention" and node.out in (names := Nodes.around(low, mix).names):
            low.done |= names
            return True
    return False


def mla_attention(low: Lowering, mix: Node) -> None:
    """Everything between the norm of the hidden state and its sum with what attention makes."""
    nodes, shape = Nodes.around(low, mix), Shape.of(low, mix)
    nope, rope, latent, key = projected(low, nodes, shape)
    latents, keys = _cached(low, shape, latent, key)
    queries = _absorbed(low, nodes, shape, nope, rope)
    weighed = _weights(low, shape, queries, (latents, keys))
    mixed = _values(low, nodes, shape, *_mixed(low, shape, weighed, latents))
    low.held[nodes.out.out] = to_rows(low, mixed, nodes.out)


def _cached(low: Lowering, shape: Shape, latent: str, key: str) -> tuple[str, str]:
    """The latent and the rotated key of the token join the caches."""
    w, where, kind = low.w, Dim(POSITION, low.context), low.w.choices.caches
    rank = shape.over("rank")
    latents = w.value("latents", (shape.rank, where), rank, shape.positions, kind, kind=Kind.CACHE)
    keys = w.value("keys", (*shape.rope, where), shape.turned, shape.positions, kind, kind=Kind.CACHE)
    w.emit(isa.Append(w.node, latents, latent))
    w.emit(isa.Append(w.node, keys, key))
    return latents, keys


def _absorbed(low: Lowering, nodes: Nodes, shape: Shape, nope: str, rope: str) -> tuple[str, str]:
    """Queries over the latent's rank, and rotated ones, of all heads on every column: over rows as the caches."""
    w, line, rank = low.w, low.grid.line(Axis.COLUMNS), shape.over("rank")
    role, layer = layered(nodes.mix.weights[0])
    held = Weights(role, (shape.head, shape.rank, shape.nope), layer)
    matrix = w.weight(role, (shape.head, shape.nope, shape.rank), held, rank, shape.bands("nope"))
    own = w.value("query.latent.own", (shape.head, shape.rank), rank, shape.head_terms, w.choices.sums)
    w.emit(isa.Product(w.node, nope, (matrix,), (own,), ("rank",)))
    dims, rows = ((shape.head, shape.rank), (shape.head, *shape.rope)), (rank, shape.turned)
    sizes = [prod(local_shape(Value("", d, rows=r))) for d, r in zip(dims, rows, strict=True)]
    terms = (Partial("sum", line.span),)
    payload = w.value("absorbed", (Dim("flat", sum(sizes)),), (), terms)
    for source, d, r, offset in zip((own, rope), dims, rows, (0, sizes[0]), strict=True):
        at = w.value(f"{source}.placed", d, r, terms, view=view_of(payload, offset))
        w.emit(isa.Place(w.node, at, source))
    at_root = w.joined(payload, line, exact=False, slices=w.choices.band_slices)
    whole = w.sent(at_root, line, "absorbed.all", w.values[payload].dims, (), (), exact=False)
    latent = w.value("query.latent", dims[0], rows[0], (), view=view_of(whole))
    return latent, w.value("query.rotated", dims[1], rows[1], (), view=view_of(whole, sizes[0]))


def _weights(low: Lowering, shape: Shape, queries: tuple[str, str], caches: tuple[str, str]) -> str:
    """Exponentials of scores on every row; the maximum of a head's taken off where choices say so."""
    w, line, where = low.w, low.grid.line(Axis.ROWS), Dim(POSITION, low.context)
    dims = (shape.head, where)
    terms = w.value("scores.terms", dims, (Partial("sum", line.span),), shape.positions)
    inner = _longer(low, shape)
    for number, (query, cache) in enumerate(zip(queries, caches, strict=True)):
        w.emit(isa.Product(w.node, query, (cache,), (terms,), inner, accumulate=number > 0))
    scores = w.joined(terms, line, exact=False, slices=w.choices.row_slices)
    if w.choices.softmax == "clamped":
        w.emit(isa.Apply(w.node, "exp", scores, scores))
        weighed = w.sent(scores, line, "weights", dims, (), shape.positions)
    else:
        weighed = w.sent(scores, line, "weights", dims, (), shape.positions)
        w.emit(isa.Mask(w.node, weighed, weighed, 0, 0, _LOWEST))
        w.emit(isa.Combine(w.node, "subtract", weighed, weighed, _maximum(low, shape, weighed)))
        w.emit(isa.Apply(w.node, "exp", weighed, weighed))
    w.emit(isa.Mask(w.node, weighed, weighed, 0, 0, 0.0))
    return weighed


def _longer(low: Lowering, shape: Shape) -> tuple[str, ...]:
    """What an operation runs along: positions of a core, or heads where those are more."""
    return ("head",) if shape.head.size >= ceil(low.context / low.grid.columns) else (POSITION,)


def _maximum(low: Lowering, shape: Shape, scores: str) -> str:
    """The largest score of each head on every core of a row."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    own = w.value("top.own", (shape.head,), (), (Partial("max", line.span),))
    w.emit(isa.Fold(w.node, "max", own, scores))
    return w.sent(w.joined(own, line, "max", whole=True), line, "top", (shape.head,), (), ())


def _mixed(low: Lowering, shape: Shape, weighed: str, latents: str) -> tuple[str, str]:
    """Weighed latents of all heads, and each row's few sums of weights, on every column."""
    w, line, terms = low.w, low.grid.line(Axis.COLUMNS), (Partial("sum", low.grid.columns),)
    rank, heads, dims = shape.over("rank"), shape.over("head"), (shape.head, shape.rank)
    size, sums_size = (prod(local_shape(Value("", d, rows=r))) for d, r in ((dims, rank), (dims[:1], heads)))
    payload = w.value("mixed.payload", (Dim("flat", size + sums_size),), (), terms)
    mixed = w.value("mixed.terms", dims, rank, terms, view=view_of(payload))
    w.emit(isa.Product(w.node, weighed, (latents,), (mixed,), ("head",)))
    own = w.value("weights.own", w.values[weighed].dims, heads, shape.positions)
    w.emit(isa.Place(w.node, own, weighed))
    sums = w.value("sums.terms", dims[:1], heads, terms, view=view_of(payload, size))
    w.emit(isa.Fold(w.node, "sum", sums, own))
    at_root = w.joined(payload, line, slices=w.choices.band_slices)
    whole = w.sent(at_root, line, "mixed.all", w.values[payload].dims, (), ())
    latent = w.value("mixed", dims, rank, (), view=view_of(whole))
    return latent, w.value("sums", dims[:1], heads, (), view=view_of(whole, size))


def _values(low: Lowering, nodes: Nodes, shape: Shape, mixed: str, sums: str) -> Held:
    """Values of heads on their columns; the sums of weights come along, and divide them where they arrive."""
    w, line, terms = low.w, low.grid.line(Axis.ROWS), (Partial("sum", low.grid.rows),)
    rank, columns = shape.over("rank"), shape.bands("value")
    dims, heads = (shape.head, shape.value), shape.bands()
    count, lanes = local_shape(Value("", dims, columns=columns))
    own = w.value("mixed.own", (shape.head, shape.rank), rank, heads)
    w.emit(isa.Place(w.node, own, mixed))
    payload = w.value("values.payload", (Dim("flat", count * (lanes + 1)),), terms, ())
    made = w.value("values.terms", dims, terms, columns, view=view_of(payload, 0, lanes + 1, 0, lanes))
    shares = w.value("values.sums", dims[:1], terms, heads, view=view_of(payload, 0, lanes + 1, lanes))
    role, layer = layered(nodes.mix.weights[1])
    held = Weights(role, (shape.head, shape.value, shape.rank), layer)
    matrix = w.weight(role, (shape.head, shape.rank, shape.value), held, rank, columns)
    w.emit(isa.Product(w.node, own, (matrix,), (made,), ("value",)))
    w.emit(isa.Place(w.node, shares, sums))
    part = Roots(line.span, w.tree(line, min(w.choices.row_slices, count)), lanes + 1)
    at_root = w.value("values.sum", w.values[payload].dims, (part,), ())
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, line, "f32"))
    flat = (Dim("count", 0), Dim("lane", lanes))
    body = w.value("values.body", flat, (part,), (), view=view_of(at_root, 0, lanes + 1, 0, lanes))
    divisors = w.value("sums.body", flat[:1], (part,), (), view=view_of(at_root, 0, lanes + 1, lanes))
    w.emit(isa.Scale(w.node, "maximum", divisors, divisors, _TINY))
    w.emit(isa.Apply(w.node, "reciprocal", divisors, divisors))
    w.emit(isa.Combine(w.node, "multiply", body, body, divisors))
    return Held(w.sent(body, line, layered(nodes.mix.out)[0], dims, (), columns, exact=False), "columns", dims)
