"""WaferLLM (arXiv 2502.04563): one square region, 16-bit numbers, two-trees.

Its benchmark holds one layer of a padded model with one head, and runs it as often as the model has layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from msgspec.structs import replace as with_fields

from undiced.compiler.wafer.colors import routed, shares_of_all, used_by
from undiced.compiler.wafer.lower.lowering import HIDDEN
from undiced.compiler.wafer.lower.segments import Segment, Streams, segments
from undiced.compiler.wafer.lower.writer import Trees, Writer
from undiced.compiler.wafer.published.asked import AS_PUBLISHED, Asked
from undiced.compiler.wafer.published.assemble import (
    Memory,
    Parts,
    Piece,
    assembled,
    longest_context,
    often,
)
from undiced.compiler.wafer.published.layer import Style
from undiced.compiler.wafer.published.painted import painted
from undiced.compiler.wafer.published.prompt import Prompt
from undiced.core.mapping import PREFILL
from undiced.machine.fabric import fabric
from undiced.machine.timeline import critical_path
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.program import Run, Stream, WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType, Kind

_NARROW = Style(DType.F32, "f32", apart=True, vectors=frozenset())  # 16 bits once all is narrowed


def _measured(asked: Asked) -> Style:
    """The benchmark's, whose activation leaves elements of the gate out."""
    return replace(_NARROW, activated=asked.graph.config.dim // asked.height)


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
    style = _measured(asked)
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
    style, lines = _measured(asked) if benchmark else _NARROW, Trees()
    p = Prompt(asked.graph, Writer(asked.grid, AS_PUBLISHED, lines), asked.bounds.context, lines, style)
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
        streams = routed(streams, used_by(streams, trees), times, have)
    return Parts("waferllm", asked.graph, asked.wafer, asked.bounds, streams, trees, pieces)


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
    style = _measured(asked)
    w = asked.streams(style, asked.grid)
    for segment in segments(asked.graph):
        if segment.layer == 0:
            w.lowered(segment)
    streams = tuple(_narrowed(stream, None) for stream in w.made)
    for count in counts:
        yield count, _cycles(asked, streams, replace(asked, groups=count).trees(w.trees))


def prompt_cycles(asked: Asked) -> float:
    """Cycles of a prompt's layer, whether or not its program finds room."""
    p = Prompt(asked.graph, Writer(asked.grid, AS_PUBLISHED, lines := Trees()), asked.bounds.context, lines, _NARROW)
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
