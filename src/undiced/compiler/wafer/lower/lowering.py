"""What lowers a segment of the graph to a stream: the environment of its nodes, and helpers that all of them use.

A segment runs from one hidden state to the next. Its nodes are lowered in order by the table `LOWERINGS`; a node may
take its followers along (products of one input become one tile).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from undiced.compiler.wafer.lower.grid import Bands, Grid
from undiced.compiler.wafer.lower.held import ByPosition, Chosen, Held, PendingNorm
from undiced.compiler.wafer.lower.writer import Writer
from undiced.core.errors import CompileError
from undiced.model.config import ModelConfig
from undiced.model.graph import Graph
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Spread
from undiced.program.wafer.value import DType, View, Weights

HIDDEN = "hidden"
FEATURE = "feature"
PARTS = 8  # a feed-forward block may be cut into eighths of its width, so that regions fill up
TOKEN = "token"
KEPT = "kept"  # the hidden state as it was before a block whose parts are added one by one
RANGE = "range"  # a power of two near the last norm's inverse root


def layered(name: str) -> tuple[str, bool]:
    """A slot's or value's name within its layer, and whether it has a layer."""
    if name.startswith("layers."):
        return name.split(".", 2)[2], True
    return name, False


@dataclass(slots=True)
class Lowering:
    """One segment being lowered.

    Attributes:
        held: values of the graph by name.
        done: nodes already taken along by another.
        context: positions that caches and tables hold.
        chunk: tokens of a prompt that are taken together; ahead: that a step may have at most.
        narrowed: 16-bit copies of what products take, by the value that they are of.
        chosen: experts that tokens visit, by the graph's routes.
        roots: inverse roots at the roots of columns of cores, by the value that they scale products of.
        tables: rows by position that the segment reads, by the name of their state.
        sums: what sums read instead of a value, where parts of a block are added one by one.
        eighths: how much of a feed-forward block's width the stream takes, where regions cut it.
    """

    graph: Graph
    w: Writer
    context: int
    chunk: int
    ahead: int
    nodes: tuple[Node, ...]
    held: dict[str, Held] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    tables: dict[str, ByPosition] = field(default_factory=dict)
    chosen: dict[str, Chosen] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    eighths: int = PARTS
    sums: dict[str, Held] = field(default_factory=dict)
    near: str = ""
    narrowed: dict[str, str] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        return self.w.grid

    @property
    def config(self) -> ModelConfig:
        return self.graph.config

    @property
    def bands(self) -> Bands:
        """How heads lie on the columns."""
        config, kv_heads, columns = self.config, self.config.kv_heads, self.grid.columns
        if self.w.choices.whole_bands:
            return Bands(min(kv_heads, columns), columns // min(kv_heads, columns))
        least = self.w.choices.sub_bands
        return Bands.of(kv_heads, columns, config.head_dim // 2, config.heads // kv_heads, least)

    def refuse(self, node: Node, why: str) -> CompileError:
        """What no lowering can do."""
        return CompileError(
            f"{self.config.name}: wafers have no lowering for {node.op} of {node.out} {why}.",
            remedy="Run the model on the host (`undiced serve`, `undiced generate`).",
        )

    def get(self, node: Node, index: int = 0) -> Held:
        """An input of a node, as it is held."""
        return self.held[node.ins[index]]

    def siblings(self, node: Node) -> list[Node]:
        """The products that take the same input as `node`, in a row from it on."""
        at = self.nodes.index(node)
        rest = [n for n in self.nodes[at:] if n.op == "linear" and n.ins == node.ins]
        self.done |= {n.out for n in rest}
        return rest

    def users(self, name: str) -> list[Node]:
        """Nodes of the segment that read a value."""
        return [n for n in self.nodes if name in n.ins]

    def features(self, width: int) -> Dim:
        """Feed-forward columns of this stream: all, or so many eighths (the last may be padding)."""
        return Dim(FEATURE, width if self.eighths == PARTS else -(-width // PARTS) * self.eighths)

    def hidden_dims(self) -> tuple[Dim, ...]:
        """The hidden state's."""
        return (Dim(HIDDEN, self.config.dim),)

    def open_norm(self, node: Node, held: Held) -> PendingNorm:
        """Scale by the norm's weights now; the inverse root follows with the product."""
        scaled = held.name
        if node.weights:
            role, layer = layered(node.weights[0])
            weight = self.w.weight(
                role, held.dims, Weights(role, held.dims, layer), *self.spreads(held.name), dtype=DType.F32
            )
            scaled = self.like(held, f"{role}.scaled")
            self.w.emit(isa.Combine(self.w.node, "multiply", scaled, held.name, weight))
        return PendingNorm(held.name, scaled, node.number("eps"), node.integer("width"))

    def norm_ahead(self, norm: PendingNorm, slices: int) -> str:
        """The sum of squares on its way to all roots of the sums that it scales; returns it there.

        Where sums have 16 bits, the operand takes a power of two near the norm before: every core has it by then.
        """
        if norm.scaled in self.roots:
            return self.roots[norm.scaled]
        w, line = self.w, self.grid.line(Axis.ROWS)
        squares = w.value("square", (), (Partial("sum", line.span),), ())
        self.square_sum(norm.source, squares)
        root = w.joined(squares, line, whole=True, slices=slices)
        if w.choices.ranged:
            w.emit(isa.Combine(w.node, "multiply", norm.scaled, norm.scaled, w.state(RANGE, ())))
        return root

    def factor(self, name: str) -> str:
        """A value as products take it: of a chunk in 16 bits, where sums have as many, so that its place is planned."""
        value = self.w.values[name]
        if self.chunk == 1 or value.dtype is not DType.F32 or self.w.choices.sums is not DType.F16:
            return name
        if name not in self.narrowed:
            made = self.w.value(f"{name}.factor", value.dims, value.rows, value.columns, DType.F16)
            self.w.emit(isa.Copy(self.w.node, made, name))
            self.narrowed[name] = made
        return self.narrowed[name]

    def norm_taken(self, norm: PendingNorm, root: str, sums: str) -> None:
        """Scale sums at the roots by the inverse root; the power of two near it is the next norm's."""
        if norm.scaled not in self.roots:
            self._norm_rooted(norm, root)
        self.w.emit(isa.Combine(self.w.node, "multiply", sums, sums, root))

    def _norm_rooted(self, norm: PendingNorm, root: str) -> None:
        """The inverse root, once for all products of the norm."""
        w, at = self.w, self.w.values[root]
        back = ""
        if w.choices.ranged:
            back = w.value("range.back", (), at.rows, at.columns)
            w.emit(isa.Apply(w.node, "inverse_power", back, w.state(RANGE, ())))
        self.roots[norm.scaled] = self.inverse_root(root, norm.width, norm.eps)
        if back:
            self.near = w.value("range.near", (), at.rows, at.columns)
            w.emit(isa.Apply(w.node, "power_of_two", self.near, root))
            w.emit(isa.Combine(w.node, "multiply", root, root, back))

    def send_range(self) -> None:
        """The next norm's power of two on its way, once what is more urgent has left."""
        if self.near:
            self.w.emit(
                isa.Multicast(self.w.node, self.w.state(RANGE, ()), self.near, self.grid.line(Axis.ROWS), "f32")
            )
            self.near = ""

    def spreads(self, name: str) -> tuple[Spread, Spread]:
        """How a value of the stream lies on rows and on columns."""
        value = self.w.values[name]
        return value.rows, value.columns

    def like(self, held: Held, label: str) -> str:
        """A new value laid out as a held one."""
        rows, columns = self.spreads(held.name)
        return self.w.value(label, held.dims, rows, columns)

    def square_sum(self, name: str, into: str) -> None:
        """The sum of squares of a core's share."""
        squares = self.w.value(f"{name}.squares", self.w.values[name].dims, *self.spreads(name))
        self.w.emit(isa.Combine(self.w.node, "multiply", squares, name, name))
        self.w.emit(isa.Fold(self.w.node, "sum", into, squares))

    def inverse_root(self, squares: str, norm_width: int, eps: float) -> str:
        """1 / sqrt(sum / width + eps), in place."""
        emit, node = self.w.emit, self.w.node
        emit(isa.Scale(node, "multiply_add", squares, squares, 1.0 / norm_width, eps))
        emit(isa.Apply(node, "inverse_root", squares, squares))
        return squares

    def normed(self, held: Held) -> Held:
        """The value with a waiting norm applied, where no product takes it along."""
        if held.norm is None:
            return held
        norm, w = held.norm, self.w
        axis = Axis.ROWS if held.side == "rows" else Axis.COLUMNS
        term = (Partial("sum", self.grid.extent(axis)),)
        squares = w.value(
            f"{held.name}.square", (), term if axis is Axis.ROWS else (), () if axis is Axis.ROWS else term
        )
        self.square_sum(norm.source, squares)
        at_root = w.joined(squares, self.grid.line(axis), whole=True)
        self.inverse_root(at_root, norm.width, norm.eps)
        root = w.sent(at_root, self.grid.line(axis), f"{held.name}.root", (), (), ())
        result = self.like(held, f"{held.name}.normed")
        w.emit(isa.Combine(w.node, "multiply", result, norm.scaled, root))
        return Held(result, held.side, held.dims)


def matrix(
    low: Lowering, role: str, layer: bool, order: tuple[Dim, ...], columns: tuple[int, ...] = (), scale: float = 1.0
) -> Weights:
    """The source of a matrix; of a part of its features the slot still has all."""
    if low.eighths == PARTS or all(dim.name != FEATURE for dim in order):
        return Weights(role, order, layer, columns, scale=scale)
    slot = low.graph.slot(f"layers.{low.nodes[-1].layer}.{role}")
    others = 1
    for dim in order:
        others *= dim.size if dim.name != FEATURE else 1
    full = tuple(Dim(FEATURE, slot.rows * slot.columns // others) if dim.name == FEATURE else dim for dim in order)
    step = tuple(-(-width // PARTS) for width in (low.config.ffn, slot.rows * slot.columns // others))
    return Weights(role, full, layer, columns, FEATURE, scale, step=(step[0], step[1]))


def vector_weight(low: Lowering, slot: str, like: Held, *, scale: float = 1.0) -> str:
    """A vector of the checkpoint laid out as a value of the same dimensions."""
    role, layer = layered(slot)
    rows, columns = low.spreads(like.name)
    return low.w.weight(role, like.dims, Weights(role, like.dims, layer, scale=scale), rows, columns, DType.F32)


def view_of(parent: str, offset: int = 0, of: int = 1, pick: int = 0, count: int = 1) -> View:
    """A view, written shortly."""
    return View(parent, offset, of, pick, count)
