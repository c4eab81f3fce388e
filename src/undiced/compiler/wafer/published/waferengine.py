"""A Qwen3 engine on WSE-3: a pipeline of regions of several layers each, 32-bit sums, embedding and head in bands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec.structs import replace as with_fields

from undiced.compiler.wafer.lower.choices import Choices
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.segments import Streams, segments
from undiced.compiler.wafer.place import Tiling
from undiced.compiler.wafer.published.asked import AS_PUBLISHED, BAND_WIDTH, Asked
from undiced.compiler.wafer.published.assemble import (
    Memory,
    NoRoom,
    Parts,
    Piece,
    assembled,
    check_stages,
    even_stages,
    longest_context,
    often,
)
from undiced.compiler.wafer.published.layer import Style
from undiced.compiler.wafer.published.painted import painted
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.fabric import fabric
from undiced.program import Bounds, Rect
from undiced.program.rect import hops
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.program import Run, WaferProgram
from undiced.program.wafer.value import DType

TOP_K = 20
Place = tuple[int, Rect]  # a wafer, and where on it
_WIDE = Style(DType.F16, "f16", apart=False, vectors=frozenset({"exp", "silu"}), compiled=True)


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
        places = [tiling.place(number) for number in range(len(self.stages))]
        bands = self._bands(places[-1])
        last = [ends.lowered(every[-1]), ends.returning(sum(a.wafer.mesh.size), off_wafer=places[-1][0] > 0)]
        tables, at, pieces = list(w.rotating()), 0, []
        for number, (place, count) in enumerate(zip(places, self.stages, strict=True)):
            before = places[number - 1] if number else bands[0] if bands else None
            entering = [self._entering(w, before, place)] if before else first
            held = [run for layer in layers[at : at + count] for run in layer]
            pieces.append(Piece(f"{number}", *place, (*entering, *tables, *held)))
            at += count
        if bands:
            arriving = self._entering(w, places[-1], bands[1])
            pieces = [Piece("embedding", *bands[0], tuple(first)), *pieces, Piece("head", *bands[1], (arriving, *last))]
        else:
            pieces[-1] = replace(pieces[-1], runs=(*pieces[-1].runs, *last))
        streams = tuple(with_fields(stream, synchronous=True) for stream in w.made)
        trees = a.trees(w.trees)
        home = list(w.trees.found).index((a.grid.line(Axis.COLUMNS), 1))
        streams = painted(streams, trees, often(streams, pieces), fabric(a.wafer), home)
        return Parts("waferengine", a.graph, a.wafer, a.bounds, streams, trees, tuple(pieces))

    @staticmethod
    def _entering(w: Streams, before: Place, after: Place) -> Run:
        """The hidden state on its way, and along the rows of where it goes if it comes from above or below."""
        off = before[0] != after[0]
        along = after[1].width if off or before[1].y != after[1].y else 0
        way = after[1].height if off else hops(before[1], after[1], turned=False)
        return w.entering(way + along, off)

    def _bands(self, last: Place) -> tuple[Place, Place] | None:
        """Where embedding and head lie, beside the regions; None if they are on the first and last of them."""
        if not self.room:
            return None
        height, rows = self.asked.height, self.asked.wafer.mesh.size[1]
        beside = Rect(self.tiling.across * self.asked.width, 0, BAND_WIDTH, height)
        below = min(last[1].y or height, rows - height)
        apart = last[0] > 0 or below < height
        return (0, beside), (last[0], beside if apart else replace(beside, y=below))


def _ends() -> Choices:
    return replace(AS_PUBLISHED, candidates=TOP_K)


def waferengine(asked: Asked, stages: tuple[int, ...] | None) -> WaferProgram:
    """A pipeline of regions of equal size with `stages` layers each; by default as few regions as hold the model.

    Raises:
        CompileError: stages that do not add up to the model's layers, an operator without a lowering, no room.
    """
    config = asked.graph.config
    if stages is None:
        return _fewest(asked)
    check_stages(stages, config)

    def used(context: int) -> int:
        parts = Pipeline(replace(asked, bounds=Bounds(asked.bounds.batch, context)), stages).parts()
        return max(map(Memory.of(parts).bytes, parts.pieces))

    strides = int(asked.wafer.core.stride_max.value)  # from one cached row to the next
    if asked.bounds.context > strides * asked.height:
        raise CompileError(
            f"{asked.height} rows of cores hold {strides * asked.height} positions, {strides} each, as far as a "
            f"descriptor's stride goes; {asked.bounds.context} are asked for.",
            remedy=f"Use a shorter context, taller regions, or {option('mapping', 'undiced')}.",
        )
    program = assembled(Pipeline(asked, stages).parts())
    longest = longest_context(used, asked.bounds.context, asked.height, asked.wafer, strides)
    facts = ("sram_bytes_max_per_core", program.fact("sram_bytes_resident_per_core")), ("max_context_tokens", longest)
    return with_fields(program, facts=(*program.facts, *((name, float(value)) for name, value in facts)))


def _fewest(asked: Asked) -> WaferProgram:
    layers = asked.graph.config.layers
    for count in range(1, layers + 1):
        stages = even_stages(layers, count)
        if len(stages) < count:
            continue
        try:
            return waferengine(asked, stages)
        except NoRoom as error:
            lacking = error
    raise lacking
