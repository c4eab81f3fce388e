"""How the published prefill lowers a model: tokens of the prompt over rows, features over columns, products by shifts.

One head, as published: a row of cores joins its scores by chains of the whole row. Norms and the softmax are joined by
plain chains into the middle, and sent one way after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from msgspec.structs import replace

from undiced.compiler.wafer.lower.feedforward import FUNCTIONS
from undiced.compiler.wafer.lower.lowering import HIDDEN, TOKEN, layered, view_of
from undiced.compiler.wafer.lower.positions import pairing
from undiced.compiler.wafer.lower.segments import Segment
from undiced.compiler.wafer.lower.writer import Trees, Writer
from undiced.compiler.wafer.published.layer import Style, apply
from undiced.compiler.wafer.published.rotation import Halves, rotate, table_of
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.model.graph import Graph
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import PROMPT, Axis, Dim, Partial, Shard, Spread
from undiced.program.wafer.program import Run, Stream
from undiced.program.wafer.value import DType, Kind, Weights, local_shape

_LOWEST = -1e30
_FEATURE, _COLUMN, _KEY = "feature", "column", "key"


@dataclass(slots=True)
class Prompt:
    """The streams of a prompt's program.

    Attributes:
        tokens: of the longest prompt.
        held: values of the graph by name, in the segment that is being lowered. aligned: of which a product before
            has shifted the tiles.
    """

    graph: Graph
    w: Writer
    tokens: int
    trees: Trees
    style: Style
    made: list[Stream] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    aligned: set[str] = field(default_factory=set)
    nodes: tuple[Node, ...] = ()

    @property
    def side(self) -> int:
        """Cores of a side."""
        return self.w.grid.rows

    @property
    def dim(self) -> Dim:
        """Tokens of the prompt: the last dimension of every value."""
        return Dim(PROMPT, self.tokens)

    def over(self, dim: str, rows: str = PROMPT) -> tuple[Spread, Spread]:
        """Tokens over rows, a dimension over columns."""
        return (Shard(rows, self.side),), (Shard(dim, self.side),)

    def lowered(self, segment: Segment) -> Run:
        """The run of a segment; equal ones share a stream."""
        if segment.key not in self.known:
            self.known[segment.key] = self._lower(segment)
        return Run(self.known[segment.key], segment.layer)

    def stream(self, name: str) -> int:
        """The writer's stream is done; its number."""
        made = self.w.stream(name)
        if made not in self.made:
            self.made.append(made)
        return self.made.index(made)

    def fresh(self) -> Writer:
        """A writer of the next stream."""
        self.w = Writer(self.w.grid, self.w.choices, self.trees)
        return self.w

    def state(self) -> str:
        """The hidden state of all tokens."""
        dims = Dim(HIDDEN, self.graph.config.dim), self.dim
        return self.w.state(HIDDEN, dims, *self.over(HIDDEN))

    def _lower(self, segment: Segment) -> int:
        w = self.fresh()
        self.held, self.aligned, self.nodes = {}, set(), segment.nodes
        if segment.source:
            self.held[segment.source] = self.state()
        for node in segment.nodes:
            w.node = layered(node.out)[0]
            if node.out == self.graph.output and node.op == "linear":
                head(self, node)
            elif node.op not in LOWERINGS:
                raise self.refuse(node, "that lies over cores")
            else:
                LOWERINGS[node.op](self, node)
        if segment.result != self.graph.output:
            w.result_is(self.held[segment.result], self.state())
        return self.stream(layered(segment.nodes[-1].out)[0])

    def refuse(self, node: Node, why: str) -> CompileError:
        """What the published prefill does not have."""
        return CompileError(
            f"{self.graph.config.name}: the published prefill has no {node.op} of {node.out} {why}.",
            remedy=f"Use {option('phase', 'decode')}, or {option('mapping', 'undiced')}.",
        )

    # What lowerings share

    def get(self, node: Node, index: int = 0) -> str:
        """An input of a node."""
        return self.held[node.ins[index]]

    def like(self, name: str, label: str) -> str:
        """A new value laid out as another."""
        value = self.w.values[name]
        return self.w.value(label, value.dims, value.rows, value.columns)

    def share(self, name: str) -> tuple[int, ...]:
        """A core's share of a value."""
        return local_shape(self.w.values[name])

    def everywhere(self, name: str, label: str, operation: isa.Join = "sum") -> str:
        """Terms of each row joined by a chain into the middle, and sent to both ends."""
        line, rows = self.w.grid.line(Axis.COLUMNS), self.w.values[name].rows
        return self.w.everywhere(name, line, label, rows, (), operation, apart=self.style.apart)

    def joined(self, name: str, label: str, operation: isa.Join = "sum") -> str:
        """A value summed over all features (or its largest), a number a token, on every core of a row."""
        terms: Spread = (Partial("max" if operation == "max" else "sum", self.side),)
        own = self.w.value(f"{label}.own", (self.dim,), (Shard(PROMPT, self.side),), terms)
        self.w.emit(isa.Fold(self.w.node, "max" if operation == "max" else "sum", own, name))
        return self.everywhere(own, label, operation)

    def function(self, function: str, name: str) -> None:
        """In place."""
        apply(self.style, self.w, function, name, name)

    def product(self, x: str, other: str, result: str) -> str:
        """x by the other operand; the first product of x aligns it."""
        self.w.emit(isa.ShiftProduct(self.w.node, x, other, result, x in self.aligned))
        self.aligned.add(x)
        return result


Lower = Callable[[Prompt, Node], None]


def embed(p: Prompt, node: Node) -> None:
    """The host sends the prompt's rows."""
    result = p.w.value("embedded", (Dim(HIDDEN, p.graph.config.dim), p.dim), *p.over(HIDDEN))
    p.w.emit(isa.Read(p.w.node, result, node.weights[0], node.number("scale")))
    p.held[node.out] = result


def rmsnorm(p: Prompt, node: Node) -> None:
    """Of every token's hidden state."""
    w, x = p.w, p.get(node)
    if node.integer("width") != prod(dim.size for dim in w.values[x].dims[:-1]):
        raise p.refuse(node, "over a part of a value")
    squares = p.like(x, f"{x}.squares")
    w.emit(isa.Combine(w.node, "multiply", squares, x, x))
    root = p.joined(squares, f"{x}.root")
    w.emit(isa.Scale(w.node, "multiply_add", root, root, 1.0 / node.integer("width"), node.number("eps")))
    p.function("inverse_root", root)
    result = p.like(x, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "multiply", result, x, root))
    if node.weights:
        role, layer = layered(node.weights[0])
        value = w.values[x]
        weight = w.weight(role, value.dims[:-1], Weights(role, value.dims[:-1], layer), (), value.columns, DType.F32)
        w.emit(isa.Combine(w.node, "multiply", result, result, weight))
    p.held[node.out] = result


def linear(p: Prompt, node: Node) -> None:
    """One product; what it is for names its columns."""
    dims, columns = _named(p, node)
    p.held[node.out] = _linear(p, node, (*dims, p.dim), dims, columns)


def _linear(p: Prompt, node: Node, made: tuple[Dim, ...], dims: tuple[Dim, ...], columns: tuple[int, ...] = ()) -> str:
    w, x = p.w, p.get(node)
    role, layer = layered(node.weights[0])
    inputs = w.values[x].dims[:-1]
    source = Weights(role, (*dims, *inputs), layer, columns)
    weight = w.weight(role, (*inputs, *dims), source, *p.over(dims[0].name, inputs[0].name))
    label = layered(node.out)[0]
    result = p.product(x, weight, w.value(label, made, *p.over(dims[0].name)))
    if len(node.weights) > 1:
        role, layer = layered(node.weights[1])
        bias = w.weight(role, dims, Weights(role, dims, layer, columns), (), p.over(dims[0].name)[1], DType.F32)
        w.emit(isa.Combine(w.node, "add", result, result, bias))
    return result


def _named(p: Prompt, node: Node) -> tuple[tuple[Dim, ...], tuple[int, ...]]:
    """Dimensions of a product's result, tokens left out, and which columns of the head they are."""
    config, read = p.graph.config, {n.op: n for n in p.nodes if node.out in n.ins}
    if "rmsnorm" in read or config.head_dim % 2:
        raise p.refuse(node, "whose heads are normed, or have an odd number of columns")
    if "rope" in read or ("attention" in read and node.out != read["attention"].ins[2]):
        turned = next((n for n in p.nodes if n.op == "rope"), None)
        columns = () if turned is None else pairing(
            turned.integer("head_dim"), turned.integer("dims"), turned.integer("offset"), turned.text("style")
        )  # fmt: skip
        return (Dim("pair", config.head_dim // 2), Dim("turn", 2)), columns
    if "attention" in read:
        return (Dim(_COLUMN, config.head_dim),), ()
    rows = p.graph.slot(node.weights[0]).rows
    return (Dim(HIDDEN if rows == config.dim and not read.keys() & {"glu", "act"} else _FEATURE, rows),), ()


def rope(p: Prompt, node: Node) -> None:
    """Six operations over the pairs of all tokens, with a table of the prompt's positions."""
    w, x = p.w, p.get(node)
    if node.weights:
        raise p.refuse(node, "with divisors from the checkpoint")
    value, count, table = w.values[x], p.share(x)[-1], "rotations"
    if table not in w.values:
        w.value(table, value.dims, value.rows, value.columns, kind=Kind.TABLE)
        w.values[table] = replace(w.values[table], table=table_of(node, p.tokens))
    dims, result = (value.dims[0], value.dims[-1]), p.like(x, layered(node.out)[0])

    def halves(name: str, kind: Kind = Kind.ACTIVATION) -> Halves:
        views = [view_of(name, 0, 2 * count, which * count, count) for which in (0, 1)]
        first, second = (
            w.value(f"{name}.{which}", dims, value.rows, value.columns, kind=kind, view=view)
            for which, view in enumerate(views)
        )
        return first, second

    rotate(w, halves(x), halves(table, Kind.TABLE), halves(result))
    p.held[node.out] = result


def attention(p: Prompt, node: Node) -> None:
    """Scores of all tokens, the softmax over their keys, and a product with values."""
    w, config = p.w, p.graph.config
    q, k, v = (p.get(node, n) for n in range(3))
    if config.heads != 1 or config.kv_heads != 1 or node.weights:
        raise p.refuse(node, "of several heads: it is defined for one")
    key = Dim(_KEY, p.tokens)
    rows = (Shard(_KEY, p.side),)
    keys = w.value("keys", (*w.values[k].dims[:-1], key), rows, w.values[k].columns, view=view_of(k))
    scores = w.value("scores", (key, p.dim), *p.over(_KEY))
    w.emit(isa.ShiftScores(w.node, q, keys, scores))
    w.emit(isa.Scale(w.node, "multiply", scores, scores, float(config.scale)))
    cap = node.number("softcap")
    if cap:
        w.capped(scores, scores, cap, "library")
    seen = node.integer("window"), node.integer("chunk")
    w.emit(isa.Causal(w.node, scores, scores, PROMPT, _KEY, *seen, _LOWEST))
    top = p.joined(scores, "top", "max")
    w.emit(isa.Combine(w.node, "subtract", scores, scores, top))
    p.function("exp", scores)
    total = p.joined(scores, "sums")
    p.function("reciprocal", total)
    w.emit(isa.Combine(w.node, "multiply", scores, scores, total))
    column = w.values[v].dims[0]
    values = w.value("values", (column, key), rows, w.values[v].columns, view=view_of(v))
    mixed = w.value(layered(node.out)[0], (column, p.dim), *p.over(_COLUMN))
    p.held[node.out] = p.product(scores, values, mixed)


def glu(p: Prompt, node: Node) -> None:
    """activation(gate) * up; in the published benchmark of as many elements of the gate as of the hidden state."""
    w, gate, up = p.w, p.get(node), p.get(node, 1)
    if node.text("activation") not in ("silu", "gelu", "gelu_tanh"):
        raise p.refuse(node, f"with {node.text('activation')}")
    part = gate
    width, count = p.share(gate)
    if p.style.activated is not None and p.style.activated < width:
        part = w.value("gate.part", (Dim("flat", p.style.activated * count),), (), (), view=view_of(gate))
    p.function(FUNCTIONS[node.text("activation")], part)
    result = p.like(gate, layered(node.out)[0])
    w.emit(isa.Combine(w.node, "multiply", result, gate, up))
    p.held[node.out] = result


def add(p: Prompt, node: Node) -> None:
    """Element by element."""
    a, b = p.get(node), p.get(node, 1)
    result = p.like(a, layered(node.out)[0])
    p.w.emit(isa.Combine(p.w.node, "add", result, a, b))
    p.held[node.out] = result


def head(p: Prompt, node: Node) -> None:
    """Logits of every token by one more product, and the likeliest of each."""
    w, side = p.w, p.side
    vocab = Dim("vocab", p.graph.config.vocab)
    logits = _linear(p, node, (p.dim, vocab), (vocab,))
    result = w.value("logits", (p.dim, vocab), *p.over("vocab"))
    w.emit(isa.Copy(w.node, result, logits))
    rows = (Shard(PROMPT, side),)
    lists = Dim("which", 2), p.dim, Dim("candidate", 1)
    own = w.value("largest.own", lists, rows, (Partial("max", side),))
    w.emit(isa.Select(w.node, own, result))
    both = p.everywhere(own, "largest", "top")
    ids = w.value("chosen.id", (p.dim,), rows, (), view=view_of(both, p.share(result)[0]))
    w.emit(isa.Copy(w.node, w.state(TOKEN, (p.dim,), rows), ids))
    p.held[node.out] = result


LOWERINGS: dict[str, Lower] = {
    "embed": embed,
    "rmsnorm": rmsnorm,
    "linear": linear,
    "rope": rope,
    "attention": attention,
    "glu": glu,
    "add": add,
}
