"""From the published baseline to our mapping, one choice at a time, on one padded one-head shape without its ends.

Every step is timed under the same parameters, on the baseline's best grid but for the last. Knows no published value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from undiced.compiler.wafer.lower.choices import EXACT, LEAN, Choices
from undiced.compiler.wafer.published.build import build_published
from undiced.compiler.wafer.published.grid import Square, best_square, one_head
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.mapping import MappingOptions
from undiced.machine.wafer import Wafer
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType
from undiced.sim.clock import time_step


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: what changed, on which region, and cycles of a layer on the machine with any constants."""

    what: str
    region: tuple[int, int]
    cycles_per_layer: Callable[[Wafer], float]


def ladder(model: str, wafer: Wafer, context: int = 4096) -> Iterator[Rung]:
    """The ablation of `model`'s padded one-head shape, from the baseline to the whole of our mapping."""
    grid = best_square(preset(model), wafer, context, None)
    padded, side = one_head(preset(model), grid.side), (grid.side, grid.side)
    yield Rung(f"waferllm at its best grid, {grid.groups} groups", side, _published(model, grid, wafer, context))
    graph, options = build_config(padded), Options(bounds=Bounds(1, context))
    for what, choices in _steps():
        program = compile_graph(graph, wafer, replace(options, choices=choices, region=side))
        yield _rung(what, program, wafer, context)
    yield _rung("region shape searched, on the fewest wafers", compile_graph(graph, wafer, options), wafer, context)


def _published(model: str, grid: Square, wafer: Wafer, context: int) -> Callable[[Wafer], float]:
    options = MappingOptions(region=(grid.side, grid.side), groups=grid.groups, context=context)
    program = build_published(model, wafer, "waferllm", options)

    def cycles(varied: Wafer) -> float:
        return time_step(program, wafer, Step(1, 1, context), varied=varied).layer_cycles

    return cycles


def _rung(what: str, program: WaferProgram, wafer: Wafer, context: int) -> Rung:
    """All layers resident: what lies between regions belongs to a layer, too, but for embedding and head."""
    step, rect, facts = Step(1, 1, context), program.regions[0].rect, dict(program.facts)
    layers, wafers = facts["layers"], int(facts["wafers"])

    def cycles(varied: Wafer) -> float:
        regions = time_step(program, wafer, step, varied=varied).regions
        return sum(region.layer_cycles + region.serving_cycles for region in regions) / layers

    return Rung(f"{what}; on {wafers} wafer{'s' * (wafers > 1)}", (rect.width, rect.height), cycles)


def _steps() -> Iterator[tuple[str, Choices]]:
    choices = EXACT
    yield "undiced: all sums in 32 bits, one tree a sum, softmax with its maximum", choices
    for what, change in (
        ("exponentials without a maximum", {"softmax": LEAN.softmax}),
        ("sums of products in 16 bits, in cores and on wires", {"sums": DType.F16, "wire": LEAN.wire}),
        ("sums in slices, worked on at the roots", {"row_slices": LEAN.row_slices, "band_slices": LEAN.band_slices}),
    ):
        choices = replace(choices, **change)
        yield what, choices
