"""`undiced compile`, `simulate` and `map`: the commands that ask what a model would do on a wafer.

Everything printed here is simulated, and says so.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.given import refuse_given
from undiced.cli.options import Json
from undiced.cli.program_file import is_program, magic, open_program
from undiced.cli.report import writing
from undiced.core.documents import read_object
from undiced.core.errors import CheckpointError, CompileError, InvalidRequestError, ModelNotFoundError
from undiced.core.printable import printable
from undiced.core.quote import file_name

if TYPE_CHECKING:
    from undiced.core.mapping import MappingOptions
    from undiced.llm import Compiled
    from undiced.machine.wafer import Wafer
    from undiced.model import ModelConfig
    from undiced.program import HostProgram
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.clock import Timing

# What is decided once, when a model is compiled for wafers.
_CHOICES = {
    "wafers", "weights", "sum_bits", "mapping", "region", "groups", "stages", "layers", "objective", "code_bytes",
}  # fmt: skip

_NAMED = "A configuration's name (llama-3.3-70b), a config.json, or a checkpoint"
Subject = Annotated[str, typer.Argument(help=f"{_NAMED}.", metavar="MODEL")]
Timed = Annotated[str, typer.Argument(help=f"{_NAMED}; or a program of `undiced compile -o`.", metavar="MODEL")]
Machine = Annotated[str, typer.Option(help="wse1, wse2, wse3, toy-8x8, toy-8x8:48K, a .toml file, or host.")]
Wafers = Annotated[int | None, typer.Option(min=1, help="Wafers in a pipeline; the fewest that fit by default.")]
Weights = Annotated[str, typer.Option(help="fp16, int8 or int4.")]
Sums = Annotated[int, typer.Option("--sum-bits", help="16 or 32 bits a partial sum, in cores and on wires.")]
Mapping = Annotated[str, typer.Option(help="undiced, or a published one: waferllm, waferengine.")]
Context = Annotated[int, typer.Option(min=1, help="Positions attended, the new one included (prefill: the prompt).")]
Batch = Annotated[int, typer.Option(min=1, help="Sequences at once.")]
Region = Annotated[str, typer.Option(help="Sides of a region, WxH, or auto.")]
Groups = Annotated[int | None, typer.Option(help="Groups of the published two-tree.")]
Stages = Annotated[str | None, typer.Option(help="Layers of each region of a published pipeline: 2,4,4,2.")]
Layers = Annotated[int | None, typer.Option(help="Replace the model's number of layers.")]
Phase = Annotated[str, typer.Option(help="decode or prefill.")]
Objective = Annotated[str, typer.Option(help="latency of one user, or interval between tokens of a full pipeline.")]
Clock = Annotated[float | None, typer.Option(help="GHz; the machine's own by default.")]
CodeBytes = Annotated[
    int | None, typer.Option(min=0, max=1 << 20, help="Take a core's code for this large instead of counting it.")
]


def compile(
    given: typer.Context,
    model: Subject,
    machine: Machine = "wse3",
    wafers: Wafers = None,
    weights: Weights = "fp16",
    sum_bits: Sums = 16,
    mapping: Mapping = "undiced",
    context: Context = 4096,
    batch: Batch = 1,
    region: Region = "auto",
    groups: Groups = None,
    stages: Stages = None,
    layers: Layers = None,
    phase: Phase = "decode",
    objective: Objective = "latency",
    clock: Clock = None,
    code_bytes: CodeBytes = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Write the program to this file.")] = None,
    dump: Annotated[bool, typer.Option(help="Print the whole program as text.")] = False,
    as_json: Json = False,
) -> None:
    """Place a model on wafers, or on this host. Says how it fits and how fast it would run."""
    if is_program(model):
        raise InvalidRequestError(f"{model} is compiled already.", remedy="Time it with `undiced simulate`.")
    program: HostProgram | WaferProgram
    if machine == "host":
        refuse_given(given, _CHOICES | {"phase", "clock"}, "has no effect on a host program")
        from undiced.llm import compile_for_host

        compiled = compile_for_host(model, max_batch=batch, max_context=context)
        program, summary = compiled.program, partial(_host_summary, compiled)
    else:
        options = _options(
            region, groups, stages, context, layers, phase, batch, wafers, objective, code_bytes, weights, sum_bits,
        )  # fmt: skip
        placed = _wafer_program(model, machine, mapping, options)
        program, summary = placed, partial(_timed, placed, machine, phase, batch, context, clock)
    if out is not None:
        with writing(out):
            program.save(out)
    if dump:
        from undiced.cli.terminal import emit
        from undiced.program.dump import dump as text

        emit({"dump": text(program)}) if as_json else typer.echo(printable(text(program)), nl=False)
        return
    _show({**summary(), **({"file": str(out)} if out else {})}, as_json)


def simulate(
    given: typer.Context,
    model: Timed,
    machine: Annotated[str | None, typer.Option(help="As for compile; a program file knows its own.")] = None,
    wafers: Wafers = None,
    weights: Weights = "fp16",
    sum_bits: Sums = 16,
    mapping: Mapping = "undiced",
    context: Annotated[
        int | None, typer.Option(min=1, help="Positions attended; a program's bound by default.")
    ] = None,
    batch: Batch = 1,
    region: Region = "auto",
    groups: Groups = None,
    stages: Stages = None,
    layers: Layers = None,
    phase: Phase = "decode",
    objective: Objective = "latency",
    clock: Clock = None,
    code_bytes: CodeBytes = None,
    draft: Annotated[
        str | None, typer.Option(help="Speculate with this draft model, placed on a wafer of its own.")
    ] = None,
    acceptance: Annotated[
        float, typer.Option(help="Probability that a drafted token is accepted (assumed); goes with --draft.")
    ] = 0.8,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="How many streams of which context the same memory holds, and how fast.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Time a model on wafers. Says seconds and cycles per token, and where every cycle goes."""
    if draft is None:
        refuse_given(given, {"acceptance"}, "has no effect without --draft")
    elif phase != "decode" or batch != 1:
        raise InvalidRequestError("Only one decoding sequence speculates.", remedy="Leave --draft or the others out.")
    guard: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    program: WaferProgram
    if is_program(model):
        from undiced.sim.outlook import is_prompt

        refuse_given(given, _CHOICES, "was decided when the program was compiled")
        opened = open_program(Path(model), machine)
        program, name, guard = opened.program, opened.machine, opened.computing()
        phase = "prefill" if is_prompt(program) else phase
        context = context or program.bounds.context
    else:
        name, context = machine or "wse3", context or 4096
        options = _options(
            region, groups, stages, context, layers, phase, batch, wafers, objective, code_bytes, weights, sum_bits,
        )  # fmt: skip
        options = replace(options, frontier=frontier)
        program = _wafer_program(model, name, mapping, options)
    with guard:
        found = _timed(program, name, phase, batch, context, clock)
        if frontier:
            found["frontier"] = _frontier(program, name, clock)
        if draft is not None:
            found["speculation"] = _speculation(program, name, draft, acceptance, context, clock)
    _show(found, as_json)


def map_wafer(
    file: Annotated[Path, typer.Argument(help="A program written by `undiced compile -o`.", metavar="FILE")],
    out: Annotated[Path, typer.Option("--output", "-o", help="wafer.svg or wafer.png.")] = Path("wafer.svg"),
    machine: Annotated[str | None, typer.Option(help="The .toml file that it was compiled for.")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="Positions attended.")] = None,
    as_json: Json = False,
) -> None:
    """Draw where every layer lies. Shows wafer by wafer, with the hottest collective."""
    from undiced.cli.terminal import emit
    from undiced.program.wafer.step import Step
    from undiced.sim.outlook import check_phase, is_prompt
    from undiced.sim.raster import png
    from undiced.sim.wafer_map import svg

    form = out.suffix.lower()
    if form not in (".svg", ".png"):
        raise InvalidRequestError(f"{out} is neither .svg nor .png.", remedy="Name the file wafer.svg or wafer.png.")
    opened = open_program(file, machine)
    program, wafer = opened.program, opened.wafer
    context = context or program.bounds.context
    check_phase(program, Step(context=context), "prefill" if is_prompt(program) else "decode")
    with opened.computing():
        drawing = svg(program, wafer, _report(program, wafer, context, None))
    with writing(out):
        out.write_bytes(png(drawing) if form == ".png" else drawing.encode())
    emit({"file": str(out)}) if as_json else typer.echo(printable(str(out)))


def _options(
    region: str,
    groups: int | None,
    stages: str | None,
    context: int,
    layers: int | None,
    phase: str,
    batch: int,
    wafers: int | None,
    objective: str,
    code_bytes: int | None,
    weights: str,
    sum_bits: int,
) -> MappingOptions:
    """The mapping's options, parsed."""
    from undiced.cli.wafer_options import parse_phase, parse_region, parse_stages
    from undiced.core.mapping import MappingOptions

    if sum_bits not in (16, 32):
        raise CompileError(f"Sums can't have {sum_bits} bits.", remedy="Use --sum-bits 16 or 32.")
    formats = {"weights": weights, "sum_bits": sum_bits}
    plain = {"weights": "fp16", "sum_bits": 16}
    return MappingOptions(
        region=parse_region(region),
        groups=groups,
        stages=parse_stages(stages) if stages else None,
        context=context,
        layers=layers,
        phase=parse_phase(phase),
        batch=batch,
        wafers=wafers,
        objective=objective,
        code_bytes=code_bytes,
        scheme={name: value for name, value in formats.items() if value != plain[name]},
    )


def _wafer_program(model: str, machine: str, mapping: str, options: MappingOptions) -> WaferProgram:
    from undiced.machine import find_machine

    wafer = find_machine(machine)
    if mapping != "undiced":
        from undiced.compiler.wafer.published.build import build_published

        return build_published(_config(model), wafer, mapping, options)
    from undiced.compiler.wafer.asked import options_of, with_layers
    from undiced.compiler.wafer.search import compile_graph
    from undiced.model.registry import build_config

    graph = build_config(with_layers(_config(model), options.layers))
    return compile_graph(graph, wafer, options_of(options))


def _config(model: str) -> ModelConfig:
    """A configuration, from a name, a config.json or a checkpoint."""
    from undiced.checkpoint import open_checkpoint
    from undiced.model import config_from_json, config_of, preset

    path = Path(model)
    if model.endswith(".json"):
        if not path.exists():
            raise ModelNotFoundError(f"There is no file {file_name(path)}.", remedy="Give a model's config.json.")
        return config_from_json(read_object(path)[0], path.stem)
    if not path.exists():
        return preset(model)
    if path.is_file() and path.suffix != ".gguf" and magic(path)[:4] != b"GGUF":
        raise CheckpointError(
            f"{model} is no compiled program and no checkpoint.",
            remedy="Name a program of `undiced compile -o`, a .gguf file, a model folder or a config.json.",
        )
    return config_of(open_checkpoint(path))


def _timed(
    program: WaferProgram, machine: str, phase: str, batch: int, context: int, clock: float | None
) -> dict[str, object]:
    from undiced.cli.wafer_options import parse_clock, parse_phase
    from undiced.machine import find_machine
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step
    from undiced.sim.outlook import check_phase, outlook

    wafer, way, step = find_machine(machine), parse_phase(phase), Step(batch, 1, context)
    check_phase(program, step, way)
    return outlook(program, wafer, time_step(program, wafer, step, parse_clock(clock)), way)


def _speculation(
    program: WaferProgram, machine: str, draft: str, acceptance: float, context: int, clock: float | None
) -> dict[str, object]:
    from undiced.core.mapping import MappingOptions
    from undiced.machine import find_machine
    from undiced.sim.speculation import speculate

    wafer = find_machine(machine)
    drafting = _wafer_program(draft, machine, "undiced", MappingOptions(context=context))
    target = _report(program, wafer, context, clock)
    found = speculate(target, _report(drafting, wafer, context, clock), acceptance)
    return {
        "draft": draft,
        "acceptance": acceptance,
        "provenance": "assumed acceptance, independent from token to token",
        "draft_wafers": 1 + max(region.wafer for region in drafting.regions),
        "drafted_tokens": found.length,
        "tokens_per_round": found.tokens,
        "tokens_per_second": found.tokens_per_second,
    }


def _frontier(program: WaferProgram, machine: str, clock: float | None) -> list[dict[str, float]]:
    from undiced.cli.wafer_options import parse_clock
    from undiced.machine import find_machine
    from undiced.sim.outlook import frontier

    found = frontier(program, find_machine(machine), parse_clock(clock))
    if not found:
        raise InvalidRequestError(
            "Published mappings and program files have no frontier.", remedy="Name a model, or leave --frontier out."
        )
    return found


def _report(program: WaferProgram, wafer: Wafer, context: int, clock: float | None) -> Timing:
    """One decoded token."""
    from undiced.cli.wafer_options import parse_clock
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step

    return time_step(program, wafer, Step(1, 1, context), parse_clock(clock))


def _host_summary(compiled: Compiled) -> dict[str, object]:
    """What the program is, and the work of a token at the longest context it holds."""
    from undiced.model.node import Load

    program, graph = compiled.program, compiled.graph
    load = Load(1, float(program.bounds.context))
    return {
        "machine": program.machine,
        "model": program.model,
        "threads": program.cores,
        "instructions": len(program.instrs),
        "parameters": graph.parameters,
        "active_parameters": graph.active_parameters,
        "flops_per_token": graph.flops(load),
        "weight_bytes": program.fact("weight_bytes"),
        "bytes_per_token": program.fact("matmul_bytes_per_token"),
        "digest": program.digest,
    }


def _show(found: dict[str, object], as_json: bool) -> None:
    from undiced.cli.terminal import emit

    if as_json:
        emit(found)
        return
    from undiced.cli.report import show

    show(found)
