"""Spread: a model over exactly so many wafers, whole half-layers evenly over their regions. For what more wafers do.

The compiler takes the fewest wafers, or cuts finely for the shortest interval. This takes its passes with another
partition: the same region for every number of wafers, so that only where cuts lie differs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, groupby

from undiced.compiler.wafer.blocks import blocks_of
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.memory import tables_bytes
from undiced.compiler.wafer.partition import Block, partition
from undiced.compiler.wafer.passes import PASSES, Pass, run_passes
from undiced.compiler.wafer.search import program_of
from undiced.compiler.wafer.shapes import shapes
from undiced.compiler.wafer.task import Options, Task
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.fabric import hardware
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program import Bounds
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.verify import verify

REGION = (745, 585)  # two a wafer, wide enough for a head of 128,256 rows
CONTEXT = 1024


def spread(graph: Graph, wafer: Wafer, wafers: int, region: tuple[int, int] = REGION) -> WaferProgram:
    """The program.

    Raises:
        CompileError: so many wafers do not hold the model, or it has fewer half-layers than they have regions.
    """
    options = Options(bounds=Bounds(1, CONTEXT), wafers=wafers, region=region, frontier=True)
    task = Task.of(graph, wafer, options)
    for shape in shapes(graph.config, wafer, region):
        draft = run_passes(Draft(task, shape, wafers, coarse=True), _PASSES)
        if draft is not None:
            program = program_of(draft)
            verify(program, hardware(wafer))
            return program
    raise CompileError(
        f"{graph.config.name} does not lie evenly on {wafers} wafers.",
        remedy=f"Use another number: {option('wafers', 8)}.",
    )


def _cut(draft: Draft) -> Draft | None:
    """As many regions as the wafers have: even ones, or where memory is short the most even that it allows."""
    blocks = blocks_of(draft)
    regions = draft.wafers * draft.shape.tiling(draft.task.wafer).count
    wholes = tuple(_joined(list(run)) for _, run in groupby(blocks, key=lambda block: block.kind))
    room = draft.room - tables_bytes(draft)
    ends = even([whole.cycles for whole in wholes], regions)
    if ends is None or not _fits(wholes, ends, room):
        ends = partition(wholes, room, regions)
    if ends is None or len(ends) < regions:
        return None
    upto = list(accumulate(sum(block.kind == whole.kind for block in blocks) for whole in wholes))
    return replace(draft, blocks=blocks, ends=tuple(upto[end - 1] for end in ends))


def _joined(parts: list[Block]) -> Block:
    """All parts of one segment as a block."""
    held, free = (sum(part.sizes[side] for part in parts) for side in range(2))
    return Block(parts[0].kind, parts[0].layer, held, sum(part.cycles for part in parts), free)


def even(cycles: list[float], regions: int) -> tuple[int, ...] | None:
    """Ends of so many runs of consecutive pieces, each as near as can be to where an equal share of cycles ends."""
    if regions > len(cycles):
        return None
    upto, total, ends = list(accumulate(cycles)), sum(cycles), list[int]()
    for number in range(1, regions + 1):
        least, last = (ends[-1] if ends else 0) + 1, len(cycles) - (regions - number)
        aim = total * number / regions
        ends.append(min(range(least, last + 1), key=lambda end: abs(upto[end - 1] - aim)))
    ends[-1] = len(cycles)
    return tuple(ends)


def _fits(blocks: tuple[Block, ...], ends: tuple[int, ...], room: int) -> bool:
    start = 0
    for end in ends:
        held = blocks[start:end]
        if any(sum(block.sizes[side] for block in held) > room for side in range(2)):
            return False
        start = end
    return True


_PASSES: tuple[Pass, ...] = tuple(
    replace(each, run=_cut) if each.name == "partition" else each for each in PASSES
)  # the others are the compiler's own
