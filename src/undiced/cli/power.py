"""`undiced power`: joules, watts, amperes and water of a model on wafers.

Everything is simulated. Energies that nobody published are assumed, and figures say how far that leaves them open.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import Timed, Weighing
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.report import say_labeled, writing
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.machine.interval import Interval
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.power.power import Loaded, Power

_NAME, _OPERATORS = 32, 10
PictureOut = Annotated[
    Path | None, typer.Option("--output", "-o", help="Draw it to this .svg or .png.", metavar="FILE")
]


@gathered
def power(
    given: typer.Context,
    model: Timed,
    *,
    out: PictureOut = None,
    sources: Annotated[bool, typer.Option("--sources", help="List every constant, its range and source.")] = False,
    placing: Weighing,
    as_json: Json = False,
) -> None:
    """Say what power a model takes on wafers: joules a token, watts, the densest square centimeter, current, coolant.

    Counts are the program's own. Nobody has published what they take, so that every figure is an interval: 5 %, 50 %
    and 95 % of draws over all that is assumed, of which those are left out that the published power could not feed.
    """
    from undiced.cli.charted import compiled
    from undiced.cli.pictures import expect_picture
    from undiced.cli.terminal import emit
    from undiced.sim.power.power import power as powered
    from undiced.study.power import power_answer

    expect_picture(out)
    asked = placing.question(model)
    with compiled(given, model, asked, placing.machine, "Counting", quiet=as_json) as (program, wafer, _):
        found = powered(program, wafer, placing.context or program.bounds.context, asked.clock_hz)
    if out is not None:
        _draw(found, program, wafer, out)
    if as_json:
        emit({**power_answer(program, wafer, found), **({"file": str(out)} if out is not None else {})})
        return
    _show(found, program, wafer)
    if sources:
        _sources(wafer)
    if out is not None:
        typer.echo(printable(str(out)))


def _draw(found: Power, program: WaferProgram, wafer: Wafer, out: Path) -> None:
    from undiced.cli.pictures import encoded
    from undiced.sim.views.power import picture

    title = f"{program.model} on {program.wafers} x {program.machine}: power"
    drawn = encoded(picture(found, wafer, title, _notes(found)), out)
    with writing(out):
        out.write_bytes(drawn)


def _notes(found: Power) -> tuple[str, ...]:
    """What stands above the picture, too."""
    each = found.all
    return (
        f"Simulated at {found.timing.clock_hz / 1e9:g} GHz, context {found.timing.step.context:,}; energies are "
        f"assumed: median, and 5 % to 95 % of {found.kept} of {found.drawn} draws.",
        f"{each.streams} in flight, {each.tokens_per_second:,.0f} tokens/s: {told(each.token_j, 'J')} a token at the "
        f"wall, {told(each.idle.times(100), '%')} of it idle; {told(each.system_w.times(1e-3), 'kW')} in all.",
        f"Densest square centimeter: {told(found.hot.at_once, 'W')} while a token is there; the published power is "
        f"{told(found.limit_w_per_cm2, 'W')} on average.",
    )


def told(value: Interval, unit: str) -> str:
    """A figure with its ends."""
    return f"{value.median:.3g} {unit} ({value.low:.3g} to {value.high:.3g})"


def _show(found: Power, program: WaferProgram, wafer: Wafer) -> None:
    typer.secho(printable(f"{program.model} on {found.wafers} x {program.machine}"), bold=True)
    typer.echo(
        f"simulated at {found.timing.clock_hz / 1e9:g} GHz, context {found.timing.step.context}; energies assumed: "
        f"5 % to 95 % of {found.kept} draws"
    )
    _load("one sequence in flight", found.one)
    if found.all.streams > 1:
        _load(f"{found.all.streams} sequences in flight", found.all)
    typer.echo("the wafer")
    hot, window = found.hot, found.hot.window
    _say("without work", told(found.idle_w.times(1e-3), "kW a wafer"))
    _say("densest square centimeter", told(hot.at_once, "W while a token is there"))
    _say("", f"wafer {window.wafer}, {window.side} x {window.side} cores from ({window.x}, {window.y})")
    _say("on average", told(hot.mean, "W"))
    _say("published power, spread evenly", told(found.limit_w_per_cm2, "W a square centimeter"))
    _say("current step", told(found.step_a, "A as a token enters a region"))
    _say("coolant", f"{found.flow_l_per_min:.0f} l/min a system, {told(found.all.rise_k, 'K')} warmer")
    typer.echo(f"joules of a token's work: {told(found.work_j.times(1e3), 'mJ')}")
    for node, joules in list(found.nodes.items())[:_OPERATORS]:
        _say(node, f"{told(joules.times(1e3), 'mJ')}  {joules.median / found.work_j.median:6.1%}")
    typer.echo("by what is counted")
    for name, joules in found.parts.items():
        _say(name.replace("_", " "), f"{found.counts[name]:.3e}  {told(joules.times(1e3), 'mJ')}")
    _check()


def _check() -> None:
    from undiced.sim.power.check import check

    beside = check()
    typer.echo("the same energies beside the one published power of a program")
    _say("SGEMM on a WSE-2, published", f"{beside.published.value / 1e3:.2f} kW, of what is not stated")
    _say("wafer; system", f"{told(beside.wafer_w.times(1e-3), 'kW')}; {told(beside.system_w.times(1e-3), 'kW')}")


def _load(title: str, each: Loaded) -> None:
    typer.echo(f"{title}, {each.tokens_per_second:,.0f} tokens per second")
    _say("joules a token, at the wall", told(each.token_j, "J"))
    _say("of it without work, too", told(each.idle.times(100), "%"))
    _say("power at the wall", told(each.system_w.times(1e-3), "kW in all"))
    _say("power of a wafer", told(each.wafer_w.times(1e-3), "kW"))
    _say("current, hungriest wafer", told(each.amperes.times(1e-3), "kA"))


def _sources(wafer: Wafer) -> None:
    from undiced.machine.energy import energy_of

    typer.echo("constants")
    for name, each in energy_of(wafer).constants():
        low, high = each.span
        span = f", {low:.3g} to {high:.3g}" if low < high else ""
        typer.echo(printable(f"  {name:<{_NAME}}{each.value:.3g} {each.unit} ({each.provenance}{span}): {each.source}"))


def _say(name: str, words: str) -> None:
    say_labeled(name, words, _NAME)
