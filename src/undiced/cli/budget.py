"""`undiced budget`: how much an organization, a project or a key may cost per calendar month in UTC."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.rows import say
from undiced.cli.subject import Calling, NamedOrg, Part, WhichOrg, meant


@gathered
def set_one(
    org: NamedOrg,
    amount: Annotated[str, typer.Argument(help="How much per month, as 100 or 0.50.", metavar="AMOUNT")],
    *,
    part: Part,
    stops: Annotated[bool, typer.Option("--stop/--warn", help="Refuse what would go beyond it, or only tell.")] = True,
    place: Place,
    as_json: Json = False,
) -> None:
    """Set how much may be spent per month. What was spent in this month counts."""
    from undiced.account.money import nanos_of
    from undiced.cli.amounts import money
    from undiced.cli.terminal import emit

    nanos = nanos_of(amount, "AMOUNT")
    with place.opened() as accounts:
        part = part.within(accounts, org)
        made = accounts.budgets.set(operator(), org, nanos, project=part.project, key=part.key, stops=stops)
        whose, currency = Calling.of(accounts, org).of_part(part), accounts.prices.currency()
    what = "what would go beyond is refused" if stops else "what goes beyond is told, and runs"
    emit(asdict(made)) if as_json else say(f"{whose}: {money(nanos, currency)} per month; {what}.")


@gathered
def list_all(*, org: WhichOrg = None, place: Place, as_json: Json = False) -> None:
    """List budgets, and what was spent in this month.

    What is spent holds the worst case of what runs now.
    """
    from undiced.account.money import column
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = meant(accounts, org)
        found = accounts.budgets.state(operator(), org)
        calling, currency = Calling.of(accounts, org), accounts.prices.currency()
        names = [calling.words(one.subject, one.subject_id) for one, _ in found]
    if as_json:
        emit([asdict(one) | {"spent": spent} for one, spent in found])
        return
    parts = ([one.amount, spent, max(0, one.amount - spent)] for one, spent in found)
    columns = [column(each) for each in zip(*parts, strict=True)]
    rows = [
        (name, *cells, "refused" if one.stops else "told")
        for name, (one, _), cells in zip(names, found, zip(*columns, strict=True), strict=True)
    ]
    heads = ("OF", f"{currency or ''} PER MONTH".strip(), "SPENT", "LEFT", "BEYOND IT")
    show_rows(heads, rows, f"No budget: undiced budget set {org} AMOUNT sets one.", numbers=heads[1:4])


@gathered
def remove(*, org: WhichOrg = None, part: Part, place: Place, as_json: Json = False) -> None:
    """Take a budget away."""
    from undiced.cli.amounts import money
    from undiced.cli.terminal import emit

    with place.opened() as accounts:
        org = meant(accounts, org)
        part = part.within(accounts, org)
        found = accounts.budgets.remove(operator(), org, project=part.project, key=part.key)
        whose, currency = Calling.of(accounts, org).of_part(part), accounts.prices.currency()
    shown = f"Took the budget of {money(found.amount, currency)} per month away from {whose}."
    emit(asdict(found)) if as_json else say(shown)
