"""What commands that move every wavelet share: options of a simulation, and what is counted, drawn, traced of it.

Knows outcomes, neither kernels nor models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.report import say_labeled, writing

if TYPE_CHECKING:
    from undiced.sim.fabric.outcome import Outcome

_LABEL = 24  # columns

LinkRate = Annotated[
    float | None,
    typer.Option(min=1 / 64, max=1, help="Wavelets that a link passes per cycle.", show_default="the machine's"),
]
Skew = Annotated[int, typer.Option(min=0, max=1 << 30, help="Cores start up to so many cycles late.")]
Jitter = Annotated[int, typer.Option(min=0, max=1 << 30, help="Set-ups take up to so many cycles more.")]
Seed = Annotated[int, typer.Option(min=0, max=(1 << 63) - 1, help="Of skew and jitter.")]
Threads = Annotated[
    int | None, typer.Option(min=1, max=256, help="Cores of this machine to use; as many as help by default.")
]


@dataclass(frozen=True, slots=True)
class Moving:
    """How wavelets are moved."""

    link_rate: LinkRate = None
    skew: Skew = 0
    jitter: Jitter = 0
    seed: Seed = 0
    threads: Threads = None


LoadsOut = Annotated[
    Path | None,
    typer.Option("--loads", help="Draw how many wavelets each link carried, to this .svg or .png.", metavar="FILE"),
]
TraceOut = Annotated[
    Path | None,
    typer.Option("--trace", help="Write steps and operations of cores to this .json for Perfetto.", metavar="FILE"),
]


def expect(load_out: Path | None, trace_out: Path | None, *others: str) -> None:
    """What is asked for can be written; `others`: forms of loads that are no pictures."""
    from undiced.cli.pictures import expect, see_form

    if load_out is not None:
        see_form(load_out, (".svg", ".png", *others), "Name the file loads.svg.")
    for path in filter(None, (load_out, trace_out)):
        expect(path)


def draw(outcome: Outcome, heading: str, note: str, out: Path) -> None:
    """Link loads as a heat map."""
    from undiced.cli.pictures import encoded
    from undiced.sim.views.load import load

    picture = load(outcome.loads, outcome.cycles, heading, (note,))
    with writing(out):
        out.write_bytes(encoded(picture, out))


def trace(outcome: Outcome, steps: Sequence[str], about: Mapping[str, str | int], clock_hz: float, out: Path) -> None:
    """Steps and watched cores for a trace viewer; `about`: what was simulated."""
    from undiced.sim.trace.chrome import document
    from undiced.sim.trace.fabric import groups

    told = {"source": "simulated, not measured", **about, "clock_hz": clock_hz}
    with writing(out):
        out.write_text("".join(document(list(groups(steps, outcome)), [], clock_hz, told)), encoding="utf-8")


def counts(*outcomes: Outcome) -> dict[str, int]:
    """What moved and worked in simulations together, as scripts read it."""
    return {
        "wavelet_hops": sum(each.hops for each in outcomes),
        "active_pe_cycles": sum(each.active for each in outcomes),
        "computing_pe_cycles": sum(each.worked for each in outcomes),
        "busiest_link_wavelets": max(int(each.loads[:, :, 1:].max()) for each in outcomes),
    }


def per_second(seconds: float, count: int) -> float:
    """So many of a simulation, by a second of this machine."""
    return count / max(seconds, 1e-9)


def say_cycles(cycles: float, clock_hz: float) -> None:
    """Cycles at a clock."""
    us = cycles / clock_hz * 1e6
    say("cycles", f"{cycles:,.0f} (simulated: {us:,.3f} us at {clock_hz / 1e9:g} GHz)")


def say_hops(*outcomes: Outcome) -> None:
    """Wavelets."""
    found = counts(*outcomes)
    say("wavelet-hops", f"{found['wavelet_hops']:,}; busiest link {found['busiest_link_wavelets']:,} wavelets")


def say(label: str, words: str) -> None:
    """One line of a report."""
    say_labeled(label, words, _LABEL)
