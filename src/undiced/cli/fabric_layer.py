"""`undiced fabric layer`: a layer of a compiled model, or a token, simulated wavelet by wavelet, beside the clock.

What is printed as cycles is simulated; the speed beside it is this machine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import Phase, Placing, Timed
from undiced.cli.gathered import gathered
from undiced.cli.moved import (
    Jitter,
    LinkRate,
    Seed,
    Skew,
    Threads,
    TraceOut,
    counts,
    draw,
    expect,
    per_second,
    say,
    say_cycles,
    say_hops,
    trace,
)
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError, KernelError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.cli.terminal import Bar
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.fabric.layer import Layer

_NODE = 32  # columns


@gathered
def layer(
    given: typer.Context,
    model: Timed,
    *,
    number: Annotated[
        int | None,
        typer.Option("--layer", min=0, help="Of the model.", show_default="the first that a region has whole"),
    ] = None,
    part: Annotated[
        int | None, typer.Option("--region-number", min=0, help="Of the program's regions.", show_default="as --layer")
    ] = None,
    whole: Annotated[
        bool,
        typer.Option("--token", help="A whole token instead: its embedding, all layers on one wafer, the next token."),
    ] = False,
    phase: Phase = "decode",
    placing: Placing,
    link_rate: LinkRate = None,
    skew: Skew = 0,
    jitter: Jitter = 0,
    seed: Seed = 0,
    threads: Threads = None,
    load_out: Annotated[
        Path | None,
        typer.Option(
            "--loads",
            help="Draw what each link carried, to this .svg or .png; or write it by collective to this .npz, which "
            "`undiced map --loads` shows.",
            metavar="FILE",
        ),
    ] = None,
    trace_out: TraceOut = None,
    as_json: Json = False,
) -> None:
    """Simulate one layer of a model, wavelet by wavelet. On its region, beside the closed forms of `undiced simulate`.
    With --phase prefill a layer of a whole prompt, of the mapping that has one (waferllm).

    Cores hold zeros: wavelets and cycles are those of any numbers. What has no level 2 is refused by name: a
    token on several wafers.
    """
    from undiced.cli.charted import compiled
    from undiced.cli.terminal import emit
    from undiced.sim.atlas.links import check_collectives
    from undiced.sim.atlas.links_file import SUFFIX
    from undiced.sim.fabric.layer import Manner, pick, simulate_layer, simulate_token
    from undiced.sim.trace.fabric import watched

    expect(load_out, trace_out, SUFFIX)
    by_collective = load_out is not None and load_out.suffix.lower() == SUFFIX
    if whole and (number is not None or part is not None or by_collective or phase == "prefill"):
        raise InvalidRequestError(
            "A token has all layers and regions, no loads by collective, and is no prompt.",
            remedy="Leave out --layer, --region-number and --phase; let --loads end in .svg or .png.",
        )
    asked = placing.question(model, phase)
    with compiled(given, model, asked, placing.machine, "Simulating", quiet=as_json) as (program, wafer, bar):
        how = Manner(
            link_rate=link_rate, skew=skew, jitter=jitter, seed=seed, threads=threads or 0,
            watch=watched if trace_out is not None else None,
            progress=lambda cycle: bar.share(0.0, f"Simulating, cycle {cycle:,}"),
        )  # fmt: skip
        positions = placing.context or program.bounds.context
        if whole:
            found = simulate_token(program, wafer, how, position=positions - 1)
        else:
            where = pick(program, part, number)
            if by_collective:
                check_collectives(program, where)
            found = simulate_layer(program, wafer, where[0], where[2], how, position=positions - 1)
            if load_out is not None and by_collective and found.outcome.status == "finished":
                _write(program, wafer, found, where, positions, threads or 0, bar, load_out)
    if found.outcome.status != "finished":
        raise KernelError(_stuck(found), remedy="This is a fault of ours: routes of a compiled program must not wait.")
    clock_hz = asked.clock_hz or wafer.system.clock_hz.value
    if load_out is not None and not by_collective:
        draw(found.outcome, f"{_name(found)} on {wafer.name}: links", _where(found), load_out)
    if trace_out is not None:
        steps = [section.name for section in found.run.program.sections]
        trace(found.outcome, steps, {"layer": found.number, "machine": wafer.name}, clock_hz, trace_out)
    if as_json:
        emit(_found(found, wafer, clock_hz))
        return
    _show(found, wafer, clock_hz)


def _write(
    program: WaferProgram,
    wafer: Wafer,
    found: Layer,
    where: tuple[int, int, Sequence[int]],
    context: int,
    threads: int,
    bar: Bar,
    out: Path,
) -> None:
    """Loads by collective, which must be those of the whole layer."""
    from undiced.sim.atlas.links import links_of
    from undiced.sim.atlas.links_file import encoded

    links = links_of(program, wafer, found.run, where, context, threads=threads, progress=bar.share)
    if (links.loads != found.outcome.loads).any():
        raise KernelError(
            "Collectives by themselves do not add up to the layer.", remedy="This is a fault of ours: tell us of it."
        )
    with writing(out):
        out.write_bytes(encoded(links, program))


def _name(found: Layer) -> str:
    return "a token" if found.number < 0 else f"layer {found.number}"


def _where(found: Layer) -> str:
    regions = len({frame.region.rect for frame in found.run.frames})
    return f"region {found.region!r}" if found.region else f"{regions} region{'s' * (regions > 1)}"


def _stuck(found: Layer) -> str:
    from undiced.sim.fabric.simulate import told

    first = f": {told(found.outcome.waiting[0])}" if found.outcome.waiting else ""
    return (
        f"{_name(found).capitalize()} ended in a {found.outcome.status} after {found.outcome.cycles:,} cycles{first}."
    )


def _found(found: Layer, wafer: Wafer, clock_hz: float) -> dict[str, object]:
    """What scripts read."""
    outcome, program = found.outcome, found.run.program
    return {
        "machine": wafer.name,
        "region": found.region or None,
        "layer": found.number if found.number >= 0 else None,
        "columns": program.width,
        "rows": program.height,
        "clock_hz": clock_hz,
        "cycles": outcome.cycles,
        "closed_form_cycles": found.clock_cycles,
        "moving_share": {"closed_form": found.moving[0], "fabric": found.moving[1]},
        **counts(outcome),
        "instructions": [
            {
                "stream": each.stream,
                "operation": each.operation,
                "node": each.node,
                "closed_form": list(each.clock),
                "fabric": list(each.fabric),
            }
            for each in found.beside
        ],
        "simulation_s": round(outcome.seconds, 3),
        "simulated_active_pe_cycles_per_s": per_second(outcome, outcome.active),
    }


def _show(found: Layer, wafer: Wafer, clock_hz: float) -> None:
    from undiced.sim.fabric.layer import MOVERS, SHIFTS

    outcome, program = found.outcome, found.run.program
    typer.echo(
        printable(f"{_name(found)} in {_where(found)}: {program.width} x {program.height} cores of {wafer.name}")
    )
    apart = outcome.cycles / found.clock_cycles - 1
    say_cycles(outcome, clock_hz)
    say("closed forms", f"{found.clock_cycles:,.0f}; the fabric takes {100 * apart:+.1f} %")
    form, moving = (100 * share for share in found.moving)
    say("collectives, with waits", f"{moving:.0f} % of its cycles; by closed forms {form:.0f} %")
    say_hops(outcome)
    rate = per_second(outcome, outcome.active) / 1e6
    say("this machine", f"{outcome.seconds:.1f} s, {rate:,.2f} M active PE-cycles per second")
    typer.echo(f"  {'cycles from start to end of':<{_NODE + 11}} {'closed form':>14} {'fabric':>16}")
    for each in found.beside:
        if each.operation in (*MOVERS, *SHIFTS):
            clock, fabric = (f"{start:,.0f}-{end:,.0f}" for start, end in (each.clock, each.fabric))
            typer.echo(printable(f"  {each.operation:<10} {each.node[:_NODE]:<{_NODE}} {clock:>14} {fabric:>16}"))
