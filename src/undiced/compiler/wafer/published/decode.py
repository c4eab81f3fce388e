"""The decode programs of the published mappings, in the language of ours: executed and timed by the same tools.

`waferllm` (arXiv 2502.04563): one square region, 16-bit numbers, two-trees. Its benchmark holds one layer of a padded
model with one head, and runs it as often as the model has layers. `waferengine` (a Qwen3 engine on WSE-3): a pipeline
of regions of several layers each, 32-bit sums, embedding and head in bands of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from msgspec.structs import replace as with_fields

from undiced.compiler.wafer.colors import routed, shares_of_all
from undiced.compiler.wafer.lower.choices import Choices
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.lowering import HIDDEN
from undiced.compiler.wafer.lower.segments import Segment, Streams, segments
from undiced.compiler.wafer.lower.writer import Trees, Writer
from undiced.compiler.wafer.place import Tiling
from undiced.compiler.wafer.published.assemble import (
    Memory,
    NoRoom,
    Parts,
    Piece,
    assembled,
    longest_context,
    often,
    two_tree,
)
from undiced.compiler.wafer.published.layer import Style, lowerings
from undiced.compiler.wafer.published.painted import painted
from undiced.compiler.wafer.published.prompt import Prompt
from undiced.core.errors import CompileError
from undiced.core.mapping import PREFILL
from undiced.machine.fabric import fabric
from undiced.machine.timeline import critical_path
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.program import Run, Stream, WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType, Kind

BAND_WIDTH = 128  # columns of the bands of embedding and head, where the mesh has room for them
TOP_K = 20
_CHOICES = Choices(whole_bands=True)
_SEQUENCES = frozenset({"exp", "silu"})
_WIDE = Style(DType.F16, "f16", apart=False, vectors=_SEQUENCES)
_NARROW = Style(DType.F32, "f32", apart=True, vectors=frozenset())  # 16 bits once all is narrowed


@dataclass(frozen=True, slots=True)
class Asked:
    """What a program is for.

    Attributes:
        groups: of the two-trees; a side shorter than that has one core a group.
        chunk: tokens of one sequence that a step may have.

    Raises:
        CompileError: a model of another kind than published mappings are for.
    """

    graph: Graph
    wafer: Wafer
    width: int
    height: int
    groups: int
    bounds: Bounds
    chunk: int = 1

    def __post_init__(self) -> None:
        config = self.graph.config
        if config.mla or config.moe:
            raise CompileError(
                f"Published mappings have no experts and no latent attention; {config.name} has.",
                remedy="Use --mapping undiced.",
            )

    @property
    def grid(self) -> Grid:
        """Hidden state and positions over y, heads and feed-forward columns over x."""
        return Grid(self.height, self.width)

    def streams(self, style: Style, grid: Grid, choices: Choices = _CHOICES, beside: Streams | None = None) -> Streams:
        """A writer of streams for a grid; `beside` another, with which it shares all that is written."""
        trees, made = (beside.trees, beside.made) if beside else (Trees(), [])
        table = lowerings(style)
        return Streams(self.graph, grid, choices, self.bounds.context, self.chunk, trees, made, lowerings=table)

    def tree(self, line: Line) -> Tree:
        """A two-tree over whole lines, one chain inside a band."""
        heads = min(self.graph.config.kv_heads, self.width)
        sides = {self.width, *({BAND_WIDTH} - {self.width // heads})}  # of a region, and of the band of the head
        whole = line.span in sides if line.axis is Axis.COLUMNS else line.span == self.height
        groups = min(self.groups, line.span)
        while whole and line.span % groups:
            groups -= 1
        return two_tree(line.span, groups) if whole else Tree(line.span, (Level(line.span),))

    def trees(self, lines: Trees) -> tuple[Tree, ...]:
        """Those of all lines, by number."""
        return tuple(self.tree(line) for line, _ in lines.found)


# waferllm


def waferllm(asked: Asked) -> WaferProgram:
    """The whole model on one region, embedding and head included (those lie as in our mapping).

    Raises:
        CompileError: an operator that it has no lowering for, or a region with too little memory.
    """
    w = asked.streams(_NARROW, asked.grid)
    runs = [w.lowered(segment) for segment in segments(asked.graph)]
    runs = [runs[0], *w.rotating(), *runs[1:], w.returning(asked.width + asked.height, off_wafer=False)]
    narrow = {run.stream for run in runs if run.layer >= 0}
    rect = Rect(0, 0, asked.width, asked.height)
    return assembled(_narrow_parts(asked, w, narrow, (Piece("layers", 0, rect, tuple(runs)),)))


def waferllm_benchmark(asked: Asked) -> WaferProgram:
    """What was measured: one layer's weights, run as often as the model has layers; a constant enters, no token leaves.

    Its activation is taken of as many elements of the gate as a core has hidden columns.
    """
    config = asked.graph.config
    style = replace(_NARROW, activated=config.dim // asked.height)
    w = asked.streams(style, asked.grid)
    layer = [segment for segment in segments(asked.graph) if segment.layer == 0]
    once = [w.lowered(segment) for segment in layer]
    given = Run(w.index(_given(w, layer)))
    rect = Rect(0, 0, asked.width, asked.height)
    piece = Piece("layers", 0, rect, (given, *(once * config.layers)))
    parts = _narrow_parts(asked, w, {run.stream for run in once}, (piece,))
    memory = Memory.of(parts)
    all_layers = memory.bytes(piece) + (config.layers - 1) * memory.keeps(piece)
    sram = asked.wafer.core.sram_bytes.value

    def used(context: int) -> int:
        other = replace(asked, bounds=Bounds(asked.bounds.batch, context))
        again = other.streams(style, asked.grid)
        runs = [again.lowered(segment) for segment in layer]
        changed = _narrow_parts(other, again, {run.stream for run in runs}, (Piece("layers", 0, rect, tuple(runs)),))
        return Memory.of(changed).bytes(changed.pieces[0])

    longest = longest_context(used, asked.bounds.context, asked.height, asked.wafer)
    return assembled(
        parts,
        (
            ("sram_bytes_max_per_core", float(all_layers)),
            ("max_context_tokens", float(longest)),
            ("fits", float(all_layers <= sram)),
        ),
    )


def _given(w: Streams, layer: list[Segment]) -> Stream:
    """A constant hidden state, and constant rotations."""
    writer = w.writer()
    writer.node = "given"
    hidden = w.made[0].values
    states = [value for value in hidden if value.kind is Kind.STATE and value.view is None]
    for value in states:
        writer.values[value.name] = value
        writer.emit(isa.Fill(writer.node, value.name, 1.0))
    return writer.stream("given")


def waferllm_prompt(asked: Asked, *, benchmark: bool = False) -> WaferProgram:
    """A prompt of `bounds.context` tokens on one square region: of the whole model, all logits included; or what was
    measured, one layer's weights run as often as the model has layers, of a constant.

    Raises:
        CompileError: a model of several heads, an operator that the published prefill lacks, too little memory.
    """
    config = asked.graph.config
    activated = config.dim // asked.height if benchmark else None
    lines = Trees()
    p = Prompt(asked.graph, Writer(asked.grid, _CHOICES, lines), asked.bounds.context, lines, activated)
    every = segments(asked.graph)
    if benchmark:
        once = [p.lowered(segment) for segment in every if segment.layer == 0]
        writer = p.fresh()
        writer.node = "given"
        writer.emit(isa.Fill(writer.node, p.state(), 1.0))
        runs = (Run(p.stream("given")), *(once * config.layers))
    else:
        runs = tuple(p.lowered(segment) for segment in every)
    piece = Piece("layers", 0, Rect(0, 0, asked.width, asked.height), runs)
    layers = {run.stream for run in runs if run.layer >= 0}
    parts = _narrow(asked, p.made, p.trees, layers, {HIDDEN}, (piece,), chains=True)
    memory = Memory.of(parts)
    all_layers = memory.bytes(piece) + (config.layers - 1) * memory.keeps(piece) * benchmark
    fits = all_layers <= asked.wafer.core.sram_bytes.value
    facts = (PREFILL, 1.0), ("sram_bytes_max_per_core", all_layers), ("fits", fits)
    return assembled(parts, tuple((name, float(value)) for name, value in facts))


def _narrow_parts(asked: Asked, w: Streams, layers: set[int], pieces: tuple[Piece, ...]) -> Parts:
    """Streams with 16-bit numbers and routes; colors turn where queues serve one of them."""
    return _narrow(asked, w.made, w.trees, layers, {HIDDEN, *w.tables}, pieces)


def _narrow(
    asked: Asked, made: list[Stream], lines: Trees, layers: set[int], shared: set[str], pieces: tuple[Piece, ...],
    *, chains: bool = False,
) -> Parts:  # fmt: skip
    streams = tuple(
        _narrowed(stream, None if n in layers or stream.name == "tables" else shared) for n, stream in enumerate(made)
    )
    streams = tuple(with_fields(stream, synchronous=True) for stream in streams)
    trees = _chains(lines) if chains else asked.trees(lines)
    have, times = fabric(asked.wafer), often(streams, pieces)
    if have.binds:
        home = list(lines.found).index((asked.grid.line(Axis.COLUMNS), 1))
        streams = painted(streams, trees, times, have, home)
    else:
        streams = routed(streams, trees, times, have)
    return Parts("waferllm", asked.graph, asked.wafer, asked.bounds, streams, trees, pieces, asked.height)


def _narrowed(stream: Stream, only: set[str] | None) -> Stream:
    """The stream with all 32-bit floats (or those values only) of 16 bits, in cores and on wires."""
    values = tuple(
        with_fields(v, dtype=DType.F16) if v.dtype is DType.F32 and (only is None or v.name in only) else v
        for v in stream.values
    )
    instructions = stream.instructions
    if only is None:
        instructions = tuple(
            with_fields(i, wire="f16") if isinstance(i, isa.Reduce | isa.Multicast) else i for i in instructions
        )
    return with_fields(stream, values=values, instructions=instructions)


def layer_cycles(asked: Asked, counts: tuple[int, ...]) -> Iterator[tuple[int, float]]:
    """Each number of groups with the cycles of a benchmark's layer: what a search of grids compares."""
    style = replace(_NARROW, activated=asked.graph.config.dim // asked.height)
    w = asked.streams(style, asked.grid)
    for segment in segments(asked.graph):
        if segment.layer == 0:
            w.lowered(segment)
    streams = tuple(_narrowed(stream, None) for stream in w.made)
    for count in counts:
        yield count, _cycles(asked, streams, replace(asked, groups=count).trees(w.trees))


def prompt_cycles(asked: Asked) -> float:
    """Cycles of a prompt's layer, whether or not its program finds room."""
    p = Prompt(asked.graph, Writer(asked.grid, _CHOICES, lines := Trees()), asked.bounds.context, lines)
    for segment in segments(asked.graph):
        if segment.layer == 0:
            p.lowered(segment)
    return _cycles(asked, tuple(_narrowed(stream, None) for stream in p.made), _chains(lines))


def _chains(lines: Trees) -> tuple[Tree, ...]:
    return tuple(Tree(tree.span, (Level(tree.span),)) for tree in lines.made)


def _cycles(asked: Asked, streams: tuple[Stream, ...], trees: tuple[Tree, ...]) -> float:
    """Of streams without routes and addresses, one after the other."""
    clock = asked.wafer.system.clock_hz.value
    every = shares_of_all(streams, trees, Step(1, 1, asked.bounds.context))
    paths = (
        critical_path(asked.wafer, stream.instructions, shares, clock, synchronous=True)
        for stream, shares in zip(streams, every, strict=True)
    )
    return sum(path.cost.cycles for path in paths)


# waferengine


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline in the making: layers of each stage, and where its regions lie."""

    asked: Asked
    stages: tuple[int, ...]

    @property
    def tiling(self) -> Tiling:
        """Regions row by row, the direction alternating; beside them a band where the mesh has room."""
        (columns, rows), a = self.asked.wafer.mesh.size, self.asked
        return Tiling(a.width, a.height, self.room or columns // a.width, rows // a.height)

    @property
    def room(self) -> int:
        """Regions side by side that leave room for a band; 0 if there is none."""
        return max(0, (self.asked.wafer.mesh.size[0] - BAND_WIDTH) // self.asked.width)

    def parts(self) -> Parts:
        """Streams and regions."""
        a, tiling = self.asked, self.tiling
        w = a.streams(_WIDE, a.grid)
        ends = a.streams(_WIDE, Grid(a.height, BAND_WIDTH if self.room else a.width), _ends(), beside=w)
        every = segments(a.graph)
        layers: list[list[Run]] = [[] for _ in range(a.graph.config.layers)]
        for segment in every:
            if segment.layer >= 0:
                layers[segment.layer].append(w.lowered(segment))
        first = [ends.lowered(s) for s in every if s.layer < 0 and s is not every[-1]]
        chip, _ = tiling.place(len(self.stages) - 1)
        last = [ends.lowered(every[-1]), ends.returning(a.width + a.height, off_wafer=chip > 0)]
        tables = list(w.rotating())
        pieces, at = [], 0
        for number, count in enumerate(self.stages):
            where, rect = tiling.place(number)
            off = number > 0 and tiling.arrival(number) == "off wafer"
            turning = number > 0 and tiling.arrival(number) == "enter, turning"
            entering = w.entering(a.width + a.height * (turning or off), off)
            held = [run for layer in layers[at : at + count] for run in layer]
            pieces.append(Piece(f"{number}", where, rect, (entering, *tables, *held)))
            at += count
        pieces = self._with_ends(pieces, first, [w.entering(a.width), *last])
        streams = tuple(with_fields(stream, synchronous=True) for stream in w.made)
        trees = a.trees(w.trees)
        home = list(w.trees.found).index((a.grid.line(Axis.COLUMNS), 1))
        streams = painted(streams, trees, often(streams, pieces), fabric(a.wafer), home)
        return Parts("waferengine", a.graph, a.wafer, a.bounds, streams, trees, tuple(pieces), a.height)

    def _with_ends(self, pieces: list[Piece], first: list[Run], last: list[Run]) -> list[Piece]:
        """Embedding and head in bands beside the regions, or on the first and last of them."""
        if not self.room:
            pieces[0] = replace(pieces[0], runs=(*first, *pieces[0].runs[1:]))
            pieces[-1] = replace(pieces[-1], runs=(*pieces[-1].runs, *last[1:]))
            return pieces
        beside = Rect(self.tiling.across * self.asked.width, 0, BAND_WIDTH, self.asked.height)
        final, rows = pieces[-1].rect, self.asked.wafer.mesh.size[1]
        below = Rect(beside.x, min(final.y or beside.height, rows - beside.height), beside.width, beside.height)
        other = below if pieces[-1].wafer == 0 and below.y >= beside.height else beside
        return [
            Piece("embedding", 0, beside, tuple(first)),
            *pieces,
            Piece("head", pieces[-1].wafer, other if pieces[-1].wafer == 0 else beside, tuple(last)),
        ]


def _ends() -> Choices:
    return replace(_CHOICES, candidates=TOP_K)


def waferengine(asked: Asked, stages: tuple[int, ...] | None) -> WaferProgram:
    """A pipeline of regions of equal size with `stages` layers each; by default as few regions as hold the model.

    Raises:
        CompileError: stages that do not add up to the model's layers, an operator without a lowering, no room.
    """
    config = asked.graph.config
    if stages is None:
        return _fewest(asked)
    if sum(stages) != config.layers or min(stages, default=0) < 1:
        raise CompileError(
            f"Stages {','.join(map(str, stages))} hold {sum(stages)} layers; {config.name} has {config.layers}.",
            remedy="Give one positive number a region, adding up to the layers.",
        )

    def used(context: int) -> int:
        parts = Pipeline(replace(asked, bounds=Bounds(asked.bounds.batch, context)), stages).parts()
        return max(map(Memory.of(parts).bytes, parts.pieces))

    strides = int(asked.wafer.core.stride_max.value)  # from one cached row to the next
    if asked.bounds.context > strides * asked.height:
        raise CompileError(
            f"{asked.height} rows of cores hold {strides * asked.height} positions, {strides} each, as far as a "
            f"descriptor's stride goes; {asked.bounds.context} are asked for.",
            remedy="Use a shorter context, taller regions, or --mapping undiced.",
        )
    program = assembled(Pipeline(asked, stages).parts())
    longest = longest_context(used, asked.bounds.context, asked.height, asked.wafer, strides)
    facts = ("sram_bytes_max_per_core", program.fact("sram_bytes_resident_per_core")), ("max_context_tokens", longest)
    return with_fields(program, facts=(*program.facts, *((name, float(value)) for name, value in facts)))


def _fewest(asked: Asked) -> WaferProgram:
    layers = asked.graph.config.layers
    for count in range(1, layers + 1):
        each = ceil(layers / count)
        stages = tuple(min(each, layers - at) for at in range(0, layers, each))
        if len(stages) < count:
            continue
        try:
            return waferengine(asked, stages)
        except NoRoom as error:
            lacking = error
    raise lacking
