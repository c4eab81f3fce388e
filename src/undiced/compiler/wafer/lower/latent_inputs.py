"""Lowers what a latent attention reads: queries over columns, the normed latent and the rotated key over rows.

One tile makes all that comes straight from the hidden state, on columns; what latents are is turned to rows from there.
"""

from __future__ import annotations

from math import prod

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.latent_shape import Nodes, Shape
from undiced.compiler.wafer.lower.linear import Output, to_columns
from undiced.compiler.wafer.lower.lowering import Lowering, view_of
from undiced.compiler.wafer.lower.positions import pairing, rotation_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Replicate, Roots, Shard, Spread
from undiced.program.wafer.value import Value, local_shape


def projected(low: Lowering, nodes: Nodes, shape: Shape) -> tuple[str, str, str, str]:
    """Queries (without and with rotation), the latent and the key, as they meet."""
    columns = low.grid.over_columns
    pairs = (Shard("pair", low.grid.columns),)
    order = pairing(2 * shape.pair.size, nodes.key_turn.integer("dims"), 0, nodes.key_turn.text("style"))
    kept = [Output(nodes.latent, (shape.rank,), columns("rank")), Output(nodes.key, shape.rope, pairs, order)]
    x = low.held[nodes.latent.ins[0]]
    if nodes.low_query is None:
        *queries, latent, key = to_columns(low, x, [*_queries(low, nodes, shape), *kept])
        latent, key = _turned(low, shape, [(latent, nodes.latent_norm, shape.over("rank")), (key, None, shape.turning)])
    else:
        dim = Dim("query", low.graph.slot(nodes.low_query.weights[0]).rows)
        inner, latent, key = to_columns(low, x, [Output(nodes.low_query, (dim,), columns("query")), *kept])
        inner, latent, key = _turned(
            low,
            shape,
            [
                (inner, nodes.query_norm, shape.over("query")),
                (latent, nodes.latent_norm, shape.over("rank")),
                (key, None, shape.turning),
            ],
        )
        queries = to_columns(low, inner, _queries(low, nodes, shape))
    nope, rope = queries
    lanes = shape.bands("pair")
    rope_name = _rotated(low, nodes.query_turn, rope, (), (Replicate(lanes[0].ways), lanes[1]))
    whole = _rotated(low, nodes.key_turn, key, shape.turning, ())
    split = low.w.value("key.split", shape.rope, shape.turned, ())
    low.w.emit(isa.Place(low.w.node, split, whole))
    return nope.name, rope_name, latent.name, split


def _queries(low: Lowering, nodes: Nodes, shape: Shape) -> list[Output]:
    """The parts of queries, without and with rotation, times the factor on scores."""
    offset, rotated = shape.nope.size, 2 * shape.pair.size
    order = pairing(rotated, nodes.query_turn.integer("dims"), 0, nodes.query_turn.text("style")) or range(rotated)
    parts = ((shape.nope,), tuple(range(offset))), (shape.rope, tuple(offset + column for column in order))
    return [
        Output(nodes.query, (shape.head, *dims), shape.bands(dims[0].name), columns, float(low.config.scale),
               f"query.{dims[0].name}", tuple(dim.name for dim in dims), offset + rotated)
        for dims, columns in parts
    ]  # fmt: skip


def _rotated(low: Lowering, node: Node, x: Held, rows: Spread, columns: Spread) -> str:
    cosine, sine = rotation_of(low, node, rows, columns)
    result = low.like(x, f"{x.name}.rotated")
    low.w.emit(isa.Rotate(low.w.node, result, x.name, cosine, sine))
    return result


def _turned(low: Lowering, shape: Shape, parts: list[tuple[Held, Node | None, Spread]]) -> list[Held]:
    """Values from columns to rows in one sum, and normed where it arrives: sums of squares ride on it."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    terms = (Partial("sum", line.span),)
    norms = [(number, held, norm) for number, (held, norm, _) in enumerate(parts) if norm is not None]
    sizes = [prod(local_shape(Value("", held.dims, rows=rows))) for held, _, rows in parts]
    offsets = [sum(sizes[:number]) for number in range(len(sizes))]
    payload = w.value("latent.payload", (Dim("flat", sum(sizes) + len(norms)),), (), terms)
    for (held, norm, rows), offset in zip(parts, offsets, strict=True):
        source = low.open_norm(norm, held).scaled if norm else held.name
        view = w.value(f"{held.name}.terms", held.dims, rows, terms, view=view_of(payload, offset))
        w.emit(isa.Place(w.node, view, source))
    for rider, (_, held, _) in enumerate(norms):
        square = w.value(f"{held.name}.square", (), (), terms, view=view_of(payload, rider - len(norms)))
        low.square_sum(held.name, square)
    part = Roots(line.span, w.tree(line), 1, len(norms))
    at_root = w.value("latent.sum", w.values[payload].dims, (), (part,))
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, line, "f32"))
    for rider, (number, held, norm) in enumerate(norms):
        root = w.value(f"{held.name}.root", (), (), (part,), view=view_of(at_root, rider - len(norms)))
        low.inverse_root(root, norm.integer("width"), norm.number("eps"))
        flat = (Dim("flat", sizes[number]),)
        body = w.value(f"{held.name}.body", flat, (), (part,), view=view_of(at_root, offsets[number]))
        w.emit(isa.Combine(w.node, "multiply", body, body, root))
    body = w.value("latent.body", (Dim("flat", sum(sizes)),), (), (part,), view=view_of(at_root))
    whole = w.sent(body, line, "latent.all", (Dim("flat", sum(sizes)),), (), (), exact=False)
    return [
        Held(w.value(f"{held.name}.turned", held.dims, rows, (), view=view_of(whole, offset)), "rows", held.dims)
        for (held, _, rows), offset in zip(parts, offsets, strict=True)
    ]
