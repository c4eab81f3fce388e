"""The entry to the published mappings: a model, a machine and options in, a program out."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from undiced.compiler.wafer.asked import with_layers
from undiced.compiler.wafer.place import check_region
from undiced.compiler.wafer.published.asked import Asked, check_dense
from undiced.compiler.wafer.published.assemble import NoRoom
from undiced.compiler.wafer.published.engine_prompt import CHUNK, Asking, engine_prompt
from undiced.compiler.wafer.published.grid import best_prompt_square, best_square, one_head, square
from undiced.compiler.wafer.published.groups import check_groups
from undiced.compiler.wafer.published.waferengine import waferengine
from undiced.compiler.wafer.published.waferllm import waferllm, waferllm_benchmark, waferllm_prompt
from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions, Published, Region
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.model import Graph, ModelConfig, build_config, preset
from undiced.program import Bounds
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.replay import Replay

MAPPINGS: tuple[str, ...] = get_args(Published)
CONTEXT_MAX = 1 << 24
_ENGINE_SIDE = 256
_POSITIONS_A_ROW = 68  # that forced runs of the engine were compiled for: 17,408 on 256 rows
_ENGINE_GROUPS = 16  # as published, where both sides split into as many


def build_published(model: str | ModelConfig, wafer: Wafer, mapping: str, options: MappingOptions) -> WaferProgram:
    """What was measured of a published mapping: the benchmark of `waferllm`, or a pipeline of `waferengine`.

    Raises:
        CompileError: an unknown mapping, options that it can't have, or a model that it has no lowering or room for.
    """
    _check(options, mapping)
    config = with_layers(model if isinstance(model, ModelConfig) else preset(model), options.layers)
    if not 1 <= options.context <= options.room <= CONTEXT_MAX:
        raise CompileError(f"A context of {options.room} is out of range.", remedy=f"Use 1 to {CONTEXT_MAX} positions.")
    if mapping == "waferllm":
        return _waferllm(config, wafer, options)
    if mapping == "waferengine":
        return _waferengine(config, wafer, options)
    raise unknown_mapping(mapping)


def build_whole(graph: Graph, wafer: Wafer, mapping: str, region: Region, bounds: Bounds, ahead: int) -> WaferProgram:
    """A published mapping's program of a whole model as it is, which computes its tokens.

    Args:
        ahead: tokens of one sequence that a step may have.

    Raises:
        CompileError: an unknown mapping, or a model that it has no lowering or room for.
    """
    if mapping == "waferengine":
        return waferengine(_engine(graph, wafer, region, None, bounds, ahead), None)
    if mapping != "waferllm":
        raise unknown_mapping(mapping)
    side = min(wafer.mesh.size)
    grid = square(*((side, side) if region == "auto" else region), None)
    check_region(wafer, grid.side, grid.side)
    return waferllm(Asked(graph, wafer, grid.side, grid.side, grid.groups, bounds, ahead))


def unknown_mapping(mapping: str) -> CompileError:
    """The error of a mapping that nobody has published, or that is not here."""
    known = ", ".join(("undiced", *MAPPINGS))
    return CompileError(f"There is no mapping called {mapping[:40]!r}.", remedy=f"Known: {known}.")


def build_replay(model: str | ModelConfig, wafer: Wafer, options: MappingOptions) -> Replay:
    """What the published engine does with a prompt, in chunks.

    Raises:
        CompileError: options that it can't have, a model of another kind, or regions that are not square.
    """
    _check(options, "waferengine")
    config = with_layers(model if isinstance(model, ModelConfig) else preset(model), options.layers)
    if options.batch != 1:
        raise CompileError("Prompts are timed one after another.", remedy=f"Use {option('batch', 1)} for prompts.")
    width, height = (_ENGINE_SIDE, _ENGINE_SIDE) if options.region == "auto" else options.region
    check_region(wafer, width, height)
    if width != height:
        raise CompileError(
            f"Tiles pass around squares; {width}x{height} is none.",
            remedy=f"Use {option('region', f'{width}x{width}')}.",
        )
    groups = options.groups or _usual_groups(width, height)
    check_groups(groups, width, height)
    prompt = Asking(options.context, CHUNK if options.chunk is None else options.chunk, options.prefix or 0)
    return engine_prompt(config, wafer, width, groups, options.stages, prompt)


def _check(options: MappingOptions, mapping: str) -> None:
    """Nothing is asked for that published mappings do not choose."""
    if options.wafers is not None or options.scheme:
        raise CompileError(
            f"The {mapping} mapping has no wafers and no number formats to choose.",
            remedy=f"Use {option('mapping', 'undiced')}.",
        )
    if options.batch != 1 and mapping == "waferllm":
        raise CompileError(
            "The waferllm mapping decodes one sequence.",
            remedy=f"Use {option('batch', 1)}, or {option('mapping', 'undiced')}.",
        )
    if options.lockstep not in (None, options.batch):
        raise CompileError(
            f"The {mapping} mapping takes its whole batch of {options.batch} in lockstep, not {options.lockstep}.",
            remedy=f"Leave lockstep out, or use {option('mapping', 'undiced')}.",
        )
    if options.objective != "latency" or options.code_bytes is not None:
        raise CompileError(
            f"The {mapping} mapping has no objective and no code size to choose: they are as published.",
            remedy=f"Use {option('mapping', 'undiced')}.",
        )


def _waferllm(config: ModelConfig, wafer: Wafer, options: MappingOptions) -> WaferProgram:
    if options.stages is not None:
        raise CompileError("The waferllm mapping runs one layer at a time.", remedy="Leave stages out.")
    check_dense(config)
    if options.region == "auto" and options.phase == "prefill":
        grid = best_prompt_square(config, wafer, options.context)
    elif options.region == "auto":
        grid = best_square(config, wafer, options.context, options.groups)
    else:
        grid = square(*options.region, options.groups)
    check_region(wafer, grid.side, grid.side)
    graph, bounds = build_config(one_head(config, grid.side)), Bounds(1, options.room)
    asked = Asked(graph, wafer, grid.side, grid.side, grid.groups, bounds)
    return waferllm_prompt(asked, benchmark=True) if options.phase == "prefill" else waferllm_benchmark(asked)


def _waferengine(config: ModelConfig, wafer: Wafer, options: MappingOptions) -> WaferProgram:
    if options.phase == "prefill":
        raise CompileError(
            "The waferengine mapping's prefill has no program here: it can be timed alone.",
            remedy=f"Use undiced simulate, or {option('mapping', 'undiced')}.",
        )
    bounds = Bounds(options.batch, options.room)
    asked = _engine(build_config(config), wafer, options.region, options.groups, bounds)
    usual = _POSITIONS_A_ROW * asked.height
    if options.capacity is None and usual > options.context:
        try:
            return waferengine(replace(asked, bounds=Bounds(options.batch, usual)), options.stages)
        except NoRoom:
            pass
    return waferengine(asked, options.stages)


def _engine(graph: Graph, wafer: Wafer, region: Region, groups: int | None, bounds: Bounds, ahead: int = 1) -> Asked:
    width, height = (min(_ENGINE_SIDE, cores) for cores in wafer.mesh.size) if region == "auto" else region
    check_region(wafer, width, height)
    groups = groups or _usual_groups(width, height)
    check_groups(groups, width, height)
    return Asked(graph, wafer, width, height, groups, bounds, ahead)


def _usual_groups(width: int, height: int) -> int:
    return max(n for n in range(1, _ENGINE_GROUPS + 1) if not width % n and not height % n)
