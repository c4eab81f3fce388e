"""A whole model on one rectangle of cores, or cut into several of the same size that hand the hidden state on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from undiced.compiler.wafer.lower.choices import EXACT, Choices
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.segments import Streams, segments
from undiced.core.errors import CompileError
from undiced.model.graph import Graph
from undiced.program import Bounds, Rect
from undiced.program.wafer.program import CHUNK as CHUNK_FACT
from undiced.program.wafer.program import Region, Run, WaferProgram

CHUNK = 64  # tokens of one sequence that a step may have, where caches are rings


def compile_mesh(
    graph: Graph,
    rows: int,
    columns: int,
    cuts: Sequence[int] = (),
    context: int = 1024,
    choices: Choices = EXACT,
    chunk: int = CHUNK,
    groups: int = 1,
    prompt: int = 1,
) -> WaferProgram:
    """The program of a model whose regions are of `rows` by `columns` cores each, a wafer a region.

    Args:
        cuts: segments of the graph before which a new region begins, ascending; none for a single region.
        context: positions that a sequence may have.
        choices: element types, and what is done at the roots of trees.
        chunk: tokens of one sequence in a step.
        groups: of columns, on which experts lie.
        prompt: tokens of a prompt that are taken together.

    Raises:
        CompileError: an operator has no lowering, or a cut lies outside the graph.
    """
    streams = Streams(graph, Grid(rows, columns, groups), choices, context, prompt, chunk, cache_bytes=512)
    runs = [streams.lowered(segment) for segment in segments(graph)]
    edges = [0, *cuts, len(runs)]
    if any(low >= high for low, high in pairwise(edges)):
        raise CompileError(f"Cuts {list(cuts)} do not lie inside 1 to {len(runs) - 1}, ascending.")
    rotating = list(streams.rotating())
    regions = tuple(
        _region(number, rows, columns, [*([streams.entering()] if number else []), *rotating, *runs[low:high]])
        for number, (low, high) in enumerate(pairwise(edges))
    )
    return WaferProgram(
        model=graph.config.name,
        machine=f"toy-{columns}x{rows}",
        graph_digest=graph.digest,
        machine_digest="",
        bounds=Bounds(1, context),
        regions=regions,
        streams=tuple(streams.made),
        trees=streams.trees.made,
        slots=graph.slots,
        vocab=graph.config.vocab,
        facts=((CHUNK_FACT, float(prompt)),) if prompt > 1 else (),
    )


def _region(number: int, rows: int, columns: int, runs: list[Run]) -> Region:
    return Region(f"region {number}", number, Rect(0, 0, columns, rows), tuple(runs))
