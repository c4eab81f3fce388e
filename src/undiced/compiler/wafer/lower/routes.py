"""Lowers the choice of experts: router logits over columns, the best of all to every core, and their weights.

Each core offers the best of its share, and columns of cores join the lists. Choices by groups (and by a biased softmax)
need all scores in one place: those are gathered at roots.
"""

from __future__ import annotations

from dataclasses import replace

from undiced.compiler.wafer.lower.held import Chosen
from undiced.compiler.wafer.lower.linear import Output, summed
from undiced.compiler.wafer.lower.lowering import Lowering, layered, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Roots, Spread
from undiced.program.wafer.value import DType, Weights

_NEVER = 1e30  # taken off the scores of groups that are not chosen
_LEAST = 1e-20  # joins the sum of chosen scores, as in the model's definition


def moe_route(low: Lowering, node: Node) -> None:
    """The chosen experts and their weights on every core; the norm's root stays for the experts."""
    w, grid = low.w, low.grid
    experts, columns = _experts(node), grid.over_columns("expert")
    output = Output(replace(node, weights=node.weights[: 1 + node.integer("router_bias")]), experts, columns)
    tile = summed(low, low.get(node), [output], exact=True)
    logits = w.sent(tile.body, grid.line(Axis.ROWS), "moe.logits", experts, (), columns)
    biased = bool(node.integer("selection_bias"))
    if node.integer("groups") > 1 or (biased and node.text("scoring") == "softmax"):
        best = _gathered(low, node, logits)
    else:
        best = _joined(low, node, logits)
    rows, count = (2 if w.values[best].dims[0].size == 3 else 0), node.integer("top_k")
    dims = (Dim("which", 2), Dim("choice", count))
    at = w.values[best].columns
    sent = w.value("moe.best.sent", dims, (), at, view=view_of(best, count if rows else 0))
    both = w.sent(sent, grid.line(Axis.COLUMNS), "moe.chosen", dims, (), ())
    ids = w.value("moe.ids", dims[1:], view=view_of(both, 0 if rows else count))
    weights = w.value("moe.weights", dims[1:], view=view_of(both, count if rows else 0))
    low.chosen[node.out] = Chosen(ids, weights)


def _experts(node: Node) -> tuple[Dim, ...]:
    return (Dim("expert", node.integer("experts")),)


def _selection_bias(low: Lowering, node: Node, columns: Spread) -> str:
    role, layer = layered(node.weights[-1])
    dims = _experts(node)
    return low.w.weight(role, dims, Weights(role, dims, layer), (), columns, DType.F32)


def _joined(low: Lowering, node: Node, logits: str) -> str:
    """Lists of the best of each core's share, joined to one at the roots of the rows: (value, id[, score], choice)."""
    w, grid, count = low.w, low.grid, node.integer("top_k")
    columns = grid.over_columns("expert")
    key, carried = logits, ""
    if node.integer("selection_bias"):
        carried = w.value("moe.scores", _experts(node), (), columns)
        w.emit(isa.Apply(w.node, "sigmoid", carried, logits))
        key = w.value("moe.biased", _experts(node), (), columns)
        w.emit(isa.Combine(w.node, "add", key, carried, _selection_bias(low, node, columns)))
    dims = (Dim("which", 3 if carried else 2), Dim("choice", count))
    own = w.value("moe.own", dims, (), columns)
    w.emit(isa.Select(w.node, own, key, "expert", count, carried))
    part = Roots(grid.columns, w.tree(grid.line(Axis.COLUMNS)), whole=True)
    best = w.value("moe.best", dims, (), (part,))
    w.emit(isa.Reduce(w.node, "top", best, own, grid.line(Axis.COLUMNS), "f32"))
    picked = w.value("moe.picked", dims[1:], (), (part,), view=view_of(best, 2 * count if carried else 0))
    if carried:
        _weighed(low, node, picked)
    elif node.text("scoring") == "sigmoid":
        w.emit(isa.Apply(w.node, "sigmoid", picked, picked))
        _weighed(low, node, picked)
    else:
        _softmax_of_picked(low, node, picked, logits)
    return best


def _softmax_of_picked(low: Lowering, node: Node, picked: str, logits: str) -> None:
    """Over the chosen alone where weights are divided by their sum anyway, otherwise over all logits."""
    w, columns = low.w, low.w.values[picked].columns
    first = w.value("moe.first", (), (), columns, view=low.w.values[picked].view)
    top = w.value("moe.top", (), (), columns)
    w.emit(isa.Copy(w.node, top, first))
    w.emit(isa.Combine(w.node, "subtract", picked, picked, top))
    w.emit(isa.Apply(w.node, "exp", picked, picked))
    if not node.integer("normalize"):
        total = _sum_of_all(low, node, logits, top)
        w.emit(isa.Apply(w.node, "reciprocal", total, total))
        w.emit(isa.Combine(w.node, "multiply", picked, picked, total))
    _weighed(low, node, picked)


def _sum_of_all(low: Lowering, node: Node, logits: str, top: str) -> str:
    """The sum of all exponentials at the roots, the largest logit taken off."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    dims, columns = _experts(node), low.grid.over_columns("expert")
    known = w.sent(top, line, "moe.top.all", (), (), ())
    weights = w.value("moe.exponentials", dims, (), columns)
    w.emit(isa.Combine(w.node, "subtract", weights, logits, known))
    w.emit(isa.Apply(w.node, "exp", weights, weights))
    ones = w.weight("ones.experts", dims, Weights("", dims, False), (), columns, DType.F32)
    w.emit(isa.Combine(w.node, "multiply", weights, weights, ones))
    own = w.value("moe.total.own", (), (), (Partial("sum", line.span),))
    w.emit(isa.Fold(w.node, "sum", own, weights))
    return w.joined(own, line, whole=True)


def _weighed(low: Lowering, node: Node, picked: str) -> None:
    """Chosen scores to weights, in place: divided by their sum, scaled."""
    w = low.w
    if node.integer("normalize"):
        total = w.value("moe.sum", (), (), w.values[picked].columns)
        w.emit(isa.Fold(w.node, "sum", total, picked))
        w.emit(isa.Scale(w.node, "add", total, total, _LEAST))
        w.emit(isa.Apply(w.node, "reciprocal", total, total))
        w.emit(isa.Combine(w.node, "multiply", picked, picked, total))
    if node.number("scaling") != 1.0:
        w.emit(isa.Scale(w.node, "multiply", picked, picked, node.number("scaling")))


def _gathered(low: Lowering, node: Node, logits: str) -> str:
    """All scores at the roots of the rows, and the choice made there: (value, id, score) lists."""
    w, line, dims = low.w, low.grid.line(Axis.COLUMNS), _experts(node)
    scores = logits
    if node.text("scoring") == "sigmoid":
        scores = w.value("moe.scores", dims, (), low.grid.over_columns("expert"))
        w.emit(isa.Apply(w.node, "sigmoid", scores, logits))
    terms = w.value("moe.scores.terms", dims, (), (Partial("sum", line.span),))
    w.emit(isa.Place(w.node, terms, scores))
    whole = w.joined(terms, line, whole=True)
    at = w.values[whole].columns
    if node.text("scoring") == "softmax":
        _softmax_of_all(low, whole)
    choice = w.value("moe.choice", dims, (), at)
    if node.integer("selection_bias"):
        w.emit(isa.Combine(w.node, "add", choice, whole, _selection_bias(low, node, ())))
    else:
        w.emit(isa.Copy(w.node, choice, whole))
    if node.integer("groups") > 1:
        _only_best_groups(low, node, choice)
    count = node.integer("top_k")
    best = w.value("moe.best", (Dim("which", 3), Dim("choice", count)), (), at)
    w.emit(isa.Select(w.node, best, choice, "expert", count, whole))
    picked = w.value("moe.picked", (Dim("choice", count),), (), at, view=view_of(best, 2 * count))
    _weighed(low, node, picked)
    return best


def _softmax_of_all(low: Lowering, scores: str) -> None:
    w, at = low.w, low.w.values[scores].columns
    top, total = (w.value(f"moe.{what}.all", (), (), at) for what in ("top", "total"))
    w.emit(isa.Fold(w.node, "max", top, scores))
    w.emit(isa.Combine(w.node, "subtract", scores, scores, top))
    w.emit(isa.Apply(w.node, "exp", scores, scores))
    w.emit(isa.Fold(w.node, "sum", total, scores))
    w.emit(isa.Apply(w.node, "reciprocal", total, total))
    w.emit(isa.Combine(w.node, "multiply", scores, scores, total))


def _only_best_groups(low: Lowering, node: Node, choice: str) -> None:
    """Takes a huge number off the scores of all groups but the best; a group's score is the sum of its two best."""
    w, at = low.w, low.w.values[choice].columns
    groups = node.integer("groups")
    group, member = Dim("group", groups), Dim("member", node.integer("experts") // groups)
    two = Dim("count", min(2, member.size))
    grouped = w.value("moe.grouped", (group, member), (), at, view=view_of(choice))
    pairs = w.value("moe.pairs", (Dim("which", 2), group, two), (), at)
    w.emit(isa.Select(w.node, pairs, grouped, "member", two.size))
    tops = w.value("moe.pair.values", (group, two), (), at, view=view_of(pairs))
    sums = w.value("moe.group.scores", (group,), (), at)
    w.emit(isa.Fold(w.node, "sum", sums, tops))
    kept = Dim("kept", node.integer("top_groups"))
    best = w.value("moe.groups", (Dim("which", 2), kept), (), at)
    w.emit(isa.Select(w.node, best, sums, "group", kept.size))
    ids = w.value("moe.group.ids", (kept,), (), at, view=view_of(best, kept.size))
    marks = w.value("moe.group.marks", (kept, group), (), at)
    w.emit(isa.Mark(w.node, marks, ids))
    penalty = w.value("moe.penalty", (group,), (), at)
    w.emit(isa.Fold(w.node, "sum", penalty, marks))
    w.emit(isa.Scale(w.node, "subtract", penalty, penalty, 1.0))
    w.emit(isa.Scale(w.node, "multiply", penalty, penalty, _NEVER))
    w.emit(isa.Combine(w.node, "add", grouped, grouped, penalty))
