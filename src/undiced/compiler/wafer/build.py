"""The entry to every wafer mapping: model, machine and options in, program out. Simulators use nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from undiced.compiler.wafer import options as undiced
from undiced.compiler.wafer import published
from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.dims import Dims, one_head
from undiced.compiler.wafer.resolve import dims_of
from undiced.compiler.wafer.scheme import scheme_of
from undiced.compiler.wafer.waferllm import Grid, decode_layer
from undiced.core.errors import CompileError
from undiced.core.mapping import PREFILL, MappingOptions, Phase
from undiced.machine.cost import CostModel
from undiced.machine.instruction import Load, instr_cost
from undiced.machine.wafer import Wafer
from undiced.program import Bounds, Instr, Op, Program

MAPPINGS = ("waferllm", "waferengine")
CONTEXT_MAX = 1 << 27
_GROUPS = {240: 15, 256: 16, 300: 15, 360: 18, 420: 20, 480: 20, 512: 32, 540: 20, 600: 24, 660: 22, 720: 24}


def build_published(model: object, wafer: Wafer, mapping: str, options: MappingOptions) -> Program:
    """The program of a published mapping.

    Raises:
        CompileError: an unknown mapping, or options that it can't have.
    """
    dims = _with_layers(dims_of(model), options.layers)
    if not 1 <= options.context <= CONTEXT_MAX:
        raise CompileError(
            f"A context of {options.context} is out of range.", remedy=f"Use 1 to {CONTEXT_MAX} positions."
        )
    if mapping == "waferllm":
        return _named(_waferllm(dims, wafer, options), mapping, options.phase)
    if mapping == "waferengine":
        return _named(_waferengine(dims, wafer, options), mapping, options.phase)
    raise CompileError(
        f"There is no mapping called {mapping[:40]!r}.", remedy=f"Known: undiced, {', '.join(MAPPINGS)}."
    )


def _named(program: Program, mapping: str, phase: Phase) -> Program:
    """With facts that tell, also from a file, whose program it is and whether it is a prompt's."""
    prefill = ((PREFILL, 1.0),) if phase == "prefill" else ()
    return replace(program, facts=(*program.facts, (f"mapping {mapping}", 1.0), *prefill))


def build_mapping(model: object, wafer: Wafer, mapping: str, options: MappingOptions) -> Program:
    """Any mapping: the form that simulators ask for.

    Raises:
        CompileError: an unknown mapping, or options that it does not have.
    """
    if mapping != "undiced":
        if options.batch != 1 or options.wafers is not None or options.scheme:
            raise CompileError(
                f"The {mapping} mapping has no batch, wafers or number formats to choose.",
                remedy="Use --mapping undiced.",
            )
        if options.objective != "latency" or options.code_bytes is not None or options.embedding != "wafer":
            raise CompileError(
                f"The {mapping} mapping has no objective, code size or embedding to choose: they are as published.",
                remedy="Use --mapping undiced.",
            )
        return build_published(model, wafer, mapping, options)
    if options.groups is not None or options.stages is not None:
        raise CompileError("The undiced mapping chooses groups and stages itself.", remedy="Leave them out.")
    dims = _with_layers(dims_of(model), options.layers)
    ours = undiced.Options(
        bounds=Bounds(options.batch, options.context),
        wafers=options.wafers,
        scheme=scheme_of(options.scheme),
        objective=undiced.parse_objective(options.objective),
        lean=options.lean,
        region=None if options.region == "auto" else options.region,
        embedding=undiced.parse_embedding(options.embedding),
    )
    return compile_wafer(dims, wafer, ours)


def _with_layers(dims: Dims, layers: int | None) -> Dims:
    return dims if layers is None else replace(dims, layers=layers)


def _waferllm(dims: Dims, wafer: Wafer, options: MappingOptions) -> Program:
    if options.stages is not None:
        raise CompileError("The waferllm mapping runs one layer at a time.", remedy="Leave --stages out.")
    if options.region == "auto":
        grid = best_grid(dims, wafer, options.context, options.groups)
    else:
        width, height = options.region
        if width != height:
            raise CompileError("The waferllm mapping needs a square region.", remedy=f"Use {width}x{width}.")
        grid = Grid(width, options.groups or default_groups(width))
    if options.phase == "prefill":
        return published.waferllm_prefill(dims, wafer, grid, options.context)
    return published.waferllm_decode(dims, wafer, grid, options.context)


def _waferengine(dims: Dims, wafer: Wafer, options: MappingOptions) -> Program:
    if options.phase == "prefill":
        raise CompileError("The waferengine mapping's prefill is not published.", remedy="Use --mapping waferllm.")
    if options.region == "auto":
        side = published.Side(*(min(256, cores) for cores in wafer.mesh.size))
    else:
        side = published.Side(*options.region)
    groups = options.groups or min(16, side.width, side.height)
    stages = options.stages or (dims.layers,)
    return published.waferengine_decode(dims, wafer, side, groups, stages, options.context)


def default_groups(side: int) -> int:
    """The published group count of a grid, or the divisor nearest to the square root."""
    if side in _GROUPS:
        return _GROUPS[side]
    divisors = [g for g in range(1, side + 1) if side % g == 0]
    return min(divisors, key=lambda g: abs(g * g - side))


def best_grid(dims: Dims, wafer: Wafer, context: int, groups: int | None) -> Grid:
    """The square grid, of all sides and divisors, on which the published decode layer is fastest."""
    model = CostModel.of(wafer)
    largest = min(wafer.mesh.size)
    best: tuple[float, Grid] | None = None
    for side in range(min(largest, 2), largest + 1):
        for cycles, grid in _grid_cycles(model, dims, side, context, groups):
            if best is None or cycles < best[0]:
                best = cycles, grid
    if best is None:
        raise CompileError(
            f"No square grid of {wafer.name} has {groups} groups.",
            remedy=f"Use at most --groups {largest}, or leave it out.",
        )
    return best[1]


def _grid_cycles(
    model: CostModel, dims: Dims, side: int, context: int, groups: int | None
) -> Iterator[tuple[float, Grid]]:
    """Cycles of a layer on a grid, by group count. What the cores do alone is the same for all of them."""
    padded = one_head(dims, side)
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
