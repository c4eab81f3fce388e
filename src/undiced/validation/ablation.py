"""From a published mapping to ours, one choice at a time: a padded one-head shape on WSE-2, a real model on WSE-3.

Layers alone, without the model's ends. Every step is timed under the same parameters, on the published region but for
the last, and says what speaks for it. Knows no published value.
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
from undiced.model import ModelConfig, build_config, preset
from undiced.program import Bounds
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType
from undiced.sim.clock import time_step

_WIDE, _SLIM, _ENGINE_GROUPS = (256, 256), (64, 256), 16  # regions of the published engine, and its two-tree


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: what changed, on which region, and cycles of a layer on the machine with any constants.

    Attributes:
        evidence: what speaks for it beside the clock.
    """

    what: str
    region: tuple[int, int]
    cycles_per_layer: Callable[[Wafer], float]
    evidence: str


def ladder(model: str, wafer: Wafer, context: int = 4096) -> Iterator[Rung]:
    """The ablation of `model`'s padded one-head shape, from the baseline to the whole of our mapping."""
    grid = best_square(preset(model), wafer, context, None)
    padded, side = one_head(preset(model), grid.side), (grid.side, grid.side)
    what = f"waferllm at its best grid, {grid.groups} groups"
    yield Rung(what, side, _published(model, grid, wafer, context), "measured on other grids: V14, V16, V18a, V19")
    yield from _ours(padded, side, wafer, context)


def engine_ladder(model: str, wafer: Wafer, stages: tuple[int, ...], context: int) -> Iterator[Rung]:
    """From the published engine on WSE-3 to our mapping, of one real model.

    Args:
        stages: layers of each of the engine's wide regions.
        context: positions attended.
    """
    config = preset(model)
    single = (1,) * config.layers
    for side, held, evidence in ((_WIDE, stages, "measured: S29, V29, P0-8"), (_SLIM, single, "measured: S29b, V29b")):
        options = MappingOptions(region=side, groups=_ENGINE_GROUPS, stages=held, context=context)
        program = build_published(config, wafer, "waferengine", options)
        yield _rung(f"waferengine, {len(held)} regions", program, wafer, context, evidence)
    yield from _ours(config, _WIDE, wafer, context)


def _ours(config: ModelConfig, region: tuple[int, int], wafer: Wafer, context: int) -> Iterator[Rung]:
    graph, options = build_config(config), Options(bounds=Bounds(1, context))
    for what, choices, evidence in _steps():
        program = compile_graph(graph, wafer, replace(options, choices=choices, region=region))
        yield _rung(what, program, wafer, context, evidence)
    program = compile_graph(graph, wafer, options)
    yield _rung("region shape searched, on the fewest wafers", program, wafer, context, "executed; fabric for 8B, 70B")


def _published(model: str, grid: Square, wafer: Wafer, context: int) -> Callable[[Wafer], float]:
    options = MappingOptions(region=(grid.side, grid.side), groups=grid.groups, context=context)
    program = build_published(model, wafer, "waferllm", options)

    def cycles(varied: Wafer) -> float:
        return time_step(program, wafer, Step(1, 1, context), varied=varied).layer_cycles

    return cycles


def _rung(what: str, program: WaferProgram, wafer: Wafer, context: int, evidence: str) -> Rung:
    """All layers resident: what lies between regions belongs to a layer, too, but for embedding and head."""
    step, layers, wafers = Step(1, 1, context), program.fact("layers"), program.wafers
    rect = next(region.rect for region in program.regions if any(run.layer >= 0 for run in region.runs))

    def cycles(varied: Wafer) -> float:
        regions = time_step(program, wafer, step, varied=varied).regions
        return sum(region.layer_cycles + region.serving_cycles for region in regions) / layers

    return Rung(f"{what}; on {wafers} wafer{'s' * (wafers > 1)}", (rect.width, rect.height), cycles, evidence)


def _steps() -> Iterator[tuple[str, Choices, str]]:
    choices = EXACT
    what = "undiced: all sums in 32 bits, one tree a sum, softmax with its maximum"
    yield what, choices, "executed; software of its trees assumed"
    for what, change, evidence in (
        ("exponentials without a maximum", {"softmax": LEAN.softmax}, "executed; scores of 80 and more assumed away"),
        (
            "sums of products in 16 bits, in cores and on wires",
            {"sums": DType.F16, "wire": LEAN.wire},
            "executed with its rounding; quality of a small model alone",
        ),
        (
            "sums in slices, worked on at the roots",
            {"row_slices": LEAN.row_slices, "band_slices": LEAN.band_slices},
            "executed; fabric",
        ),
    ):
        choices = replace(choices, **change)
        yield what, choices, evidence
