"""`undiced invoice`: a month of an organization, as a text to print: what was used and charged, paid in, and is left or
owed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.subject import NamedOrg
from undiced.cli.usage import Csv, one_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undiced.account.usage import Grouping, Invoice, UsageRow

_WIDTH = 80  # columns; it is printed
_APART = """\
Lines count a request in the month in which it began. From a balance it is taken
when it ends, if there is a balance by then."""
_BY: tuple[Grouping, ...] = ("project", "model")


@gathered
def invoice(
    org: NamedOrg,
    month: Annotated[str, typer.Argument(help="As 2026-11, in UTC.", metavar="MONTH")],
    *,
    as_csv: Csv = False,
    place: Place,
    as_json: Json = False,
) -> None:
    """Show a month of an organization: used, paid, left or owed."""
    from undiced.account.usage import month_days
    from undiced.cli.terminal import emit
    from undiced.cli.times import date_of
    from undiced.cli.usage_rows import in_order, show_csv

    one_form(as_csv, as_json)
    with place.opened() as accounts:
        found = accounts.usage.invoice(operator(), org, month)
    lines = in_order(found.lines, _BY)
    first, end = month_days(found.month)
    if as_json:
        emit(asdict(found))
    elif as_csv:
        show_csv(lines, _BY, found.currency, (date_of(first), date_of(end - 1)))
    else:
        _show(found, lines, first, end)


def _show(found: Invoice, lines: Sequence[UsageRow], first: int, end: int) -> None:
    from undiced.account.money import column
    from undiced.cli.rows import show_lines, show_rows
    from undiced.cli.times import date_of, readable
    from undiced.cli.usage_rows import table

    over = found.made >= end * 86_400
    state = "" if over else f"; the month has not {'ended' if found.made >= first * 86_400 else 'begun'}"
    show_lines(
        [
            ("invoice", f"{found.org.name} {found.month}"),
            ("organization", found.org.id),
            ("days", f"{date_of(first)} to {date_of(end - 1)}, in UTC"),
            ("written", f"{readable(found.made)}{state}"),
        ]
    )
    typer.echo()
    if lines:
        columns, cells, numbers = table(lines, _BY, found.currency)
        show_rows(columns, cells, "", numbers=numbers, width=_WIDTH)
        typer.echo()
    sums = list(_sums(found, date_of(first), f"after {date_of(end - 1)}" if over else "now"))
    for (label, _), amount in zip(sums, column([nanos for _, nanos in sums]), strict=True):
        typer.echo(f"{label:<{_WIDTH - len(amount) - 4}}{amount} {found.currency or ''}".rstrip())
    if found.opening is not None and found.taken != found.charge:
        typer.echo()
        typer.echo(_APART)


def _sums(found: Invoice, first: str, when: str) -> Iterator[tuple[str, int]]:
    """What the amounts below the lines are called, and they."""
    yield "Charged", found.charge
    if found.opening is None or found.closing is None:
        yield "To pay", found.charge
        return
    yield f"Balance before {first}", found.opening
    yield "Credit paid in", found.paid
    if found.expired:
        yield "Credit expired", -found.expired
    yield "Taken from the balance", -found.taken
    yield (f"Left {when}", found.closing) if found.closing >= 0 else (f"Owed {when}", -found.closing)
