"""Cuts a graph where only the hidden state lives, and lowers each segment; equal segments share a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil

from msgspec.structs import replace as altered

from undiced.compiler.wafer.lower.choices import Choices
from undiced.compiler.wafer.lower.ends import head
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.held import ByPosition, Held
from undiced.compiler.wafer.lower.lowering import HIDDEN, KEPT, PARTS, RANGE, TOKEN, Lowering, layered
from undiced.compiler.wafer.lower.positions import tables_stream
from undiced.compiler.wafer.lower.table import LOWERINGS, Lower
from undiced.compiler.wafer.lower.widening import widened
from undiced.compiler.wafer.lower.writer import Trees, Writer
from undiced.model.config import ModelConfig
from undiced.model.graph import Graph
from undiced.model.node import Node
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Dim
from undiced.program.wafer.program import Run, Stream

BACK = "back"  # how the stream is called that brings the hidden state to the first region again
INSIDE = ", inside a block"  # how streams of arrivals are called that bring along what is kept of a cut block
_FILLED = 4 / 3  # columns of all parts of a block over those of the block, at most
_NARROW_FILLED = 1.05  # the same where weights are narrow, of which many layers share a region
_UNBIASED = {"linear": 1, "moe_ffn": 3}  # weights of what ends a feed-forward block without biases


@dataclass(frozen=True, slots=True)
class Segment:
    """Nodes from one hidden state to the next, which read `source` and make `result`; equal keys, equal streams.

    Attributes:
        splits: whether regions may cut it by its width: a feed-forward block whose parts add up, with no bias or norm
            behind.
    """

    nodes: tuple[Node, ...]
    source: str
    result: str
    key: str
    splits: bool

    @property
    def layer(self) -> int:
        """The layer it belongs to; -1 for the ends."""
        return self.nodes[-1].layer


def _splits(nodes: tuple[Node, ...]) -> bool:
    made = {node.out: node for node in nodes}
    if nodes[-1].layer < 0 or any(node.op in ("attention", "mla_attention") for node in nodes):
        return False
    terms = [made[name] for name in nodes[-1].ins if name in made]
    if terms[0].op == "add":
        terms = [made[name] for name in terms[0].ins]
    return all(term.op in _UNBIASED and len(term.weights) == _UNBIASED[term.op] for term in terms)


def grain_for(segment: Segment, config: ModelConfig, grid: Grid, *, whole: bool = False, narrow: bool = False) -> int:
    """The fewest eighths of a segment whose columns fill cores about as well as all of them do; all if it isn't cut.

    Experts that lie on columns of their own have at most one column a core, of which there are no parts.

    Args:
        whole: whether no block is cut: a chunk has no room for what its parts would have to keep.
        narrow: whether weights have fewer than 16 bits.
    """
    if not segment.splits or whole:
        return PARTS
    mixture = any(node.op == "moe_ffn" for node in segment.nodes)
    if mixture and grid.groups > 1:
        return PARTS
    width = config.moe.ffn if config.moe and mixture else config.ffn

    def columns(eighths: int) -> int:
        return PARTS // eighths * ceil(ceil(width / PARTS) * eighths / grid.columns)

    most = (_NARROW_FILLED if narrow else _FILLED) * columns(PARTS)
    return next((grain for grain in (1, 2, 4) if columns(grain) <= most), PARTS)


def segments(graph: Graph) -> list[Segment]:
    """The graph, cut after every node at which one value alone lives on."""
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.ins}
    out, taken, source, live = [], 0, "", set()
    for index, node in enumerate(graph.nodes):
        live |= {node.out}
        live = {name for name in live if last.get(name, len(graph.nodes)) > index}
        if live == {node.out} and graph.nodes[taken : index + 1] and _whole(graph, node):
            nodes = graph.nodes[taken : index + 1]
            out.append(Segment(nodes, source, node.out, _key(nodes, source), _splits(nodes)))
            taken, source = index + 1, node.out
    return out


def _key(nodes: tuple[Node, ...], source: str) -> str:
    """The nodes without their layer's number."""
    lines = []
    for node in nodes:
        attrs = sorted((k, v) for k, v in node.attrs.items() if k != "layer")
        names = [layered(name)[0] for name in (node.out, *node.ins, *node.weights) if name != source]
        lines.append(f"{node.op} {names} {attrs}")
    return "\n".join(lines)


def _whole(graph: Graph, node: Node) -> bool:
    """Whether a node's value may be a hidden state or is the last: what norms and heads make is not."""
    return node.op in ("embed", "position_embed", "add") or node.out == graph.output


@dataclass(slots=True)
class Streams:
    """The streams of a program, each once."""

    graph: Graph
    grid: Grid
    choices: Choices
    context: int
    chunk: int = 1
    ahead: int = 1
    cache_bytes: int = 0
    trees: Trees = field(default_factory=Trees)
    made: list[Stream] = field(default_factory=list)
    known: dict[tuple[str, int], int] = field(default_factory=dict)
    tables: dict[str, ByPosition] = field(default_factory=dict)
    lowerings: Mapping[str, Lower] = field(default_factory=lambda: LOWERINGS)

    def index(self, stream: Stream) -> int:
        """Its number, new or known."""
        if stream not in self.made:
            self.made.append(stream)
        return self.made.index(stream)

    def writer(self) -> Writer:
        """A new one."""
        return Writer(self.grid, self.choices, self.trees)

    def lowered(self, segment: Segment, eighths: int = PARTS, start: int = 0) -> Run:
        """The run of a segment, or of some eighths of its width from the eighth `start` on."""
        key = segment.key, eighths
        if key not in self.known:
            self.known[key] = self._lower(segment, eighths)
        stream = self.known[key]
        unit = -(-self.graph.config.ffn // PARTS)
        return Run(stream, segment.layer, start * unit)

    def _lower(self, segment: Segment, eighths: int) -> int:
        w = self.writer()
        ahead = max(self.chunk, self.ahead)
        low = Lowering(self.graph, w, self.context, self.chunk, ahead, segment.nodes, eighths=eighths)
        hidden = low.hidden_dims()
        if segment.source:
            name = w.state(HIDDEN, hidden, self.grid.over_rows(HIDDEN))
            low.held[segment.source] = Held(name, "rows", hidden)
            if eighths < PARTS:
                low.sums[segment.source] = low.held[segment.source]
                kept = w.state(KEPT, hidden, self.grid.over_rows(HIDDEN))
                low.held[segment.source] = Held(kept, "rows", hidden)
        cap = next((n for n in segment.nodes if n.op == "softcap" and n.out == self.graph.output), None)
        last = cap.ins[0] if cap else self.graph.output
        for node in segment.nodes:
            w.node = layered(node.out)[0]
            if node.out in low.done or node is cap:
                continue
            if node.out == last:
                head(low, node, cap)
            elif node.op not in self.lowerings:
                raise low.refuse(node, "yet")
            else:
                self.lowerings[node.op](low, node)
        if segment.result != self.graph.output:
            state = w.state(HIDDEN, hidden, self.grid.over_rows(HIDDEN))
            w.result_is(low.normed(low.held[segment.result]).name, state)
        low.send_range()
        self.tables.update(low.tables)
        name = _name(segment)
        made = w.stream(name if eighths == PARTS else f"{name} {eighths}/{PARTS}")
        made = widened(made, self.cache_bytes, self.chunk)
        return self.index(self.ending(made) if segment.result == self.graph.output else made)

    def ending(self, stream: Stream) -> Stream:
        """The stream of a model's end: of a chunk only the last token wants another."""
        return altered(stream, last=self.chunk > 1)

    def rotating(self) -> Iterator[Run]:
        """The run that every region starts with where layers read tables by position."""
        if self.tables:
            yield Run(self.index(tables_stream(self.writer(), self.context, self.tables)))

    def keeping(self) -> Run:
        """What precedes the first part of a block: all of its parts read the hidden state as it is now."""
        w = self.writer()
        hidden = (Dim(HIDDEN, self.graph.config.dim),)
        over = self.grid.over_rows(HIDDEN)
        w.node = KEPT
        w.emit(isa.Copy(w.node, w.state(KEPT, hidden, over), w.state(HIDDEN, hidden, over)))
        return Run(self.index(w.stream(KEPT)))

    def entering(self, distance: int = 0, off_wafer: bool = False, *, cut: bool = False, back: bool = False) -> Run:
        """The hidden state arriving from the region before; with what is kept of it where a block is cut. Or, `back`,
        from the last region at the first."""
        w = self.writer()
        hidden = (Dim(HIDDEN, self.graph.config.dim),)
        w.node = HIDDEN
        state = w.state(HIDDEN, hidden, self.grid.over_rows(HIDDEN))
        w.emit(isa.Transfer(w.node, state, HIDDEN, "f32", distance, off_wafer, back=back))
        if cut:
            kept = w.state(KEPT, hidden, self.grid.over_rows(HIDDEN))
            w.emit(isa.Transfer(w.node, kept, KEPT, "f32", distance, off_wafer))
        if self.choices.ranged:
            w.emit(isa.Transfer(w.node, w.state(RANGE, ()), RANGE, "f32", distance, off_wafer, back=back))
        name = (
            BACK
            if back
            else "off wafer"
            if off_wafer
            else "enter"
            if distance <= self.grid.columns
            else "enter, turning"
        )
        name += INSIDE if cut else ""
        return Run(self.index(self.ending(w.stream(name)) if back else w.stream(name)))

    def returning(self, distance: int, off_wafer: bool) -> Run:
        """The token on its way to the first region."""
        w = self.writer()
        w.node = TOKEN
        token = w.state(TOKEN, (Dim("count", 1),))
        w.emit(isa.Return(w.node, token, distance, off_wafer))
        return Run(self.index(self.ending(w.stream("return"))))


def _name(segment: Segment) -> str:
    return layered(segment.nodes[-1].out)[0]
