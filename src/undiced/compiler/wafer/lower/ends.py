"""Lowers the two ends of a model: embeddings, and the head with the choice of a token."""

from __future__ import annotations

from msgspec.structs import replace

from undiced.compiler.wafer.lower.held import Held
from undiced.compiler.wafer.lower.linear import Output, summed
from undiced.compiler.wafer.lower.lowering import HIDDEN, RANGE, TOKEN, Lowering, layered, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Owner, Partial, Roots
from undiced.program.wafer.value import Weights


def embed(low: Lowering, node: Node) -> None:
    """The column of cores that owns the token's row sends it along the rows."""
    w, scale = low.w, node.number("scale")
    once = w.choices.once
    name = _looked_up(low, node, "vocab", low.config.vocab, "token", 1.0 if once else scale, once=once)
    if once and scale != 1.0:
        w.emit(isa.Scale(w.node, "multiply", name, name, scale))
    if w.choices.ranged:
        w.emit(isa.Fill(w.node, w.state(RANGE, ()), 1.0))
    low.held[node.out] = Held(name, "rows", low.hidden_dims())


def position_embed(low: Lowering, node: Node) -> None:
    """The same by position, added."""
    w, x = low.w, low.get(node)
    row = _looked_up(low, node, "row", low.graph.slot(node.weights[0]).rows, "position", 1.0)
    result = low.like(x, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "add", result, x.name, row))
    low.held[node.out] = Held(result, "rows", x.dims)


def _looked_up(
    low: Lowering, node: Node, dim: str, rows: int, index: isa.Index, scale: float, *, once: bool = False
) -> str:
    """`once`: in the order in which the head multiplies by it, which keeps it."""
    w, grid, hidden = low.w, low.grid, low.hidden_dims()
    role, layer = layered(node.weights[0])
    over, order = grid.over_rows(HIDDEN), (Dim(dim, rows), *hidden)
    held = Weights(role, order, layer, scale=scale)
    dims = (*hidden, Dim(dim, rows)) if once else order
    table = w.weight(f"{role}.table", dims, held, over, grid.over_columns(dim))
    if once:
        w.values[table] = replace(w.values[table], again=True)
    own = w.value(f"{role}.own", hidden, over, (Owner(index, grid.columns),))
    w.emit(isa.Lookup(w.node, own, table, index))
    label = layered(node.out)[0] if index == "token" else f"{role}.row"
    return w.sent(own, grid.line(Axis.COLUMNS), label, hidden, over, ())


def head(low: Lowering, node: Node, cap: Node | None) -> None:
    """Logits at one root of each column, and the likeliest token of all."""
    w, grid = low.w, low.grid
    vocab = (Dim("vocab", low.config.vocab),)
    x = low.get(node)
    tile = summed(low, x, [Output(node, vocab, grid.over_columns("vocab"))], exact=True)
    result = w.sent(tile.body, grid.line(Axis.ROWS), "logits", vocab, (), grid.over_columns("vocab"))
    if cap is not None:
        low.w.capped(result, result, cap.number("cap"))
    lists = (Dim("which", 2), Dim("candidate", w.choices.candidates))
    own = w.value("largest.own", lists, (), (Partial("max", grid.columns),))
    w.emit(isa.Select(w.node, own, result))
    part = Roots(grid.columns, w.tree(grid.line(Axis.COLUMNS)), whole=True)
    best = w.value("largest", lists, (), (part,))
    w.emit(isa.Reduce(w.node, "top", best, own, grid.line(Axis.COLUMNS), "f32"))
    both = w.sent(best, grid.line(Axis.COLUMNS), "chosen", lists, (), ())
    token = w.state(TOKEN, (Dim("count", 1),))
    if w.choices.candidates > 1:
        w.emit(isa.Draw(w.node, token, both))
    else:
        w.emit(isa.Copy(w.node, token, w.value("chosen.id", (Dim("count", 1),), (), (), view=view_of(both, 1))))
    low.held[node.out] = Held(result, "columns", vocab)
