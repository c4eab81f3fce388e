"""Lowers mixtures of experts: every core holds its slice of every expert, or groups of columns have some of them each.

A token takes the chosen ones' weights, where they are. Gates and ups of all choices and of the shared expert are one
tile from rows to columns; their downs are summed on each core, weights included, before one sum to the rows. The choice
itself is in `routes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from msgspec.structs import replace as altered

from undiced.compiler.wafer.lower.feedforward import gate_times_up
from undiced.compiler.wafer.lower.held import Chosen, Held
from undiced.compiler.wafer.lower.lowering import FEATURE, HIDDEN, Lowering, layered, matrix, vector_weight, view_of
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Keeper, Part, Partial, Replicate, Roots, Shard, Spread
from undiced.program.wafer.value import DType, Kind, Value, local_shape


@dataclass(frozen=True, slots=True)
class SharedExpert:
    """The nodes of the expert that every token visits, and the sum that adds it to the mixture."""

    gate: Node
    up: Node
    glu: Node
    down: Node
    total: Node

    @property
    def biased(self) -> bool:
        """Whether gate and up have biases."""
        return len(self.gate.weights) > 1


@dataclass(frozen=True, slots=True)
class Mixture:
    """One mixture being lowered.

    Attributes:
        inner: what experts multiply; normed, or scaled by the norm's weights alone.
    """

    low: Lowering
    node: Node
    chosen: Chosen
    inner: str
    shared: SharedExpert | None

    @property
    def choice(self) -> Dim:
        """Experts of a token."""
        return Dim("choice", self.node.integer("top_k"))

    @property
    def experts(self) -> Dim:
        """Experts of the layer."""
        return Dim("expert", self.node.integer("experts"))

    @property
    def features(self) -> Dim:
        """Columns of an expert."""
        return self.low.features(self.low.graph.slot(self.node.weights[0]).rows // self.experts.size)

    @property
    def shared_features(self) -> Dim:
        """Columns of the shared expert."""
        return self.low.features(self.low.graph.slot(self.shared.gate.weights[0]).rows if self.shared else 0)

    @property
    def stacks(self) -> Spread:
        """Where experts lie on columns."""
        return self._over(Shard("expert", self.low.grid.groups))

    @property
    def visited(self) -> Spread:
        """Where a token's choices lie on columns."""
        groups = self.low.grid.groups
        return self._over(Keeper(self.chosen.ids, groups, ceil(self.experts.size / groups)))

    @property
    def everywhere(self) -> Spread:
        """Where the columns of an expert lie, the same in every group."""
        return self._over(Replicate(self.low.grid.groups))

    @property
    def flat(self) -> Spread:
        """How memory of choices alone lies on columns; with a shared expert in it, each core has its own."""
        return () if self.shared or self.low.grid.groups == 1 else self.visited

    @property
    def share(self) -> int:
        """Columns of one chosen expert on a core."""
        return _share(self.features, self.stacks)

    @property
    def size(self) -> int:
        """Columns of all that a token visits on a core, if it has all of that."""
        shared = _share(self.shared_features, self.low.grid.over_columns(FEATURE)) if self.shared else 0
        return self.choice.size * self.share + shared

    def _over(self, groups: Part) -> Spread:
        return self.low.grid.of_experts(FEATURE, groups)


def _share(dim: Dim, columns: Spread) -> int:
    return local_shape(Value("", (dim,), columns=columns))[0]


def moe_ffn(low: Lowering, node: Node) -> None:
    """The sum over chosen experts (and the shared one) of weight times expert."""
    chosen, x = low.chosen[node.ins[1]], low.get(node)
    biased = len(node.weights) > 3
    root = low.roots[x.norm.scaled] if x.norm else ""
    mixture = Mixture(low, node, chosen, _inner(low, x, root, biased), shared_expert(low, node))
    payload = _gates_and_ups(mixture)
    active = _activated(mixture, payload, "" if biased else root)
    result = _downs(mixture, active)
    if mixture.shared is None:
        low.held[node.out] = result
        return
    total = mixture.shared.total
    low.done |= {
        n.out for n in (mixture.shared.gate, mixture.shared.up, mixture.shared.glu, mixture.shared.down, total)
    }
    low.held[total.out] = result


def _inner(low: Lowering, x: Held, root: str, biased: bool) -> str:
    """Biases are added before sums are normed, so the norm then goes to every core ahead of the experts."""
    w = low.w
    if x.norm is None:
        return x.name
    if not biased:
        return x.norm.scaled
    known = w.sent(root, low.grid.line(Axis.ROWS), "moe.root", (), (), ())
    inner = low.like(x, "moe.normed")
    w.emit(isa.Combine(w.node, "multiply", inner, x.norm.scaled, known))
    return inner


def shared_expert(low: Lowering, node: Node) -> SharedExpert | None:
    """The nodes of a gated expert beside the mixture, if its sum with the mixture is all that reads both."""
    made = {each.out: each for each in low.nodes}
    users = low.users(node.out)
    if len(users) != 1 or users[0].op != "add":
        return None
    down = made.get(next(name for name in users[0].ins if name != node.out))
    glu = made.get(down.ins[0]) if down is not None and down.op == "linear" else None
    if down is None or glu is None or glu.op != "glu" or glu.text("activation") != node.text("activation"):
        return None
    gate, up = (made[name] for name in glu.ins)
    clamped = node.text("activation") == "swiglu_oss" and node.number("limit") > 0
    alone = all(len(low.users(each.out)) == 1 for each in (gate, up, glu, down))
    fits = alone and not clamped and gate.op == up.op == "linear" and gate.ins == up.ins == node.ins[:1]
    return SharedExpert(gate, up, glu, down, users[0]) if fits else None


def _gates_and_ups(m: Mixture) -> str:
    """The terms of gates and ups, element by element side by side: choice by choice, the shared expert last."""
    low, w = m.low, m.low.w
    terms = (Partial("sum", low.grid.rows),)
    payload = w.value("moe.payload", (Dim("flat", 2 * m.size),), terms, m.flat, w.choices.sums)
    stacks = tuple(_stack(m, n, (m.experts, m.features, *low.hidden_dims())) for n in (0, 1))
    results = _pair(m, payload, "moe", (m.choice, m.features), m.visited, 0)
    w.emit(isa.Product(w.node, m.low.factor(m.inner), stacks, results, (FEATURE,), expert=m.chosen.ids))
    if m.node.integer("scale_input"):
        for result in results:
            w.emit(isa.Combine(w.node, "multiply", result, result, m.chosen.weights))
    if m.shared is not None:
        over = low.grid.over_columns(FEATURE)
        pair = _pair(m, payload, "moe.shared", (m.shared_features,), over, 2 * m.choice.size * m.share)
        matrices = tuple(_shared_matrix(m, each) for each in (m.shared.gate, m.shared.up))
        w.emit(isa.Product(w.node, m.low.factor(m.inner), matrices, pair, (FEATURE,)))
    if len(m.node.weights) > 3:
        _first_biases(m, results)
    return payload


def _pair(m: Mixture, payload: str, label: str, dims: tuple[Dim, ...], over: Spread, start: int) -> tuple[str, ...]:
    """Terms of gates and of ups within the payload, from `start` on."""
    w, terms = m.low.w, (Partial("sum", m.low.grid.rows),)
    return tuple(
        w.value(f"{label}.{what}.terms", dims, terms, over, w.choices.sums, view=view_of(payload, start, 2, n))
        for n, what in enumerate(("gate", "up"))
    )


def _stack(m: Mixture, index: int, order: tuple[Dim, ...]) -> str:
    """The experts' matrices of one kind: sums run along the last dimension."""
    low = m.low
    role, layer = layered(m.node.weights[index])
    expert, out, inner = order
    rows = low.grid.over_rows(HIDDEN)
    return low.w.weight(role, (expert, inner, out), matrix(m.low, role, layer, order), rows, m.stacks)


def _shared_matrix(m: Mixture, node: Node) -> str:
    low, hidden = m.low, m.low.hidden_dims()
    role, layer = layered(node.weights[0])
    held = matrix(m.low, role, layer, (m.shared_features, *hidden))
    rows, columns = low.grid.over_rows(HIDDEN), low.grid.over_columns(FEATURE)
    return low.w.weight(role, (*hidden, m.shared_features), held, rows, columns)


def _first_biases(m: Mixture, results: tuple[str, ...]) -> None:
    """Biases of gates and ups: experts lie over rows, and the row that has a choice's adds it to its terms."""
    low, w = m.low, m.low.w
    experts = low.grid.over_rows("expert")
    marks = w.value("moe.marks.rows", (m.choice, m.experts), experts, ())
    w.emit(isa.Mark(w.node, marks, m.chosen.ids))
    weights = []
    for slot in m.node.weights[3:5]:
        role, layer = layered(slot)
        dims = (m.experts, m.features)
        weights.append(w.weight(role, dims, matrix(low, role, layer, dims), experts, m.everywhere, DType.F32))
    w.emit(isa.Product(w.node, marks, tuple(weights), results, (FEATURE,), accumulate=True))


def _activated(m: Mixture, payload: str, root: str) -> str:
    """activation(gate) * up at the roots, sent to the columns of cores: choices first, then the shared expert."""
    w, line = m.low.w, m.low.grid.line(Axis.ROWS)
    part = Roots(line.span, w.tree(line, w.choices.row_slices))
    pairs = altered(part, granule=2)
    at_root = w.value("moe.payload.sum", w.values[payload].dims, (pairs,), m.flat)
    w.emit(isa.Reduce(w.node, "sum", at_root, payload, line, w.choices.wire))
    flat = (Dim("flat", 0),)
    if root:
        body = w.value("moe.payload.body", flat, (pairs,), m.flat, view=view_of(at_root))
        w.emit(isa.Combine(w.node, "multiply", body, body, root))
    if m.shared is not None and m.shared.biased:
        _add_shared_biases(m, at_root, pairs)
    gate, up = (w.value(f"moe.{what}.body", flat, (pairs,), m.flat, view=view_of(at_root, 0, 2, n))
                for n, what in enumerate(("gate", "up")))  # fmt: skip
    active = w.value("moe.active.body", (Dim("flat", m.size),), (part,), m.flat)
    gate_times_up(w, active, gate, up, m.node.text("activation"), m.node.number("limit"))
    return w.sent(active, line, "moe.active", (Dim("flat", m.size),), (), m.flat, exact=False)


def _add_shared_biases(m: Mixture, at_root: str, pairs: Roots) -> None:
    """Biases of the shared expert's gate and up lie where their sums do; those of the others are 0."""
    assert m.shared is not None
    low, w = m.low, m.low.w
    name = "moe.shared.biases"
    w.values[name] = Value(name, (Dim("flat", 2 * m.size),), DType.F32, (), (), Kind.WEIGHT)
    for n, each in enumerate((m.shared.gate, m.shared.up)):
        role, layer = layered(each.weights[1])
        dims = (m.shared_features,)
        bias = w.weight(role, dims, matrix(m.low, role, layer, dims), (), low.grid.over_columns(FEATURE), DType.F32)
        w.values[bias] = altered(w.values[bias], view=view_of(name, 2 * m.choice.size * m.share, 2, n))
    mine = w.value("moe.shared.bias", (Dim("flat", 2 * m.size),), (pairs,), (), once=True)
    w.emit(isa.Slice(w.node, mine, name))
    body = w.value("moe.biased.body", (Dim("flat", 0),), (pairs,), (), view=view_of(at_root))
    w.emit(isa.Combine(w.node, "add", body, body, mine))


def _downs(m: Mixture, active: str) -> Held:
    """The hidden state's terms of all choices and the shared expert, summed on each core, then over columns."""
    low, w, hidden = m.low, m.low.w, m.low.hidden_dims()
    rows = low.grid.over_rows(HIDDEN)
    every = w.value("moe.active.all", (m.choice, m.features), (), m.visited, view=view_of(active))
    if not m.node.integer("scale_input"):
        w.emit(isa.Combine(w.node, "multiply", every, every, m.chosen.weights))
    terms = w.value("moe.terms", hidden, rows, (Partial("sum", low.grid.columns),), w.choices.sums)
    role, layer = layered(m.node.weights[2])
    held = matrix(m.low, role, layer, (m.experts, *hidden, m.features))
    stack = w.weight(role, (m.experts, m.features, *hidden), held, rows, m.stacks)
    w.emit(isa.Product(w.node, every, (stack,), (terms,), (HIDDEN,), expert=m.chosen.ids))
    if m.shared is not None:
        _shared_down(m, active, terms)
    if len(m.node.weights) > 3:
        _last_biases(m, terms)
    at_root = w.joined(terms, low.grid.line(Axis.COLUMNS), exact=False)
    label = layered(m.node.out if m.shared is None else m.shared.total.out)[0]
    name = w.sent(at_root, low.grid.line(Axis.COLUMNS), label, hidden, rows, (), exact=False)
    whole = Held(name, "rows", hidden)
    if m.shared is not None and len(m.shared.down.weights) > 1:
        w.emit(isa.Combine(w.node, "add", name, name, vector_weight(low, m.shared.down.weights[1], whole)))
    return whole


def _shared_down(m: Mixture, active: str, terms: str) -> None:
    assert m.shared is not None
    low, w, hidden = m.low, m.low.w, m.low.hidden_dims()
    dims, columns = (m.shared_features,), low.grid.over_columns(FEATURE)
    role, layer = layered(m.shared.down.weights[0])
    held = matrix(m.low, role, layer, (*hidden, *dims))
    down = w.weight(role, (*dims, *hidden), held, low.grid.over_rows(HIDDEN), columns)
    x = w.value("moe.shared.active", dims, (), columns, view=view_of(active, m.choice.size * m.share))
    w.emit(isa.Product(w.node, x, (down,), (terms,), (HIDDEN,), accumulate=True))


def _last_biases(m: Mixture, terms: str) -> None:
    """Biases of downs: experts lie over columns, and the column that has a choice's adds it, weighed."""
    low, w, hidden = m.low, m.low.w, m.low.hidden_dims()
    columns = low.grid.over_columns("expert")
    marks = w.value("moe.marks.columns", (m.choice, m.experts), (), columns)
    w.emit(isa.Mark(w.node, marks, m.chosen.ids))
    if not m.node.integer("scale_input"):
        w.emit(isa.Combine(w.node, "multiply", marks, marks, m.chosen.weights))
    dense = w.value("moe.dense", (m.experts,), (), columns)
    w.emit(isa.Fold(w.node, "sum", dense, marks))
    role, layer = layered(m.node.weights[5])
    dims = (m.experts, *hidden)
    biases = w.weight(role, dims, matrix(m.low, role, layer, dims), low.grid.over_rows(HIDDEN), columns, DType.F32)
    w.emit(isa.Product(w.node, dense, (biases,), (terms,), (HIDDEN,), accumulate=True))
