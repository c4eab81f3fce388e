"""Lowers latent attention, absorbed: queries meet the cached latents themselves, and values leave them last.

Positions lie over rows, latents and rotated keys over columns; heads lie over bands of rows wherever a head has columns
of its own. Products alternate sides; the two turns that parity leaves (direct queries, the way out) are `Place` and a sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.linear import Output, to_columns
from undiced.compiler.wafer.lower.lowering import HIDDEN, Lowering, layered, view_of
from undiced.compiler.wafer.lower.positions import pairing, rotation_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Dim, Partial, Replicate, Roots, Shard, Spread
from undiced.program.wafer.value import Kind, Value, Weights, local_shape

_LOWEST = -1e30
_TINY = 1e-30  # what idle rows divide by


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes around a latent attention, from the norm of the hidden state to the product that leads back to it."""

    query: Node
    query_turn: Node
    latent: Node
    latent_norm: Node
    key: Node
    key_turn: Node
    mix: Node
    out: Node
    low_query: Node | None
    query_norm: Node | None

    @classmethod
    def around(cls, low: Lowering, mix: Node) -> Nodes:
        """What `mix` reads and what reads it."""
        made = {node.out: node for node in low.nodes}
        query_turn, latent_norm, key_turn = (made[name] for name in mix.ins)
        query, latent, key = (made[node.ins[0]] for node in (query_turn, latent_norm, key_turn))
        norm = made[query.ins[0]] if query.ins != latent.ins else None
        low_query = made[norm.ins[0]] if norm is not None else None
        return cls(query, query_turn, latent, latent_norm, key, key_turn, mix, low.users(mix.out)[0], low_query, norm)

    @property
    def names(self) -> set[str]:
        """What all of them but the attention itself make."""
        fields = (self.query, self.query_turn, self.latent, self.latent_norm, self.key, self.key_turn, self.out)
        extra = (self.low_query, self.query_norm)
        return {node.out for node in (*fields, *extra) if node is not None}


def left_to_attention(low: Lowering, node: Node) -> bool:
    """Whether a product belongs to a latent attention, which then lowers all of its nodes."""
    for mix in low.nodes:
        if mix.op == "mla_attention" and node.out in (names := Nodes.around(low, mix).names):
            low.done |= names
            return True
    return False


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a latent attention and how they lie."""

    grid: Grid
    head: Dim
    nope: Dim
    pair: Dim
    value: Dim
    rank: Dim

    @classmethod
    def of(cls, low: Lowering, mix: Node) -> Shape:
        """As the node says."""
        sizes = {name: mix.integer(name) for name in ("heads", "nope_dim", "rope_dim", "v_dim", "kv_rank")}
        if sizes["rope_dim"] % 2:
            raise low.refuse(mix, "with an odd number of rotated columns")
        return cls(
            low.grid,
            Dim("head", sizes["heads"]),
            Dim("nope", sizes["nope_dim"]),
            Dim("pair", sizes["rope_dim"] // 2),
            Dim("value", sizes["v_dim"]),
            Dim("rank", sizes["kv_rank"]),
        )

    @property
    def rope(self) -> tuple[Dim, Dim]:
        """A head's rotated columns."""
        return self.pair, Dim("turn", 2)

    def bands(self, axis: Axis, dim: str = "") -> Spread:
        """Heads over bands along an axis, a dimension over a band's lanes (or the same on all)."""
        cores = self.grid.extent(axis)
        count = min(self.head.size, cores)
        lanes = cores // count
        return Shard("head", count), Shard(dim, lanes) if dim else Replicate(lanes)

    @property
    def head_terms(self) -> Spread:
        """Heads over bands of rows, terms of a sum on the lanes."""
        count, lanes = (part.ways for part in self.bands(Axis.ROWS))
        return Shard("head", count), Partial("sum", lanes)

    @property
    def _halves(self) -> int:
        return min(2, self.grid.columns)

    @property
    def turning(self) -> Spread:
        """Pairs over columns, whole, each twice where there are columns enough: rotations need both elements."""
        return Shard("pair", self.grid.columns // self._halves), Replicate(self._halves)

    @property
    def turned(self) -> Spread:
        """Each element of a pair on a column of its own."""
        return Shard("pair", self.grid.columns // self._halves), Shard("turn", self._halves)

    @property
    def positions(self) -> Spread:
        """Cached positions over rows."""
        return (Shard(POSITION, self.grid.rows, "cyclic"),)


def mla_attention(low: Lowering, mix: Node) -> None:
    """Everything between the norm of the hidden state and its sum with what attention makes."""
    nodes, shape = Nodes.around(low, mix), Shape.of(low, mix)
    nope, rope, latent, key = _projected(low, nodes, shape)
    latents, keys = _cached(low, shape, latent, key)
    queries = _absorbed(low, nodes, shape, nope, rope)
    weighed = _weights(low, shape, queries, (latents, keys))
    mixed = _values(low, nodes, shape, *_mixed(low, shape, weighed, latents))
    low.held[nodes.out.out] = _out(low, nodes, shape, mixed)


# Queries, latents and keys


def _projected(low: Lowering, nodes: Nodes, shape: Shape) -> tuple[str, str, str, str]:
    """Queries (without and with rotation) on rows; the normed latent and the rotated key on columns."""
    w, columns = low.w, low.grid.over_columns
    style, dims = nodes.key_turn.text("style"), nodes.key_turn.integer("dims")
    order = pairing(2 * shape.pair.size, dims, 0, style)
    kept = [Output(nodes.latent, (shape.rank,), columns("rank")), Output(nodes.key, shape.rope, shape.turning, order)]
    x = low.held[nodes.latent.ins[0]]
    if nodes.low_query is not None:
        rank = Dim("query", low.graph.slot(nodes.low_query.weights[0]).rows)
        inner, latent, key = to_columns(low, x, [Output(nodes.low_query, (rank,), columns("query")), *kept])
        sources = (inner,)
    else:
        *sources, latent, key = to_columns(low, x, [*_direct(low, nodes, shape), *kept])
    nope, rope, root = _queries(low, nodes, shape, tuple(sources), latent)
    cosine, sine = rotation_of(low, nodes.key_turn, (), shape.turning)
    turned = low.like(key, "key.turned")
    w.emit(isa.Rotate(w.node, turned, key.name, cosine, sine))
    split = w.value("key.split", shape.rope, (), shape.turned)
    w.emit(isa.Place(w.node, split, turned))
    normed = low.like(latent, "latent.normed")
    w.emit(isa.Combine(w.node, "multiply", normed, low.open_norm(nodes.latent_norm, latent).scaled, root))
    return nope, rope, normed, split


def _query_sources(nodes: Nodes, shape: Shape) -> tuple[tuple[tuple[Dim, ...], tuple[int, ...]], ...]:
    """A query's two parts: dimensions of a head, and which of its columns they are."""
    offset, dims = shape.nope.size, nodes.query_turn.integer("dims")
    columns = 2 * shape.pair.size
    order = pairing(columns, dims, 0, nodes.query_turn.text("style")) or range(columns)
    return ((shape.nope,), tuple(range(offset))), (shape.rope, tuple(offset + column for column in order))


def _direct(low: Lowering, nodes: Nodes, shape: Shape) -> list[Output]:
    """Queries straight from the hidden state, which arrive on columns."""
    among = shape.nope.size + 2 * shape.pair.size
    return [
        Output(nodes.query, (shape.head, *dims), shape.bands(Axis.COLUMNS, dims[0].name), columns,
               float(low.config.scale), f"query.{dims[0].name}", tuple(dim.name for dim in dims), among)
        for dims, columns in _query_sources(nodes, shape)
    ]  # fmt: skip


def _queries(
    low: Lowering, nodes: Nodes, shape: Shape, sources: tuple[Held, ...], latent: Held
) -> tuple[str, str, str]:
    """Queries on rows, the second part rotated, and the latent's inverse root, whose squares go along with a query's."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    normed = [held for held in (*sources, latent) if held is latent or nodes.low_query is not None]
    roots = _roots(low, nodes, normed)
    payload, sizes = _query_terms(low, nodes, shape, sources)
    part = Roots(line.span, w.tree(line))
    at_root = w.value("query.sum", w.values[payload].dims, (), (part,))
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, line, w.choices.wire))
    if nodes.low_query is not None:
        w.emit(isa.Combine(w.node, "multiply", at_root, at_root, roots[0]))
    whole = w.sent(at_root, line, "query.all", w.values[payload].dims, (), (), exact=False)
    bands = [shape.bands(Axis.ROWS, name) for name in ("nope", "pair")]
    nope = w.value("query.nope", (shape.head, shape.nope), bands[0], (), view=view_of(whole))
    rope = w.value("query.rope", (shape.head, *shape.rope), bands[1], (), view=view_of(whole, sizes[0]))
    turning: Spread = (Replicate(bands[1][0].ways), bands[1][1])
    cosine, sine = rotation_of(low, nodes.query_turn, turning, ())
    turned = w.value("query.turned", (shape.head, *shape.rope), bands[1], ())
    w.emit(isa.Rotate(w.node, turned, rope, cosine, sine))
    return nope, turned, w.sent(roots[-1], line, "latent.root", (), (), ())


def _roots(low: Lowering, nodes: Nodes, normed: list[Held]) -> list[str]:
    """Inverse roots of values on columns, at the roots of rows of cores: their squares travel together."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    squares = w.value("latent.squares", (Dim("which", len(normed)),), (), (Partial("sum", line.span),))
    for number, held in enumerate(normed):
        view = w.value(f"{held.name}.square", (), (), (Partial("sum", line.span),), view=view_of(squares, number))
        low.square_sum(held.name, view)
    at_root = w.joined(squares, line, whole=True)
    roots = []
    for number, held in enumerate(normed):
        norm = nodes.latent_norm if number == len(normed) - 1 else nodes.query_norm
        assert norm is not None
        view = w.value(f"{held.name}.root", (), (), w.values[at_root].columns, view=view_of(at_root, number))
        roots.append(low.inverse_root(view, norm.integer("width"), norm.number("eps")))
    return roots


def _query_terms(low: Lowering, nodes: Nodes, shape: Shape, sources: tuple[Held, ...]) -> tuple[str, list[int]]:
    """Both parts of queries on rows, side by side: products of the query's latent, or placed there."""
    w, terms = low.w, (Partial("sum", low.grid.columns),)
    parts = _query_sources(nodes, shape)
    dims = [(shape.head, *part) for part, _ in parts]
    rows = [shape.bands(Axis.ROWS, part[0].name) for part, _ in parts]
    sizes = [prod(local_shape(Value("", d, rows=r))) for d, r in zip(dims, rows, strict=True)]
    sums = w.choices.sums if nodes.low_query is None else low.w.values[sources[0].name].dtype
    payload = w.value("query.payload", (Dim("flat", sum(sizes)),), (), terms, sums)
    results = tuple(
        w.value(f"query.{d[1].name}.terms", d, r, terms, sums, view=view_of(payload, offset))
        for d, r, offset in zip(dims, rows, (0, sizes[0]), strict=True)
    )
    if nodes.low_query is None:
        for result, source in zip(results, sources, strict=True):
            w.emit(isa.Place(w.node, result, source.name))
        return payload, sizes
    assert nodes.query_norm is not None
    [source] = sources
    role, layer = layered(nodes.query.weights[0])
    weights = tuple(
        w.weight(f"{role}:{d[1].name}", (*source.dims, *d), _picked(role, layer, (*d, *source.dims), columns, shape, low),
                 r, low.grid.over_columns("query"))
        for d, r, (_, columns) in zip(dims, rows, parts, strict=True)
    )  # fmt: skip
    inner = tuple(dict.fromkeys(dim.name for each in dims for dim in each))
    scaled = low.open_norm(nodes.query_norm, source).scaled
    w.emit(isa.Product(w.node, scaled, weights, results, inner))
    return payload, sizes


def _picked(
    role: str, layer: bool, order: tuple[Dim, ...], columns: tuple[int, ...], shape: Shape, low: Lowering
) -> Weights:
    """Some columns of every query head, times the factor on scores."""
    among = shape.nope.size + 2 * shape.pair.size
    names = tuple(dim.name for dim in order[1:-1])
    return Weights(role, order, layer, columns, scale=float(low.config.scale), picked=names, among=among)


def _expanded(low: Lowering, nodes: Nodes, shape: Shape, dim: Dim, start: int) -> tuple[str, Weights]:
    """The half of the latent's expansion that makes keys, or values: its name and source."""
    role, layer = layered(nodes.mix.weights[0])
    columns = tuple(range(start, start + dim.size))
    among = shape.nope.size + shape.value.size
    return f"{role}:{dim.name}", Weights(
        role, (shape.head, dim, shape.rank), layer, columns, picked=(dim.name,), among=among
    )


# Attention over latents


def _cached(low: Lowering, shape: Shape, latent: str, key: str) -> tuple[str, str]:
    """The latent and the rotated key of the token join the caches."""
    w, where, kind = low.w, Dim(POSITION, low.context), low.w.choices.caches
    over = low.grid.over_columns("rank")
    latents = w.value("latents", (shape.rank, where), shape.positions, over, kind, kind=Kind.CACHE)
    keys = w.value("keys", (*shape.rope, where), shape.positions, shape.turned, kind, kind=Kind.CACHE)
    w.emit(isa.Append(w.node, latents, latent))
    w.emit(isa.Append(w.node, keys, key))
    return latents, keys


def _absorbed(low: Lowering, nodes: Nodes, shape: Shape, nope: str, rope: str) -> tuple[str, str]:
    """Queries over the latent's rank, and rotated ones, of all heads on every row: over columns as the caches."""
    w, line, rank = low.w, low.grid.line(Axis.ROWS), low.grid.over_columns("rank")
    name, held = _expanded(low, nodes, shape, shape.nope, 0)
    matrix = w.weight(name, (shape.head, shape.nope, shape.rank), held, shape.bands(Axis.ROWS, "nope"), rank)
    own = w.value("query.latent.own", (shape.head, shape.rank), shape.head_terms, rank, w.choices.sums)
    w.emit(isa.Product(w.node, nope, (matrix,), (own,), ("rank",)))
    dims, columns = ((shape.head, shape.rank), (shape.head, *shape.rope)), (rank, shape.turned)
    sizes = [prod(local_shape(Value("", d, columns=c))) for d, c in zip(dims, columns, strict=True)]
    payload = w.value("absorbed", (Dim("flat", sum(sizes)),), (Partial("sum", line.span),), ())
    for source, d, c, offset in zip((own, rope), dims, columns, (0, sizes[0]), strict=True):
        at = w.value(f"{source}.placed", d, (Partial("sum", line.span),), c, view=view_of(payload, offset))
        w.emit(isa.Place(w.node, at, source))
    at_root = w.joined(payload, line, exact=False, slices=w.choices.row_slices)
    whole = w.sent(at_root, line, "absorbed.all", w.values[payload].dims, (), (), exact=False)
    latent = w.value("query.latent", dims[0], (), columns[0], view=view_of(whole))
    return latent, w.value("query.rotated", dims[1], (), columns[1], view=view_of(whole, sizes[0]))


def _weights(low: Lowering, shape: Shape, queries: tuple[str, str], caches: tuple[str, str]) -> str:
    """Exponentials of scores on every column; the maximum of a head's taken off where choices say so."""
    w, line, where = low.w, low.grid.line(Axis.COLUMNS), Dim(POSITION, low.context)
    dims = (shape.head, where)
    terms = w.value("scores.terms", dims, shape.positions, (Partial("sum", line.span),))
    inner = _longer(low, shape)
    for number, (query, cache) in enumerate(zip(queries, caches, strict=True)):
        w.emit(isa.Product(w.node, query, (cache,), (terms,), inner, accumulate=number > 0))
    scores = w.joined(terms, line, exact=False, slices=w.choices.band_slices)
    weighed = w.value("weights", dims, shape.positions, ())
    if w.choices.softmax == "clamped":
        w.emit(isa.Apply(w.node, "exp", scores, scores))
        shares = w.sent(scores, line, "weights.all", dims, shape.positions, ())
    else:
        shares = w.sent(scores, line, "scores.all", dims, shape.positions, ())
        w.emit(isa.Mask(w.node, shares, shares, 0, 0, _LOWEST))
        w.emit(isa.Combine(w.node, "subtract", shares, shares, _maximum(low, shape, shares)))
        w.emit(isa.Apply(w.node, "exp", shares, shares))
    w.emit(isa.Mask(w.node, weighed, shares, 0, 0, 0.0))
    return weighed


def _longer(low: Lowering, shape: Shape) -> tuple[str, ...]:
    """What an operation runs along: positions of a core, or heads where those are more."""
    return ("head",) if shape.head.size >= ceil(low.context / low.grid.rows) else (POSITION,)


def _maximum(low: Lowering, shape: Shape, scores: str) -> str:
    """The largest score of each head on every core of a column."""
    w, line = low.w, low.grid.line(Axis.ROWS)
    own = w.value("top.own", (shape.head,), (Partial("max", line.span),), ())
    w.emit(isa.Fold(w.node, "max", own, scores))
    return w.sent(w.joined(own, line, "max", whole=True), line, "top", (shape.head,), (), ())


def _mixed(low: Lowering, shape: Shape, weighed: str, latents: str) -> tuple[str, str]:
    """Weighed latents of all heads, and each column's few sums of weights, on every row."""
    w, line, terms = low.w, low.grid.line(Axis.ROWS), (Partial("sum", low.grid.rows),)
    rank, heads = low.grid.over_columns("rank"), low.grid.over_columns("head")
    dims = (shape.head, shape.rank)
    size = prod(local_shape(Value("", dims, columns=rank)))
    sums_size = local_shape(Value("", dims[:1], columns=heads))[0]
    payload = w.value("mixed.payload", (Dim("flat", size + sums_size),), terms, ())
    mixed = w.value("mixed.terms", dims, terms, rank, view=view_of(payload))
    w.emit(isa.Product(w.node, weighed, (latents,), (mixed,), ("head",)))
    sums = w.value("sums.all", dims[:1], terms, ())
    w.emit(isa.Fold(w.node, "sum", sums, weighed))
    own = w.value("sums.terms", dims[:1], terms, heads, view=view_of(payload, size))
    w.emit(isa.Place(w.node, own, sums))
    at_root = w.joined(payload, line, slices=w.choices.row_slices)
    whole = w.sent(at_root, line, "mixed.all", w.values[payload].dims, (), ())
    latent = w.value("mixed", dims, (), rank, view=view_of(whole))
    return latent, w.value("sums", dims[:1], (), heads, view=view_of(whole, size))


def _values(low: Lowering, nodes: Nodes, shape: Shape, mixed: str, sums: str) -> Held:
    """Values of heads on their rows; the sums of weights come along, and divide them where they arrive."""
    w, line, terms = low.w, low.grid.line(Axis.COLUMNS), (Partial("sum", low.grid.columns),)
    rank, rows = low.grid.over_columns("rank"), shape.bands(Axis.ROWS, "value")
    dims, heads = (shape.head, shape.value), shape.bands(Axis.ROWS)
    count, lanes = local_shape(Value("", dims, rows=rows))
    own = w.value("mixed.own", (shape.head, shape.rank), heads, rank)
    w.emit(isa.Place(w.node, own, mixed))
    payload = w.value("values.payload", (Dim("flat", count * (lanes + 1)),), (), terms)
    made = w.value("values.terms", dims, rows, terms, view=view_of(payload, 0, lanes + 1, 0, lanes))
    shares = w.value("values.sums", dims[:1], heads, terms, view=view_of(payload, 0, lanes + 1, lanes))
    name, held = _expanded(low, nodes, shape, shape.value, shape.nope.size)
    matrix = w.weight(name, (shape.head, shape.rank, shape.value), held, rows, rank)
    w.emit(isa.Product(w.node, own, (matrix,), (made,), ("value",)))
    w.emit(isa.Place(w.node, shares, sums))
    part = Roots(line.span, w.tree(line), lanes + 1)
    at_root = w.value("values.sum", w.values[payload].dims, (), (part,))
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, line, "f32"))
    flat = (Dim("count", 0), Dim("lane", lanes))
    body = w.value("values.body", flat, (), (part,), view=view_of(at_root, 0, lanes + 1, 0, lanes))
    divisors = w.value("sums.body", flat[:1], (), (part,), view=view_of(at_root, 0, lanes + 1, lanes))
    w.emit(isa.Scale(w.node, "maximum", divisors, divisors, _TINY))
    w.emit(isa.Apply(w.node, "reciprocal", divisors, divisors))
    w.emit(isa.Combine(w.node, "multiply", body, body, divisors))
    return Held(w.sent(body, line, layered(nodes.mix.out)[0], dims, rows, (), exact=False), "rows", dims)


def _out(low: Lowering, nodes: Nodes, shape: Shape, mixed: Held) -> Held:
    """The product with the output matrix arrives on columns and is turned to the rows of the hidden state."""
    w, line, hidden = low.w, low.grid.line(Axis.COLUMNS), low.hidden_dims()
    [crossed] = to_columns(low, mixed, [Output(nodes.out, hidden, low.grid.over_columns(HIDDEN), label="attn.crossed")])
    rows = low.grid.over_rows(HIDDEN)
    terms = w.value("attn.turned", hidden, rows, (Partial("sum", line.span),))
    w.emit(isa.Place(w.node, terms, crossed.name))
    at_root = w.joined(terms, line, exact=False)
    return Held(w.sent(at_root, line, layered(nodes.out.out)[0], hidden, rows, (), exact=False), "rows", hidden)
