"""`undiced usage`: what was used and charged, in days and months."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import typer

from undiced.cli.accounts import Place, operator
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.rows import say
from undiced.cli.subject import Part
from undiced.core.errors import InvalidRequestError

_BY = ("organization", "project", "key", "model", "day")  # as the account layer has them
_DAYS = 30  # that are shown unless others are asked for
Csv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values, for spreadsheets.")]


@dataclass(frozen=True, slots=True)
class Span:
    """The options that say which days are meant; they are days in UTC."""

    since: Annotated[
        str | None,
        typer.Option(
            help=f"The first day: 2026-11-01, or 7d for the last seven days; {_DAYS}d by default.",
            metavar="DAY",
            show_default=False,
        ),
    ] = None
    until: Annotated[
        str | None,
        typer.Option(help="The last day, which counts; today by default.", metavar="DAY", show_default=False),
    ] = None
    month: Annotated[
        str | None, typer.Option(help="A whole month instead, as 2026-11.", metavar="MONTH", show_default=False)
    ] = None

    def days(self, now_s: float) -> tuple[int, int]:
        """The first day and the one after the last, in days since 1970.

        Raises:
            InvalidRequestError: one of them is none, they are in the wrong order, or a month and days are given.
        """
        from undiced.account.usage import month_days
        from undiced.cli.times import day_of

        today = int(now_s // 86_400)
        if self.month is not None:
            if self.since is not None or self.until is not None:
                remedy = "Leave --month out, or --since and --until."
                raise InvalidRequestError("A month and days are given.", remedy=remedy)
            return month_days(self.month)
        last = today if self.until is None else day_of(self.until, "--until", today)
        first = last + 1 - _DAYS if self.since is None else day_of(self.since, "--since", today)
        if first > last:
            raise InvalidRequestError("The first day is later than the last.", remedy="Give an earlier --since.")
        return first, last + 1


@gathered
def usage(
    *,
    org: Annotated[
        str | None,
        typer.Argument(
            help="An organization, by name or id; all of them by default.",
            metavar="ORG",
            envvar="UNDICED_ORG",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A row per {', '.join(_BY[:-1])} or {_BY[-1]}; several times for several.",
            show_default="model; organization where none is named",
            metavar="WHAT",
            autocompletion=lambda incomplete: [name for name in _BY if name.startswith(incomplete)],
        ),
    ] = None,
    span: Span,
    part: Part,
    as_csv: Csv = False,
    place: Place,
    as_json: Json = False,
) -> None:
    """Show what was used and charged. A request counts on the day on which it began, in UTC, once it has ended."""
    from undiced.account.usage import groupings_of
    from undiced.cli.rows import show_rows
    from undiced.cli.terminal import emit
    from undiced.cli.times import date_of
    from undiced.cli.usage_rows import as_object, in_order, show_csv, table

    one_form(as_csv, as_json)
    first, end = span.days(time.time())
    groups = groupings_of(",".join(by or ("organization" if org is None else "model",)))
    with place.opened() as accounts:
        if org is None and part != Part():
            raise InvalidRequestError("Whose project or key is meant?", remedy="Name the organization first.")
        part = part if org is None else part.within(accounts, org)
        found = accounts.usage.report(
            operator(), org, since=first, until=end, by=groups, project=part.project, key=part.key
        )
        currency = accounts.prices.currency()
    rows = in_order(found, groups)
    days = (date_of(first), date_of(end - 1))
    if as_json:
        emit({"since": first * 86_400, "until": end * 86_400, "currency": currency, **as_object(rows)})
    elif as_csv:
        show_csv(rows, groups, currency, days)
    else:
        columns, cells, numbers = table(rows, groups, currency)
        none = f"Nothing was used from {days[0]} to {days[1]}."
        show_rows(columns, cells if rows else (), none, numbers=numbers)
        if rows:
            say(f"From {days[0]} to {days[1]}, days in UTC.", err=True)


def one_form(as_csv: bool, as_json: bool) -> None:
    """See that one form of output is wanted at most.

    Raises:
        InvalidRequestError: both are.
    """
    if as_csv and as_json:
        raise InvalidRequestError("--csv and --json are given.", remedy="Leave one of them out.")
