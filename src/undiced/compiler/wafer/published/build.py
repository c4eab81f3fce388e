"""The entry to the published mappings: model, machine and options in, program out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from undiced.compiler.wafer.asked import with_layers
from undiced.compiler.wafer.published import programs
from undiced.compiler.wafer.published.waferllm import Grid, decode_layer, one_head
from undiced.core.errors import CompileError
from undiced.core.mapping import PREFILL, MappingOptions, Phase
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Load, instr_cost
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig, preset
from undiced.program import Instr, Op, Program

MAPPINGS = ("waferllm", "waferengine")
CONTEXT_MAX = 1 << 27
_GROUPS = {240: 15, 256: 16, 300: 15, 360: 18, 420: 20, 480: 20, 512: 32, 540: 20, 600: 24, 660: 22, 720: 24}


def build_published(model: str | ModelConfig, wafer: Wafer, mapping: str, options: MappingOptions) -> Program:
    """The program of a published mapping.

    Raises:
        CompileError: an unknown mapping, or options that it can't have.
    """
    _check(options, mapping)
    config = with_layers(model if isinstance(model, ModelConfig) else preset(model), options.layers)
    if not 1 <= options.context <= CONTEXT_MAX:
        raise CompileError(
            f"A context of {options.context} is out of range.", remedy=f"Use 1 to {CONTEXT_MAX} positions."
        )
    if mapping == "waferllm":
        return _named(_waferllm(config, wafer, options), mapping, options.phase)
    if mapping == "waferengine":
        return _named(_waferengine(config, wafer, options), mapping, options.phase)
    raise CompileError(
        f"There is no mapping called {mapping[:40]!r}.", remedy=f"Known: undiced, {', '.join(MAPPINGS)}."
    )


def _named(program: Program, mapping: str, phase: Phase) -> Program:
    """With facts that tell, also from a file, whose program it is and whether it is a prompt's."""
    prefill = ((PREFILL, 1.0),) if phase == "prefill" else ()
    return replace(program, facts=(*program.facts, (f"mapping {mapping}", 1.0), *prefill))


def _check(options: MappingOptions, mapping: str) -> None:
    """Nothing is asked for that published mappings do not choose."""
    if options.batch != 1 or options.wafers is not None or options.scheme:
        raise CompileError(
            f"The {mapping} mapping has no batch, wafers or number formats to choose.", remedy="Use --mapping undiced."
        )
    if options.objective != "latency" or options.code_bytes is not None:
        raise CompileError(
            f"The {mapping} mapping has no objective and no code size to choose: they are as published.",
            remedy="Use --mapping undiced.",
        )


def _waferllm(config: ModelConfig, wafer: Wafer, options: MappingOptions) -> Program:
    if options.stages is not None:
        raise CompileError("The waferllm mapping runs one layer at a time.", remedy="Leave --stages out.")
    if options.region == "auto":
        grid = best_grid(config, wafer, options.context, options.groups)
    else:
        width, height = options.region
        if width != height:
            raise CompileError("The waferllm mapping needs a square region.", remedy=f"Use {width}x{width}.")
        grid = Grid(width, options.groups or default_groups(width))
    if options.phase == "prefill":
        return programs.waferllm_prefill(config, wafer, grid, options.context)
    return programs.waferllm_decode(config, wafer, grid, options.context)


def _waferengine(config: ModelConfig, wafer: Wafer, options: MappingOptions) -> Program:
    if options.phase == "prefill":
        raise CompileError("The waferengine mapping's prefill is not published.", remedy="Use --mapping waferllm.")
    if options.region == "auto":
        side = programs.Side(*(min(256, cores) for cores in wafer.mesh.size))
    else:
        side = programs.Side(*options.region)
    groups = options.groups or min(16, side.width, side.height)
    stages = options.stages or (config.layers,)
    return programs.waferengine_decode(config, wafer, side, groups, stages, options.context)


def default_groups(side: int) -> int:
    """The published group count of a grid, or the divisor nearest to the square root."""
    if side in _GROUPS:
        return _GROUPS[side]
    divisors = [g for g in range(1, side + 1) if side % g == 0]
    return min(divisors, key=lambda g: abs(g * g - side))


def best_grid(config: ModelConfig, wafer: Wafer, context: int, groups: int | None) -> Grid:
    """The square grid, of all sides and divisors, on which the published decode layer is fastest."""
    model = CostModel.of(wafer)
    largest = min(wafer.mesh.size)
    best: tuple[float, Grid] | None = None
    for side in range(min(largest, 2), largest + 1):
        for cycles, grid in _grid_cycles(model, config, side, context, groups):
            if best is None or cycles < best[0]:
                best = cycles, grid
    if best is None:
        raise CompileError(
            f"No square grid of {wafer.name} has {groups} groups.",
            remedy=f"Use at most --groups {largest}, or leave it out.",
        )
    return best[1]


def _grid_cycles(
    model: CostModel, config: ModelConfig, side: int, context: int, groups: int | None
) -> Iterator[tuple[float, Grid]]:
    """Cycles of a layer on a grid, by group count. What the cores do alone is the same for all of them."""
    padded = one_head(config, side)
    counts = [g for g in ((groups,) if groups else _divisors(side)) if side % g == 0]
    if not counts:
        return
    load = Load(positions=ceil(context / side))
    stream = decode_layer(padded.dim, padded.ffn, Grid(side, counts[0]))
    local = sum(instr_cost(model, i, load).cycles for i in stream.instrs if i.op is not Op.ALLREDUCE)
    reduces = [i for i in stream.instrs if i.op is Op.ALLREDUCE]
    for count in counts:
        seen: dict[tuple[int, ...], float] = {}
        total = local
        for instr in reduces:
            p = (*instr.p[:4], count, *instr.p[5:])
            if p[1:] not in seen:
                seen[p[1:]] = instr_cost(model, Instr(Op.ALLREDUCE, p=p), load).cycles
            total += seen[p[1:]]
        yield total, Grid(side, count)


def _divisors(side: int) -> list[int]:
    """Divisors near the square root: two-trees with very few or very many groups are never best."""
    return [g for g in range(1, side + 1) if side % g == 0 and side / 4 <= g * g <= side * 4] or [1]
