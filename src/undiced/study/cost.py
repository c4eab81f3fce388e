"""Cost and capacity of a model on wafers: US$ a million tokens at a load, and systems for so many users. As intervals.

Three things are drawn together: the clock over what is published, energies over what the published power allows, prices
over their ranges. Cycles are those of the machine's own constants.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.core.option import option
from undiced.machine.energy import energy_draws
from undiced.machine.interval import Interval
from undiced.machine.prices import Prices
from undiced.machine.wafer import Wafer
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.clock import Timing, time_step
from undiced.sim.outlook import aggregate, check_phase
from undiced.sim.power.power import counts_of
from undiced.study.economy import Expense, expense, price_draws

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

CLOCKS_HZ = 0.85e9, 1.1e9  # what the clock is drawn between where none is asked for
USERS_MAX, SPEED_MAX = 10**9, 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """How a program is used: sequences in flight on each copy of it, at a context, at a clock or over both ends."""

    streams: int
    context: int
    clocks_hz: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """What tokens cost. `token_j`: at the wall, at the load and the utilization of the draws."""

    load: Load
    wafers: int
    held: int
    tokens_per_second: Interval
    user_tokens_per_second: Interval
    token_j: Interval
    expense: Expense


@dataclass(frozen=True, slots=True)
class Capacity:
    """Copies of a program, and systems, for a target; `streams`: of each copy at the slow and at the fast clock."""

    users: int
    tokens_per_second: float
    context: int
    streams: tuple[int, int]
    copies: tuple[int, int]
    systems: tuple[int, int]
    power_kw: Interval
    price_usd: Interval


def held_streams(program: WaferProgram, context: int) -> int:
    """How many sequences of a context the program's memory holds: in the same placement, by its frontier, else as many
    as it was compiled for.
    """
    named = [(name, most) for name, most in program.facts if name.startswith("context/")]
    fit = [int(name.removeprefix("context/")) for name, most in named if most >= context]
    return max([program.bounds.batch, *fit])


def load_of(
    program: WaferProgram, wafer: Wafer, context: int, streams: int | None = None, clock_hz: float | None = None
) -> Load:
    """The load that is asked for; as many streams as fit if none is named.

    Raises:
        InvalidRequestError: more than the program holds, or less than one.
        CompileError: a longer context than it holds.
    """
    check_phase(program, Step(context=context), "decode")
    held = held_streams(program, context)
    if streams is not None and not 1 <= streams <= held:
        raise InvalidRequestError(
            f"{streams} sequences of {context:,} positions do not fit: each copy of the program holds {held}.",
            remedy=f"Use {option('streams', 1)} to {held}, or more wafers, or {option('batch', max(streams, 1))}.",
        )
    own = wafer.system.clock_hz
    clocks = (clock_hz, clock_hz) if clock_hz is not None else _clocks(own.value)
    return Load(held if streams is None else streams, context, clocks)


def _clocks(own_hz: float) -> tuple[float, float]:
    low, high = CLOCKS_HZ
    return (low, high) if low <= own_hz <= high else (own_hz, own_hz)


@dataclass(frozen=True, slots=True)
class Operation:
    """A program at a load: timed at both ends of the clock, its work counted, and everything assumed drawn.

    Attributes:
        slow, fast: a token at both ends of the clock.
        clock_shares: of the clock's range, in an order that goes with no other draw.
        drawn: prices. idle_w: of all systems without work, at the wall; token_j: of each token's work, there.
    """

    program: WaferProgram
    load: Load
    slow: Timing
    fast: Timing
    clock_shares: Numbers
    drawn: dict[str, Numbers]
    idle_w: Numbers
    token_j: Numbers


def operation(program: WaferProgram, wafer: Wafer, load: Load, prices: Prices) -> Operation:
    """Times and counts a token once, for whatever is asked about it."""
    energies = energy_draws(wafer)
    slow, fast = (time_step(program, wafer, Step(1, 1, load.context), clock) for clock in load.clocks_hz)
    many = len(energies.volts)
    return Operation(
        program=program,
        load=load,
        slow=slow,
        fast=fast,
        clock_shares=(np.random.default_rng(2).permutation(many) + 0.5) / many,
        drawn=price_draws(prices, many),
        idle_w=energies.idle_w * program.wafers / energies.delivered,
        token_j=energies.joules @ counts_of(program, wafer, load.context) / energies.delivered,
    )


def cost(of: Operation) -> Cost:
    """US$ a million tokens, with so many sequences in flight whenever the systems are used."""
    streams, drawn = of.load.streams, of.drawn
    low, high = (aggregate(each, streams) for each in (of.slow, of.fast))
    rate = low + (high - low) * of.clock_shares
    paid = drawn["system_price"] * of.program.wafers
    return Cost(
        load=of.load,
        wafers=of.program.wafers,
        held=held_streams(of.program, of.load.context),
        tokens_per_second=Interval.of(rate),
        user_tokens_per_second=Interval.of(rate / streams),
        token_j=Interval.of(of.idle_w / (rate * drawn["utilization"]) + of.token_j),
        expense=expense(drawn, paid, of.idle_w, of.token_j, rate),
    )


def check_target(users: int, speed: float) -> None:
    """So many users and so many tokens a second can be asked for.

    Raises:
        InvalidRequestError: they can't.
    """
    if not (1 <= users <= USERS_MAX and 0 < speed <= SPEED_MAX):
        raise InvalidRequestError(
            f"{users:,} users with {speed:g} tokens a second each are no target.",
            remedy=f"Use 1 to {USERS_MAX:,} users and up to {SPEED_MAX:,.0f} tokens a second.",
        )


def capacity(of: Operation, *, users: int, speed: float) -> Capacity:
    """Systems for so many users at once, each with so many tokens a second.

    Raises:
        InvalidRequestError: a target that makes no sense. CompileError: no user gets so many tokens a second here.
    """
    check_target(users, speed)
    load, wafers = of.load, of.program.wafers
    streams = _most_streams(of.slow, load.streams, speed), _most_streams(of.fast, load.streams, speed)
    if not all(streams):
        slow, fast = aggregate(of.slow, 1), aggregate(of.fast, 1)
        raise CompileError(
            f"No user gets {speed:,.0f} tokens a second at {load.context:,} positions on {wafers} "
            f"wafer{'s' * (wafers > 1)}: one alone gets {slow:,.0f} to {fast:,.0f}.",
            remedy=f"Use {option('speed', int(slow))} or less, or speculate: `undiced simulate` with a draft.",
        )
    most, least = (ceil(users / each) for each in streams)
    watts = (of.idle_w * most + of.token_j * users * speed) * of.drawn["overhead"]
    paid = of.drawn["system_price"] * wafers * most * (1 + of.drawn["surround"])
    return Capacity(
        users=users,
        tokens_per_second=speed,
        context=load.context,
        streams=streams,
        copies=(least, most),
        systems=(least * wafers, most * wafers),
        power_kw=Interval.of(watts / 1e3),
        price_usd=Interval.of(paid),
    )


def _most_streams(timing: Timing, held: int, speed: float) -> int:
    """The most sequences in flight that each still have so many tokens a second; 0 if one alone has not."""
    fit = [count for count in range(1, held + 1) if aggregate(timing, count) / count >= speed]
    return max(fit, default=0)


def cost_answer(program: WaferProgram, found: Cost, prices: Prices, target: Capacity | None) -> dict[str, object]:
    """What `undiced cost --json` prints."""
    load = found.load
    answer: dict[str, object] = {
        "model": program.model,
        "machine": program.machine,
        "wafers": found.wafers,
        "source": "simulated; energies and prices assumed",
        "context": load.context,
        "streams": load.streams,
        "streams_held": found.held,
        "clock_hz": list(load.clocks_hz),
        "tokens_per_second": found.tokens_per_second.as_dict(),
        "tokens_per_second_per_user": found.user_tokens_per_second.as_dict(),
        "j_per_token": found.token_j.as_dict(),
        **found.expense.as_dict(),
        "assumptions": {name: asdict(each) for name, each in prices.constants()},
    }
    if target is not None:
        told = asdict(target)
        answer["capacity"] = {**told, "power_kw": target.power_kw.as_dict(), "price_usd": target.price_usd.as_dict()}
    return answer
