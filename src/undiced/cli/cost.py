"""`undiced cost`: what a million tokens cost on wafers, and how many systems so many users take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import DrawnClock, Timed, Weighing
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.report import say_labeled
from undiced.core.errors import InvalidRequestError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.machine.interval import Interval
    from undiced.machine.prices import Prices
    from undiced.program.wafer.program import WaferProgram
    from undiced.study.cost import Capacity, Cost

_NAME = 32
_RANGE = "; a number or a range"


def _option(name: str, words: str, usual: str) -> object:
    return typer.Option(name, help=words + _RANGE + ".", show_default=usual, metavar="RANGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What systems and their use cost; what is not told stays as it is assumed."""

    system_price: Annotated[str | None, _option("--system-price", "US$ for a system with a wafer", "2M-3M")] = None
    power_price: Annotated[str | None, _option("--power-price", "US$ a kWh", "0.04-0.15")] = None
    utilization: Annotated[str | None, _option("--utilization", "Share of its capacity that is used", "0.2-0.8")] = None
    years: Annotated[str | None, _option("--years", "Years after which it is written off", "3-6")] = None
    surround: Annotated[str | None, _option("--surround", "Hosts and network, of the system's price", "0.1-0.35")] = (
        None
    )
    overhead: Annotated[str | None, _option("--overhead", "Power of the room over the systems'", "1.1-1.5")] = None

    def prices(self) -> Prices:
        """The usual prices, but for those that are told.

        Raises:
            InvalidRequestError: one that is no range, or makes no sense.
        """
        from undiced.machine.prices import PRICES
        from undiced.study.words import parse_range

        found = PRICES
        for name, text in asdict(self).items():
            if text is not None:
                found = found.given(name, *parse_range(name, text))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Users at once, and what each of them is to have."""

    users: Annotated[
        int | None, typer.Option(min=1, help="Say what so many users at once take; goes with --speed.")
    ] = None
    speed: Annotated[float | None, typer.Option(help="Tokens per second that each of them is to have.")] = None

    def given(self) -> tuple[int, float] | None:
        """Both, if they are asked for.

        Raises:
            InvalidRequestError: only one is, or they make no sense.
        """
        from undiced.study.cost import check_target

        if (self.users is None) != (self.speed is None):
            raise InvalidRequestError(
                "Users and their speed go together.", remedy="Give --users and --speed, or neither."
            )
        if self.users is None or self.speed is None:
            return None
        check_target(self.users, self.speed)
        return self.users, self.speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(Weighing):
    """The same, with a clock that is drawn unless it is named."""

    clock: DrawnClock = None


@gathered
def cost(
    given: typer.Context,
    model: Timed,
    *,
    streams: Annotated[
        int | None,
        typer.Option(min=1, help="Sequences in flight on each copy of the program.", show_default="all that fit"),
    ] = None,
    target: Target,
    priced: Priced,
    placing: Running,
    as_json: Json = False,
) -> None:
    """Say what a million tokens cost on wafers, and how many systems a number of users takes. As intervals.

    Drawn together are the clock (0.85 to 1.1 GHz unless one is named), energies, and prices. All are assumptions; name
    those that you know.
    """
    from undiced.cli.charted import compiled
    from undiced.cli.terminal import emit
    from undiced.study.cost import capacity, cost_answer, load_of, operation
    from undiced.study.cost import cost as cost_of

    wanted, prices = target.given(), priced.prices()
    asked = replace(placing.question(model), frontier=True)
    with compiled(given, model, asked, placing.machine, "Pricing", quiet=as_json) as (program, wafer, _):
        load = load_of(program, wafer, placing.context or program.bounds.context, streams, asked.clock_hz)
        running = operation(program, wafer, load, prices)
        found = cost_of(running)
        systems = capacity(running, users=wanted[0], speed=wanted[1]) if wanted else None
    if as_json:
        emit(cost_answer(program, found, prices, systems))
        return
    _show(program, found, prices, systems)


def _show(program: WaferProgram, found: Cost, prices: Prices, target: Capacity | None) -> None:
    load = found.load
    clocks = " to ".join(dict.fromkeys(f"{clock / 1e9:g}" for clock in load.clocks_hz))
    typer.secho(printable(f"{program.model} on {found.wafers} x {program.machine}"), bold=True)
    typer.echo(
        f"simulated at {clocks} GHz, context {load.context}, {load.streams} sequence{'s' * (load.streams > 1)} in "
        f"flight, {found.held} fit{'s' * (found.held == 1)}"
    )
    _say("US$ a million tokens", _told(found.expense.total))
    _say("of it systems", _told(found.expense.capital))
    _say("of it energy", _told(found.expense.energy))
    _say("tokens a US$", _told(found.expense.tokens_per_usd))
    _say("tokens per second, in all", _told(found.tokens_per_second))
    _say("tokens per second, each", _told(found.user_tokens_per_second))
    _say("joules a token, as used", _told(found.token_j))
    if target is not None:
        _capacity(target)
    typer.echo("assumed")
    for name, each in prices.constants():
        low, high = each.span
        _say(name.replace("_", " "), f"{_range(low, high)}{_unit(each.unit)}: {each.source}")


def _range(low: float, high: float) -> str:
    return _plain(low) if low == high else f"{_plain(low)} to {_plain(high)}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _unit(unit: str) -> str:
    return "" if unit == "1" else f" {unit}"


def _capacity(target: Capacity) -> None:
    each = f"{target.tokens_per_second:,.0f} tokens per second each, {target.context:,} positions"
    typer.echo(f"{target.users:,} users at once, {each}")
    slow, fast = target.streams
    _say("users on a copy", f"{slow:,}" if slow == fast else f"{slow:,} to {fast:,}, by the clock")
    _say("copies; systems", "; ".join(_both(pair) for pair in (target.copies, target.systems)))
    _say("power, the room's", f"{_told(target.power_kw)} kW at the slow clock")
    _say("to buy, with what surrounds it", f"{_told(target.price_usd)} US$")


def _both(pair: tuple[int, int]) -> str:
    return f"{pair[0]:,}" if pair[0] == pair[1] else f"{pair[0]:,} to {pair[1]:,}"


def _told(value: Interval) -> str:
    return f"{_plain(value.median)} ({_plain(value.low)} to {_plain(value.high)})"


def _say(name: str, words: str) -> None:
    say_labeled(name, words, _NAME)
