"""Lowers what a latent attention reads: queries on rows, the normed latent and the rotated key on columns.

One tile makes all that comes straight from the hidden state. Queries get to rows by their second product, or placed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.latent_shape import Nodes, Shape
from undiced.compiler.wafer.lower.linear import Output, to_columns
from undiced.compiler.wafer.lower.lowering import Lowering, layered, view_of
from undiced.compiler.wafer.lower.positions import pairing, rotation_of
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Replicate, Spread
from undiced.program.wafer.value import Value, Weights, local_shape


def projected(low: Lowering, nodes: Nodes, shape: Shape) -> tuple[str, str, str, str]:
    """Queries (without and with rotation) on rows; the normed latent and the rotated key on columns."""
    w, columns = low.w, low.grid.over_columns
    style, dims = nodes.key_turn.text("style"), nodes.key_turn.integer("dims")
    order = pairing(2 * shape.pair.size, dims, 0, style)
    kept = [Output(nodes.latent, (shape.rank,), columns("rank")), Output(nodes.key, shape.rope, shape.turning, order)]
    x = low.held[nodes.latent.ins[0]]
    if nodes.low_query is not None:
        rank = Dim("query", low.graph.slot(nodes.low_query.weights[0]).rows)
        made = to_columns(low, x, [Output(nodes.low_query, (rank,), columns("query")), *kept])
    else:
        made = to_columns(low, x, [*_direct(low, nodes, shape), *kept])
    latent, key = made[-2:]
    nope, rope, root = _queries(low, nodes, shape, made[:-2], latent)
    cosine, sine = rotation_of(low, nodes.key_turn, (), shape.turning)
    turned = low.like(key, "key.turned")
    w.emit(isa.Rotate(w.node, turned, key.name, cosine, sine))
    split = w.value("key.split", shape.rope, (), shape.turned)
    w.emit(isa.Place(w.node, split, turned))
    normed = low.like(latent, "latent.normed")
    w.emit(isa.Combine(w.node, "multiply", normed, low.open_norm(nodes.latent_norm, latent).scaled, root))
    return nope, rope, normed, split


@dataclass(frozen=True, slots=True)
class Part:
    """A part of every query head: without rotation, or with it.

    Attributes:
        dims: its dimensions within a head; columns: which columns of a head they hold, in order.
        rows: how heads and it lie over rows.
    """

    dims: tuple[Dim, ...]
    columns: tuple[int, ...]
    rows: Spread

    @property
    def name(self) -> str:
        """Of the part."""
        return self.dims[0].name


def _parts(nodes: Nodes, shape: Shape) -> tuple[Part, Part]:
    """The parts of a query, in the order of a head's columns."""
    offset, rotated = shape.nope.size, 2 * shape.pair.size
    order = pairing(rotated, nodes.query_turn.integer("dims"), 0, nodes.query_turn.text("style")) or range(rotated)
    return (
        Part((shape.nope,), tuple(range(offset)), shape.bands(Axis.ROWS, "nope")),
        Part(shape.rope, tuple(offset + column for column in order), shape.bands(Axis.ROWS, "pair")),
    )


def _weights(low: Lowering, nodes: Nodes, shape: Shape, part: Part, inner: tuple[Dim, ...]) -> Weights:
    """A part's columns of every query head, times the factor on scores."""
    role, layer = layered(nodes.query.weights[0])
    names = tuple(dim.name for dim in part.dims)
    order, scale = (shape.head, *part.dims, *inner), float(low.config.scale)
    return Weights(role, order, layer, part.columns, scale=scale, picked=names, among=shape.query_columns)


def _direct(low: Lowering, nodes: Nodes, shape: Shape) -> list[Output]:
    """Queries straight from the hidden state, which arrive on columns."""
    out = []
    for part in _parts(nodes, shape):
        held = _weights(low, nodes, shape, part, ())
        columns = shape.bands(Axis.COLUMNS, part.name)
        out.append(Output(nodes.query, (shape.head, *part.dims), columns, held.columns, held.scale,
                          f"query.{part.name}", held.picked, held.among))  # fmt: skip
    return out


def _queries(low: Lowering, nodes: Nodes, shape: Shape, sources: list[Held], latent: Held) -> tuple[str, str, str]:
    """Queries on rows, the second part rotated, and the latent's inverse root: its squares travel with a query's."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    placed = nodes.low_query is None
    roots = _roots(low, nodes, [latent] if placed else [*sources, latent])
    parts = _parts(nodes, shape)
    sizes = [prod(local_shape(Value("", (shape.head, *part.dims), rows=part.rows))) for part in parts]
    terms = (Partial("sum", line.span),)
    payload = w.value("query.payload", (Dim("flat", sum(sizes)),), (), terms)
    results = tuple(
        w.value(f"query.{part.name}.terms", (shape.head, *part.dims), part.rows, terms, view=view_of(payload, offset))
        for part, offset in zip(parts, (0, sizes[0]), strict=True)
    )
    if placed:
        for result, source in zip(results, sources, strict=True):
            w.emit(isa.Place(w.node, result, source.name))
    else:
        _multiplied(low, nodes, shape, sources[0], results)
    at_root = w.joined(payload, line, exact=not placed)
    if not placed:
        w.emit(isa.Combine(w.node, "multiply", at_root, at_root, roots[0]))
    whole = w.sent(at_root, line, "query.all", w.values[payload].dims, (), (), exact=False)
    nope, rope = (
        w.value(f"query.{part.name}", (shape.head, *part.dims), part.rows, (), view=view_of(whole, offset))
        for part, offset in zip(parts, (0, sizes[0]), strict=True)
    )
    return nope, _turned(low, nodes, parts[1], rope), w.sent(roots[-1], line, "latent.root", (), (), ())


def _turned(low: Lowering, nodes: Nodes, part: Part, rope: str) -> str:
    """Queries rotated on rows."""
    w, (heads, pairs) = low.w, part.rows
    cosine, sine = rotation_of(low, nodes.query_turn, (Replicate(heads.ways), pairs), ())
    turned = w.value("query.turned", w.values[rope].dims, part.rows, ())
    w.emit(isa.Rotate(w.node, turned, rope, cosine, sine))
    return turned


def _multiplied(low: Lowering, nodes: Nodes, shape: Shape, source: Held, results: tuple[str, ...]) -> None:
    """Both parts of queries from their latent, scaled by its norm's weights; the root follows."""
    assert nodes.query_norm is not None
    w, columns = low.w, low.grid.over_columns("query")
    weights, inner = [], [shape.head.name]
    for part in _parts(nodes, shape):
        held = _weights(low, nodes, shape, part, source.dims)
        dims = (*source.dims, shape.head, *part.dims)
        weights.append(w.weight(f"{held.role}:{part.name}", dims, held, part.rows, columns))
        inner += held.picked
    scaled = low.open_norm(nodes.query_norm, source).scaled
    w.emit(isa.Product(w.node, scaled, tuple(weights), results, tuple(inner)))


def _roots(low: Lowering, nodes: Nodes, normed: list[Held]) -> list[str]:
    """Inverse roots of values on columns, at the roots of rows of cores: their squares travel together."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    terms = (Partial("sum", line.span),)
    squares = w.value("latent.squares", (Dim("which", len(normed)),), (), terms)
    for number, held in enumerate(normed):
        low.square_sum(held.name, w.value(f"{held.name}.square", (), (), terms, view=view_of(squares, number)))
    at_root = w.joined(squares, line, whole=True)
    roots = []
    for number, (held, norm) in enumerate(zip(reversed(normed), (nodes.latent_norm, nodes.query_norm), strict=False)):
        assert norm is not None
        view = view_of(at_root, len(normed) - 1 - number)
        root = w.value(f"{held.name}.root", (), (), w.values[at_root].columns, view=view)
        roots.append(low.inverse_root(root, norm.integer("width"), norm.number("eps")))
    return roots[::-1]
