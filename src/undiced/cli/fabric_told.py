"""What `undiced fabric layer` tells of what it simulated: lines for people, and what scripts read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from undiced.cli.moved import counts, per_second, say, say_cycles, say_hops
from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undiced.machine.wafer import Wafer
    from undiced.sim.fabric.layer import Layer, Turn
    from undiced.sim.fabric.token import Legs

_NODE = 32  # columns


def name(found: Legs) -> str:
    """What was simulated."""
    number = found.each[0].number
    return "a token" if number < 0 else f"layer {number}"


def where(found: Legs) -> str:
    """In which regions, on which wafers."""
    region = found.each[0].region
    if region:
        return f"region {region!r}"
    legs, wafers = zip(found.wafers, found.each, strict=True), len(set(found.wafers))
    regions = len({(number, frame.region.rect) for number, leg in legs for frame in leg.run.frames})
    on = f" on {wafers} wafers" if wafers > 1 else ""
    return f"{regions} region{'s' * (regions > 1)}{on}"


def _sides(found: Legs) -> tuple[int, int]:
    """Columns and rows of the largest mesh."""
    programs = [leg.run.program for leg in found.each]
    return max(each.width for each in programs), max(each.height for each in programs)


def told(found: Legs, wafer: Wafer, clock_hz: float) -> dict[str, object]:
    """What scripts read."""
    outcomes, (columns, rows) = [leg.outcome for leg in found.each], _sides(found)
    seconds = sum(outcome.seconds for outcome in outcomes)
    first, (form, fabric) = found.each[0], found.moving
    runs = [(number, turn) for number, leg in zip(found.wafers, found.each, strict=True) for turn in leg.turns]
    return {
        "machine": wafer.name,
        "region": first.region or None,
        "layer": first.number if first.number >= 0 else None,
        "columns": columns,
        "rows": rows,
        "clock_hz": clock_hz,
        "cycles": _whole(found.cycles),
        "between_wafers_cycles": found.link_cycles,
        "closed_form_cycles": found.clock_cycles,
        "moving_share": {"closed_form": form / found.clock_cycles, "fabric": fabric / found.cycles},
        **counts(*outcomes),
        "runs": [
            {
                "wafer": number,
                "region": turn.region,
                "layer": turn.layer if turn.layer >= 0 else None,
                "stream": turn.stream,
                "starts": {"closed_form": turn.clock, "fabric": turn.fabric},
            }
            for number, turn in runs
        ],
        "instructions": list(_instructions(found)),
        "simulation_s": round(seconds, 3),
        "simulated_active_pe_cycles_per_s": per_second(seconds, sum(outcome.active for outcome in outcomes)),
    }


def _whole(cycles: float) -> float:
    return int(cycles) if cycles == int(cycles) else cycles


def _instructions(found: Legs) -> Iterator[dict[str, object]]:
    """Each with the number of its run, from whose start it counts."""
    before = 0
    for leg in found.each:
        for each in leg.beside:
            yield {
                "run": before + each.run,
                "stream": leg.turns[each.run].stream,
                "operation": each.operation,
                "node": each.node,
                "closed_form": list(each.clock),
                "fabric": list(each.fabric),
            }
        before += len(leg.turns)


def show(found: Legs, wafer: Wafer, clock_hz: float) -> None:
    """Lines."""
    outcomes, (columns, rows) = [leg.outcome for leg in found.each], _sides(found)
    typer.echo(printable(f"{name(found)} in {where(found)}: {columns} x {rows} cores of {wafer.name}"))
    say_cycles(found.cycles, clock_hz)
    if len(set(found.wafers)) > 1:
        say("between wafers", f"{found.link_cycles:,.0f} of them, by closed forms: links are not simulated")
    apart = found.cycles / found.clock_cycles - 1
    say("closed forms", f"{found.clock_cycles:,.0f}; the fabric takes {100 * apart:+.1f} %")
    form, moving = found.moving[0] / found.clock_cycles, found.moving[1] / found.cycles
    say("collectives, with waits", f"{100 * moving:.0f} % of its cycles; by closed forms {100 * form:.0f} %")
    say_hops(*outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    rate = per_second(seconds, sum(outcome.active for outcome in outcomes)) / 1e6
    say("this machine", f"{seconds:.1f} s, {rate:,.2f} M active PE-cycles per second")
    typer.echo(f"  {'cycles from start to end of':<{_NODE + 11}} {'closed form':>14} {'fabric':>16}")
    for number, leg in zip(found.wafers, found.each, strict=True):
        if len(set(found.wafers)) > 1:
            typer.echo(f"  wafer {number}")
        _movers(leg)


def _movers(leg: Layer) -> None:
    """What goes over wires, run by run, from each run's start."""
    from undiced.sim.fabric.layer import MOVERS, SHIFTS

    for number, turn in enumerate(leg.turns):
        movers = [each for each in leg.beside if each.run == number and each.operation in (*MOVERS, *SHIFTS)]
        if not movers:
            continue
        if len(leg.turns) > 1:
            typer.echo(printable(f"  {_run(turn):<{_NODE + 11}} {turn.clock:>14,.0f} {turn.fabric:>16,.0f}"))
        for each in movers:
            clock, fabric = (f"{start:,.0f}-{end:,.0f}" for start, end in (each.clock, each.fabric))
            typer.echo(printable(f"  {each.operation:<10} {each.node[:_NODE]:<{_NODE}} {clock:>14} {fabric:>16}"))


def _run(turn: Turn) -> str:
    what = f"run {turn.stream}" if turn.layer < 0 else f"run {turn.stream} of layer {turn.layer}"
    return f"{what}, region {turn.region!r}, from"[: _NODE + 11]
