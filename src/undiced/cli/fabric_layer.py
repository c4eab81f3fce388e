"""`undiced fabric layer`: a layer of a compiled model, or a token, simulated wavelet by wavelet, beside the clock.

What is printed as cycles is simulated; the speed beside it is this machine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import Phase, Placing, Timed
from undiced.cli.gathered import gathered
from undiced.cli.moved import Moving, TraceOut, draw, expect, trace
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError, KernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.cli.terminal import Bar
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.fabric.layer import Layer, Manner
    from undiced.sim.fabric.token import Legs

Number = Annotated[
    int | None,
    typer.Option("--layer", min=0, help="Of the model.", show_default="the first that a region has whole"),
]
Part = Annotated[
    int | None, typer.Option("--region-number", min=0, help="Of the program's regions.", show_default="as --layer")
]
Whole = Annotated[
    bool, typer.Option("--token", help="A whole token instead: its embedding, all layers, the next token.")
]
LoadsByCollective = Annotated[
    Path | None,
    typer.Option(
        "--loads",
        help="Draw what each link carried, to this .svg or .png; or write it by collective to this .npz, which "
        "`undiced map --loads` shows.",
        metavar="FILE",
    ),
]
_FAULT = "This is a fault of ours: routes of a compiled program must not wait."


@gathered
def layer(
    given: typer.Context,
    model: Timed,
    *,
    number: Number = None,
    part: Part = None,
    whole: Whole = False,
    phase: Phase = "decode",
    placing: Placing,
    moving: Moving,
    load_out: LoadsByCollective = None,
    trace_out: TraceOut = None,
    as_json: Json = False,
) -> None:
    """Simulate one layer of a model, wavelet by wavelet. On its region, beside the closed forms of `undiced simulate`.
    With --phase prefill a layer of a whole prompt, of the mapping that has one (waferllm).

    Cores hold zeros: wavelets and cycles are those of any numbers. A token over several wafers is simulated one after
    the other; what links between them take is said by closed forms.
    """
    from undiced.cli.charted import compiled
    from undiced.cli.fabric_told import show, told
    from undiced.cli.terminal import emit
    from undiced.sim.atlas.links_file import SUFFIX

    expect(load_out, trace_out, SUFFIX)
    by_collective = load_out if load_out is not None and load_out.suffix.lower() == SUFFIX else None
    if whole and (number is not None or part is not None or by_collective or phase == "prefill"):
        raise InvalidRequestError(
            "A token has all layers and regions, no loads by collective, and is no prompt.",
            remedy="Leave out --layer, --region-number and --phase; let --loads end in .svg or .png.",
        )
    asked = placing.question(model, phase)
    with compiled(given, model, asked, placing.machine, "Simulating", quiet=as_json) as (program, wafer, bar):
        if whole and program.wafers > 1 and (load_out or trace_out):
            raise InvalidRequestError(
                f"The token passes {program.wafers} wafers, and a picture or a trace is of one.",
                remedy="Leave out --loads and --trace, or name a layer.",
            )
        how, positions = _manner(moving, trace_out, bar), placing.context or program.bounds.context
        if whole:
            found = _token(program, wafer, how, positions)
        else:
            found = _layer(program, wafer, how, positions, (part, number), bar, by_collective)
    clock_hz = asked.clock_hz or wafer.system.clock_hz.value
    _pictures(found, wafer, clock_hz, load_out if by_collective is None else None, trace_out)
    if as_json:
        emit(told(found, wafer, clock_hz))
    else:
        show(found, wafer, clock_hz)


def _manner(moving: Moving, trace_out: Path | None, bar: Bar) -> Manner:
    from undiced.sim.fabric.layer import Manner
    from undiced.sim.trace.fabric import watched

    return Manner(
        link_rate=moving.link_rate, skew=moving.skew, jitter=moving.jitter, seed=moving.seed,
        threads=moving.threads or 0, watch=watched if trace_out is not None else None,
        progress=lambda cycle: bar.share(0.0, f"Simulating, cycle {cycle:,}"),
    )  # fmt: skip


def _token(program: WaferProgram, wafer: Wafer, how: Manner, positions: int) -> Legs:
    from undiced.sim.fabric.token import simulate_token

    found = simulate_token(program, wafer, how, position=positions - 1)
    _ended(found)
    return found


def _layer(
    program: WaferProgram,
    wafer: Wafer,
    how: Manner,
    positions: int,
    asked: tuple[int | None, int | None],
    bar: Bar,
    out: Path | None,
) -> Legs:
    """A region and a layer as `asked`; `out`: where loads by collective go."""
    from undiced.sim.atlas.links import check_collectives
    from undiced.sim.fabric.layer import pick, simulate_layer
    from undiced.sim.fabric.token import Legs

    where = pick(program, *asked)
    if out is not None:
        check_collectives(program, where)
    made = simulate_layer(program, wafer, where[0], where[2], how, position=positions - 1)
    found = Legs((program.regions[where[0]].wafer,), (made,))
    _ended(found)
    if out is not None:
        _write(program, wafer, made, where, positions, how.threads, bar, out)
    return found


def _ended(found: Legs) -> None:
    """All of it came to its end."""
    from undiced.cli.fabric_told import name
    from undiced.sim.fabric.simulate import told

    outcome = found.each[-1].outcome
    if outcome.status != "finished":
        first = f": {told(outcome.waiting[0])}" if outcome.waiting else ""
        what = f"{name(found).capitalize()} ended in a {outcome.status} after {outcome.cycles:,} cycles{first}."
        raise KernelError(what, remedy=_FAULT)


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


def _pictures(found: Legs, wafer: Wafer, clock_hz: float, load_out: Path | None, trace_out: Path | None) -> None:
    """What is asked for of one wafer."""
    from undiced.cli.fabric_told import name, where

    made = found.each[0]
    if load_out is not None:
        draw(made.outcome, f"{name(found)} on {wafer.name}: links", where(found), load_out)
    if trace_out is not None:
        steps = [section.name for section in made.run.program.sections]
        trace(made.outcome, steps, {"layer": made.number, "machine": wafer.name}, clock_hz, trace_out)
