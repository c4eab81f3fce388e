"""`undiced price`: what a million tokens of a model cost, from a time on."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.rows import say

if TYPE_CHECKING:
    from undiced.account.money import Rates
    from undiced.account.prices import Price

Model = Annotated[str, typer.Argument(help="As GET /v1/models names it.", metavar="MODEL")]


@dataclass(frozen=True, slots=True)
class Amounts:
    """The options that say what a million tokens cost, and what classes of service make of it."""

    input: Annotated[str, typer.Option("--input", help="A million tokens of prompts, as 0.35.", metavar="AMOUNT")]
    output: Annotated[
        str, typer.Option("--output", help="A million tokens of answers, reasoning among them.", metavar="AMOUNT")
    ]
    cached_input: Annotated[
        str | None,
        typer.Option(
            "--cached-input", help="A million cached tokens of prompts.", metavar="AMOUNT", show_default="as --input"
        ),
    ] = None
    batch: Annotated[str, typer.Option("--batch", help="Times this for batches.", metavar="X")] = "0.5"
    flex: Annotated[str, typer.Option("--flex", help="Times this for service_tier flex.", metavar="X")] = "0.5"
    priority: Annotated[str, typer.Option("--priority", help="Times this for service_tier priority.", metavar="X")] = (
        "1.5"
    )

    def rates(self) -> Rates:
        """The same in integers.

        Raises:
            InvalidRequestError: one is no amount, or no factor.
        """
        from undiced.account.money import Rates, nanos_of
        from undiced.cli.amounts import permille_of

        cached = self.input if self.cached_input is None else self.cached_input
        return Rates(
            nanos_of(self.input, "--input"),
            nanos_of(cached, "--cached-input"),
            nanos_of(self.output, "--output"),
            permille_of(self.batch, "--batch"),
            permille_of(self.flex, "--flex"),
            permille_of(self.priority, "--priority"),
        )


@gathered
def set_one(
    model: Model,
    *,
    amounts: Amounts,
    currency: Annotated[
        str | None,
        typer.Option(
            help="Three letters; there is one for everything.", metavar="CODE", show_default="the one in use, or USD"
        ),
    ] = None,
    begins: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="When it begins: after 90d or 24h, or at 2027-01-01 or 2027-01-01T12:00Z; now by default.",
            show_default=False,
            metavar="TIME",
        ),
    ] = None,
    place: Place,
    as_json: Json = False,
) -> None:
    """Set what a million tokens of a model cost. The price before it ends when it begins; a past one never changes."""
    from undiced.account.prices import USUAL_CURRENCY
    from undiced.cli.terminal import emit
    from undiced.cli.times import moment_of, readable

    rates = amounts.rates()
    at = None if begins is None else moment_of(begins, "--from", time.time())
    with place.opened() as accounts:
        currency = currency or accounts.prices.currency() or USUAL_CURRENCY
        made = accounts.prices.set(operator(), model, rates, currency=currency, valid_from=at)
    since = "from now on" if at is None else f"from {readable(made.valid_from)} on"
    emit(asdict(made)) if as_json else say(f"{model} costs {_words(made)}, {since}.")


def _words(price: Price) -> str:
    from undiced.cli.amounts import money

    rates = price.rates
    amounts = (money(one, None) for one in (rates.input, rates.cached_input, rates.output))
    return "{} {} per million tokens of prompts, {} of cached ones, {} of answers".format(
        next(amounts), price.currency, *amounts
    )


@gathered
def list_all(
    *,
    all_: Annotated[bool, typer.Option("--all", "-a", help="Also those that have ended.")] = False,
    place: Place,
    as_json: Json = False,
) -> None:
    """List prices that are or will be valid."""
    from undiced.account.money import column
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit
    from undiced.cli.times import readable

    with place.opened() as accounts:
        found = accounts.prices.list(past=all_)
    if as_json:
        emit([asdict(one) for one in found])
        return
    amounts = zip(
        *(column([getattr(one.rates, name) for one in found]) for name in ("input", "cached_input", "output")),
        strict=True,
    )
    rows = [
        (one.model, readable(one.valid_from), readable(one.valid_until, "-"), *cells, _factors(one.rates))
        for one, cells in zip(found, amounts, strict=True)
    ]
    columns = ("MODEL", "FROM", "UNTIL", "INPUT", "CACHED", "OUTPUT", "FACTORS")
    show_rows(columns, rows, "No price, so nothing is charged: undiced price set MODEL sets one.", numbers=columns[3:6])
    if found:
        say(f"In {found[0].currency} per million tokens. Factors: batch, flex, priority.")


def _factors(rates: Rates) -> str:
    from undiced.cli.amounts import factor

    return " ".join(map(factor, (rates.batch_permille, rates.flex_permille, rates.priority_permille)))


@gathered
def cancel(model: Model, *, place: Place, as_json: Json = False) -> None:
    """Take back a price that has not begun. The one before it goes on."""
    from undiced.cli.terminal import emit
    from undiced.cli.times import readable

    with place.opened() as accounts:
        found = accounts.prices.cancel(operator(), model)
    emit(asdict(found)) if as_json else say(f"Took back the price of {model} from {readable(found.valid_from)} on.")
