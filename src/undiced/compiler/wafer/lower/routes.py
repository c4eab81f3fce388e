"""Lowers the choice of experts: router logits over columns, the best of all to every core, and their weights.

Each core offers the best of its share, and rows of cores join the lists. Where groups limit the choice, each group's
two best are joined first, and every core takes the groups that are not among the best out of its share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from undiced.compiler.wafer.lower.held import Chosen
from undiced.compiler.wafer.lower.linear import Output, summed
from undiced.compiler.wafer.lower.lowering import Lowering, layered, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Replicate, Shard, Spread
from undiced.program.wafer.value import DType, Weights

_NEVER = 1e30  # taken off the scores of groups that are not chosen
_LEAST = 1e-20  # joins the sum of chosen scores, as in the model's definition
_WHICH = "which"  # rows of lists: values, ids, what they carry


@dataclass(frozen=True, slots=True)
class Router:
    """How the experts of a layer lie over columns: one by one, or group by group over bands of columns."""

    low: Lowering
    node: Node

    @property
    def groups(self) -> int:
        """Groups that limit the choice; 1 for none."""
        return self.node.integer("groups")

    @property
    def dims(self) -> tuple[Dim, ...]:
        """Experts, the index of a group first where there are some."""
        experts = self.node.integer("experts")
        if self.groups == 1:
            return (Dim("expert", experts),)
        return Dim("group", self.groups), Dim("member", experts // self.groups)

    @property
    def bands(self) -> tuple[int, int]:
        """Bands of columns that groups lie over, and the columns of a band."""
        count = min(self.groups, self.low.grid.columns)
        return count, self.low.grid.columns // count

    @property
    def columns(self) -> Spread:
        """Experts over columns."""
        if self.groups == 1:
            return self.low.grid.over_columns("expert")
        count, lanes = self.bands
        return Shard("group", count), Shard("member", lanes)

    def value(self, label: str) -> str:
        """A number an expert."""
        return self.low.w.value(label, self.dims, (), self.columns)


def moe_route(low: Lowering, node: Node) -> None:
    """The chosen experts and their weights on every core; the norm's root stays for the experts."""
    w, router = low.w, Router(low, node)
    output = Output(replace(node, weights=node.weights[: 1 + node.integer("router_bias")]), router.dims, router.columns)
    tile = summed(low, low.get(node), [output], exact=True)
    logits = w.sent(tile.body, low.grid.line(Axis.ROWS), "moe.logits", router.dims, (), router.columns)
    best = _best(router, logits)
    count, carries = node.integer("top_k"), w.values[best].dims[0].size == 3
    dims = (Dim(_WHICH, 2), Dim("choice", count))
    two = w.value("moe.best.two", dims, (), w.values[best].columns, view=view_of(best, count if carries else 0))
    both = w.sent(two, low.grid.line(Axis.COLUMNS), "moe.chosen", dims, (), ())
    ids = w.value("moe.ids", dims[1:], view=view_of(both, 0 if carries else count))
    weights = w.value("moe.weights", dims[1:], view=view_of(both, count if carries else 0))
    low.chosen[node.out] = Chosen(ids, weights)


def _best(router: Router, logits: str) -> str:
    """Lists of the chosen at the roots of the rows, their weights made there: (values, ids[, scores]) by choice."""
    low, node, w = router.low, router.node, router.low.w
    plain = router.groups == 1 and not node.integer("selection_bias")
    among_chosen = plain and node.text("scoring") == "softmax" and bool(node.integer("normalize"))
    key = logits if among_chosen else _scores(router, logits)
    carried = ""
    if node.integer("selection_bias"):
        key, carried = router.value("moe.biased"), key
        w.emit(isa.Combine(w.node, "add", key, carried, _selection_bias(router)))
    if router.groups > 1:
        _take_out_groups(router, key)
    dims = (Dim(_WHICH, 3 if carried else 2), Dim("choice", node.integer("top_k")))
    best = _joined(low, key, carried, "moe.best", dims)
    row = 2 if carried else 0
    picked = w.value("moe.picked", dims[1:], (), w.values[best].columns, view=view_of(best, row * dims[1].size))
    if among_chosen:
        _exponentials(low, picked)
    _weighed(low, node, picked)
    return best


def _selection_bias(router: Router) -> str:
    role, layer = layered(router.node.weights[-1])
    return router.low.w.weight(role, router.dims, Weights(role, router.dims, layer), (), router.columns, DType.F32)


def _joined(low: Lowering, key: str, carried: str, label: str, dims: tuple[Dim, ...]) -> str:
    """The largest of a value over columns: of each core's share first, then of all lists, at the roots of the rows."""
    w, line = low.w, low.grid.line(Axis.COLUMNS)
    own = w.value(f"{label}.own", dims, (), (Partial("max", line.span),))
    w.emit(isa.Select(w.node, own, key, carried))
    return w.joined(own, line, "top", whole=True)


def _exponentials(low: Lowering, picked: str) -> None:
    """Of the chosen logits, the first of which is the largest."""
    w, columns = low.w, low.w.values[picked].columns
    first = w.value("moe.first", (), (), columns, view=low.w.values[picked].view)
    top = w.value("moe.top", (), (), columns)
    w.emit(isa.Copy(w.node, top, first))
    w.emit(isa.Combine(w.node, "subtract", picked, picked, top))
    w.emit(isa.Apply(w.node, "exp", picked, picked))


def _scores(router: Router, logits: str) -> str:
    """Every expert's score, where its logit lies."""
    low, w = router.low, router.low.w
    scores = router.value("moe.scores")
    if router.node.text("scoring") == "sigmoid":
        w.emit(isa.Apply(w.node, "sigmoid", scores, logits))
        return scores
    line = low.grid.line(Axis.COLUMNS)
    largest = _joined(low, logits, "", "moe.largest", (Dim(_WHICH, 2), Dim("choice", 1)))
    first = w.value("moe.largest.first", (), (), w.values[largest].columns, view=view_of(largest))
    top = w.sent(first, line, "moe.largest.all", (), (), ())
    w.emit(isa.Combine(w.node, "subtract", scores, logits, top))
    w.emit(isa.Apply(w.node, "exp", scores, scores))
    ones = w.weight("ones.experts", router.dims, Weights("", router.dims, False), (), router.columns, DType.F32)
    w.emit(isa.Combine(w.node, "multiply", scores, scores, ones))  # padding is no expert
    own = w.value("moe.total", (), (), (Partial("sum", line.span),))
    w.emit(isa.Fold(w.node, "sum", own, scores))
    total = w.joined(own, line, whole=True)
    w.emit(isa.Apply(w.node, "reciprocal", total, total))
    w.emit(isa.Combine(w.node, "multiply", scores, scores, w.sent(total, line, "moe.total.all", (), (), ())))
    return scores


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


def _take_out_groups(router: Router, key: str) -> None:
    """Takes a huge number off the scores of all groups but the best."""
    low, w = router.low, router.low.w
    count, lanes = router.bands
    kept = Dim("kept", router.node.integer("top_groups"))
    ids = w.sent(_best_groups(router, key, kept), low.grid.line(Axis.COLUMNS), "moe.group.ids", (kept,), (), ())
    over: Spread = (Shard("group", count), Replicate(lanes))
    group = router.dims[0]
    marks = w.value("moe.group.marks", (kept, group), (), over)
    w.emit(isa.Mark(w.node, marks, ids))
    penalty = w.value("moe.penalty", (group,), (), over)
    w.emit(isa.Fold(w.node, "sum", penalty, marks))
    w.emit(isa.Scale(w.node, "subtract", penalty, penalty, 1.0))
    w.emit(isa.Scale(w.node, "multiply", penalty, penalty, _NEVER))
    w.emit(isa.Combine(w.node, "add", key, key, penalty))


def _best_groups(router: Router, key: str, kept: Dim) -> str:
    """Ids of the groups whose best experts, one or two, have the largest sums, at the roots of the rows."""
    low, w, (group, member) = router.low, router.low.w, router.dims
    line, (count, lanes) = low.grid.line(Axis.COLUMNS), router.bands
    dims = (Dim(_WHICH, 2), group, Dim("pair", min(router.node.integer("group_best"), member.size)))
    own = w.value("moe.pairs.own", dims, (), (Shard("group", count), Partial("max", lanes)))
    w.emit(isa.Select(w.node, own, key))
    largest = w.value("moe.pairs.largest", dims[1:], (), w.values[own].columns, view=view_of(own))
    terms = w.value("moe.pairs.terms", dims[1:], (), (Partial("max", line.span),))
    w.emit(isa.Place(w.node, terms, largest, -_NEVER))
    values = w.joined(terms, line, "two" if dims[2].size == 2 else "max", whole=True)
    at = w.values[values].columns
    sums = w.value("moe.group.scores", dims[1:2], (), at)
    w.emit(isa.Fold(w.node, "sum", sums, values))
    best = w.value("moe.groups", (Dim(_WHICH, 2), kept), (), at)
    w.emit(isa.Select(w.node, best, sums))
    return w.value("moe.groups.ids", (kept,), (), at, view=view_of(best, kept.size))
