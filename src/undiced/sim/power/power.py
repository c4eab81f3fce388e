"""Power: joules of a token by operator, watts at a load, the densest square centimeter, current, the coolant's rise.

Every figure is an interval over all energies that are assumed; time is the clock's, at the clock that is told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import CompileError
from undiced.machine.energy import COUNTS, EnergyDraws, energy_draws, energy_of
from undiced.machine.interval import Interval
from undiced.machine.wafer import Wafer
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.clock import Timing, time_step
from undiced.sim.outlook import aggregate, check_phase, is_prompt
from undiced.sim.power.activity import Act, acts
from undiced.sim.power.density import CM2_MM2, Done, Window, densest, grids, side_of

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hot:
    """A square centimeter: where, how dense while a token is there, how dense on average, and the current it draws."""

    window: Window
    at_once: Interval
    mean: Interval
    amperes: Interval


@dataclass(frozen=True, slots=True)
class Loaded:
    """What so many tokens a second take.

    Attributes:
        streams: sequences in flight. wafer_w: of one wafer, on average; system_w: of all systems, at the wall.
        token_j: of all systems, for each token.
        idle: the share of it that a system without work takes, too.
        amperes: into the wafer that takes most. rise_k: of the coolant.
    """

    streams: int
    tokens_per_second: float
    wafer_w: Interval
    system_w: Interval
    token_j: Interval
    idle: Interval
    amperes: Interval
    rise_k: Interval


@dataclass(frozen=True, slots=True)
class Power:
    """What a program takes on its wafers.

    Attributes:
        counts: of a token, on all wafers. nodes: joules of a token by node of the graph, largest first, and `parts`:
            by what is counted; both without what a wafer takes anyway.
        one, all: with one sequence in flight, and with all that the program holds.
        hot: the densest square centimeter with all of them.
        grids: of each wafer, watts of each core while a token is in its region, at the mean of the draws and without
            what it takes anyway.
        step_a: by how much the current of a wafer rises when a token enters its hungriest region.
        drawn, kept: draws of energies, and those that the system's published power allows.
    """

    wafers: int
    timing: Timing
    counts: dict[str, float]
    nodes: dict[str, Interval]
    parts: dict[str, Interval]
    work_j: Interval
    idle_w: Interval
    one: Loaded
    all: Loaded
    hot: Hot
    grids: tuple[Numbers, ...]
    step_a: Interval
    flow_l_per_min: float
    limit_w_per_cm2: Interval
    drawn: int
    kept: int


def power(program: WaferProgram, wafer: Wafer, context: int, clock_hz: float | None = None) -> Power:
    """What a decoded token at a context takes, and what all sequences do that the program holds.

    Raises:
        CompileError: the program takes prompts, holds fewer positions, or is for another machine.
    """
    if is_prompt(program):
        raise CompileError("Power is told of decoding.", remedy="Compile the model for decoding.")
    check_phase(program, Step(context=context), "decode")
    drawn = energy_draws(wafer)
    lanes = max(int(dict(program.facts).get("lanes", 1)), 1)
    timing = time_step(program, wafer, Step(min(lanes, program.bounds.batch), 1, context), clock_hz)
    places = _places(program, wafer, timing)
    each = [place.total for place in places]
    counts: Numbers = sum(each, np.zeros(len(COUNTS)))
    maps = tuple(grids(places, wafer, drawn.mean, timing.clock_hz, program.wafers))
    alone, rate = time_step(program, wafer, Step(1, 1, context), clock_hz), aggregate(timing, program.bounds.batch)
    most = _hungriest(places, drawn, program.wafers)
    nodes = _by_node(places)
    ranked = sorted(nodes, key=lambda node: -float(nodes[node] @ drawn.mean))
    jumps = [drawn.joules @ total * timing.clock_hz / place.cycles for total, place in zip(each, places, strict=True)]
    jump = max(jumps, key=lambda watts: float(np.median(watts)))
    return Power(
        wafers=program.wafers,
        timing=alone,
        counts=dict(zip(COUNTS, counts.tolist(), strict=True)),
        nodes={node: Interval.of(drawn.joules @ nodes[node]) for node in ranked},
        parts={name: Interval.of(drawn.joules[:, n] * counts[n]) for n, name in enumerate(COUNTS)},
        work_j=Interval.of(drawn.joules @ counts),
        idle_w=Interval.of(drawn.idle_w),
        one=_loaded(wafer, drawn, counts, most, program.wafers, 1, alone.tokens_per_second),
        all=_loaded(wafer, drawn, counts, most, program.wafers, program.bounds.batch, rate),
        hot=_hot(places, wafer, drawn, maps, rate, timing.clock_hz),
        grids=maps,
        step_a=Interval.of(jump / drawn.volts),
        flow_l_per_min=_flow(wafer),
        limit_w_per_cm2=Interval.of(
            drawn.delivered * wafer.system.power_w.value / wafer.mesh.die_area_mm2.value * CM2_MM2
        ),
        drawn=drawn.drawn,
        kept=len(drawn.volts),
    )


def counts_of(program: WaferProgram, wafer: Wafer, context: int) -> Numbers:
    """Counts of a token at a context, on all wafers, in the order of `COUNTS`."""
    timing = time_step(program, wafer, Step(1, 1, context))
    found: Numbers = sum((place.total for place in _places(program, wafer, timing)), np.zeros(len(COUNTS)))
    return found


def _places(program: WaferProgram, wafer: Wafer, timing: Timing) -> tuple[Done, ...]:
    """One token's; streams that regions of one shape share are counted once."""
    token, lanes = replace(timing.step, sequences=1), timing.step.sequences
    known: dict[tuple[int, int, int], tuple[Act, ...]] = {}
    out = []
    for visits, timed in zip(program.places, timing.regions, strict=True):
        region, runs = visits[0], Counter(run.stream for visit in visits for run in visit.runs)
        found = []
        for stream, times in runs.items():
            key = stream, region.rows, region.columns
            if key not in known:
                known[key] = tuple(acts(program, wafer, token, region, program.streams[stream]))
            found.append((times, known[key]))
        out.append(Done(region, tuple(found), timed.cycles / lanes))
    return tuple(out)


def _by_node(places: tuple[Done, ...]) -> dict[str, Numbers]:
    found: dict[str, Numbers] = {}
    for place in places:
        for times, done in place.acts:
            for act in done:
                found[act.node] = found.get(act.node, np.zeros(len(COUNTS))) + act.total * times
    return found


def _hungriest(places: tuple[Done, ...], drawn: EnergyDraws, chips: int) -> Numbers:
    """Counts of the wafer that takes most of a token's joules."""
    totals = [np.zeros(len(COUNTS)) for _ in range(chips)]
    for place in places:
        totals[place.region.wafer] += place.total
    return max(totals, key=lambda counts: float(counts @ drawn.mean))


def _loaded(
    wafer: Wafer, drawn: EnergyDraws, counts: Numbers, most: Numbers, chips: int, streams: int, rate: float
) -> Loaded:
    working = drawn.joules @ counts * rate
    watts = (drawn.idle_w * chips + working) / drawn.delivered
    peak = drawn.idle_w + drawn.joules @ most * rate
    heat_per_k = _flow(wafer) / 60 * energy_of(wafer).coolant_j_per_l_k.value
    return Loaded(
        streams=streams,
        tokens_per_second=rate,
        wafer_w=Interval.of(drawn.idle_w + working / chips),
        system_w=Interval.of(watts),
        token_j=Interval.of(watts / rate),
        idle=Interval.of(drawn.idle_w * chips / drawn.delivered / watts),
        amperes=Interval.of(peak / drawn.volts),
        rise_k=Interval.of(watts / chips / heat_per_k),
    )


def _flow(wafer: Wafer) -> float:
    """Liters a minute for a system, whatever it does."""
    return energy_of(wafer).coolant_l_per_min_kw.value * wafer.system.power_w.value / 1e3


def _hot(
    places: tuple[Done, ...], wafer: Wafer, drawn: EnergyDraws, maps: tuple[Numbers, ...], rate: float, clock_hz: float
) -> Hot:
    """The square centimeter that takes most while all its regions have a token; and what it takes on average."""
    side = side_of(wafer)
    window, _ = max((densest(grid, chip, side) for chip, grid in enumerate(maps)), key=lambda found: found[1])
    idle = drawn.idle_w / wafer.mesh.die_area_mm2.value * CM2_MM2
    near = [place for place in places if place.region.wafer == window.wafer]
    inside = [drawn.joules @ place.within(window) for place in near]
    mean = idle + sum(inside, np.zeros(len(idle))) * rate
    at_once = [joules * clock_hz / place.cycles for joules, place in zip(inside, near, strict=True)]
    peak = idle + sum(at_once, np.zeros(len(idle)))
    return Hot(window, Interval.of(peak), Interval.of(mean), Interval.of(peak / drawn.volts))
