"""`undiced credit`: what organizations have paid in or were given, what is left of it, and whether they pay in
advance.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.rows import say
from undiced.cli.subject import NamedOrg, WhichOrg, meant

if TYPE_CHECKING:
    from undiced.account.credits import Balance

_NO_BALANCE = "{0} has no balance, and nothing is taken from it. undiced credit add {0} AMOUNT makes a prepaid one."


@gathered
def add(
    org: NamedOrg,
    amount: Annotated[str, typer.Argument(help="How much, as 25 or 0.50.", metavar="AMOUNT")],
    *,
    currency: Annotated[
        str | None,
        typer.Option(
            help="Three letters; there is one for everything.", metavar="CODE", show_default="the one in use, or USD"
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="When what is left of it is lost: after 1y or 90d, or at 2027-01-01; never by default.",
            show_default=False,
            metavar="TIME",
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="What it is for.", show_default=False)] = "",
    place: Place,
    as_json: Json = False,
) -> None:
    """Add credit to an organization. The first one makes a prepaid balance: nothing runs that it does not cover."""
    from undiced.account.money import nanos_of
    from undiced.account.prices import USUAL_CURRENCY
    from undiced.cli.amounts import money
    from undiced.cli.terminal import emit
    from undiced.cli.times import moment_of, readable

    nanos = nanos_of(amount, "AMOUNT")
    until = None if expires is None else moment_of(expires, "--expires", time.time())
    with place.opened() as accounts:
        actor = operator()
        currency = currency or accounts.prices.currency() or USUAL_CURRENCY
        first = accounts.credits.balance(actor, org) is None
        made, now = accounts.credits.add(actor, org, nanos, currency=currency, expires=until, why=note)
        free = not accounts.prices.list()
    if as_json:
        emit(asdict(made))
        return
    ends = "" if until is None else f", until {readable(until)}"
    say(f"Added {money(nanos, currency)} to {org}{ends}. Its balance is {money(now.balance, currency)}.")
    if first:
        say(f"It is prepaid from now on: nothing runs that it does not cover. See undiced credit terms {org}.")
    if free:
        say("No model has a price yet, so nothing is charged: undiced price set MODEL sets one.", err=True)


@gathered
def list_all(*, org: WhichOrg = None, place: Place, as_json: Json = False) -> None:
    """List credits, and what is left of each."""
    from undiced.account.money import column
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit
    from undiced.cli.times import readable

    with place.opened() as accounts:
        org = meant(accounts, org)
        found, currency = accounts.credits.list(operator(), org), accounts.prices.currency()
    if as_json:
        emit([asdict(one) for one in found])
        return
    amounts = zip(column([one.amount for one in found]), column([one.remaining for one in found]), strict=True)
    rows = [
        (one.id, readable(one.created), readable(one.expires), *cells, one.note)
        for one, cells in zip(found, amounts, strict=True)
    ]
    columns = ("ID", "CREATED", "EXPIRES", f"{currency} ADDED", "LEFT", "NOTE")
    show_rows(columns, rows, f"No credit: undiced credit add {org} AMOUNT adds some.", numbers=columns[3:5])


@gathered
def balance(*, org: WhichOrg = None, place: Place, as_json: Json = False) -> None:
    """Show what an organization has left, or owes."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = meant(accounts, org)
        found = accounts.credits.balance(operator(), org)
        name = accounts.organizations.show(operator(), org).name
    if as_json:
        emit(None if found is None else asdict(found))
    elif found is None:
        say(_NO_BALANCE.format(name), err=True)
    else:
        _show(name, found)


def _show(name: str, found: Balance) -> None:
    from undiced.cli.amounts import money
    from undiced.cli.rows import show_lines

    terms = "prepaid: nothing runs that the balance does not cover" if found.prepaid else "postpaid: it may owe"
    show_lines(
        [
            ("organization", name),
            ("pays", terms),
            ("balance", money(found.balance, found.currency)),
            ("reserved", f"{money(found.reserved, found.currency)} for what runs now"),
        ]
    )


@gathered
def terms(
    *,
    org: WhichOrg = None,
    prepaid: Annotated[
        bool, typer.Option("--prepaid/--postpaid", help="Nothing runs that the balance does not cover; or it may owe.")
    ],
    place: Place,
    as_json: Json = False,
) -> None:
    """Say whether an organization pays in advance."""
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = meant(accounts, org)
        found = accounts.credits.set_prepaid(operator(), org, prepaid)
        name = accounts.organizations.show(operator(), org).name
    emit(asdict(found)) if as_json else _show(name, found)
