"""Usage: what was used and charged, by day, model, key or project; and an invoice of a month.

Days are of UTC and count a request by when it began. All from the sums per day: a year of millions of requests is read
in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from sqlalchemy import case, func, select

from undiced.account import reach
from undiced.account.counters import DAY_S
from undiced.account.credits import balance_and_expiries
from undiced.account.ledger_tables import CHARGES, ENTRIES
from undiced.account.prices import known_currency
from undiced.account.records import Organization
from undiced.account.subjects import about
from undiced.account.tables import KEYS, ORGANIZATIONS, PROJECTS
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction

Grouping = Literal["organization", "project", "key", "model", "day"]
GROUPINGS: Mapping[Grouping, str] = MappingProxyType(
    {"organization": "org_id", "project": "project_id", "key": "key_id", "model": "model", "day": "day"}
)
_NAMES: Mapping[Grouping, Table] = MappingProxyType({"organization": ORGANIZATIONS, "project": PROJECTS, "key": KEYS})
_SUMS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What a group used, and what it was charged in nanos.

    Attributes:
        group: its ids by the names of `GROUPINGS`; a day in days since 1970.
        names: what people call the organization, the project or the key among them.
    """

    group: Mapping[Grouping, str | int]
    names: Mapping[Grouping, str]
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    charge: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """A month of an organization, in nanos of a currency.

    Attributes:
        currency: None while no price is set and no balance kept. made: when it was written, in Unix seconds.
        charge: of the lines. paid: what was added as credit. expired: what of it was lost.
        opening, closing: the balance before and after the month; None if none is kept.
        taken: what requests that ended in the month took from the balance. Lines count a request by when it began.
    """

    org: Organization
    month: str
    currency: str | None
    made: int
    lines: tuple[UsageRow, ...]
    charge: int
    paid: int
    expired: int
    opening: int | None
    taken: int
    closing: int | None


class Usage:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(
        self,
        actor: Actor,
        org: str | None,
        *,
        since: int,
        until: int,
        by: Sequence[Grouping] = (),
        project: str | None = None,
        key: str | None = None,
    ) -> list[UsageRow]:
        """What was used in days from `since` up to, and without, `until`; of all organizations for the operator.

        Raises:
            InvalidRequestError: a span that ends before it begins. UnknownNameError, PermissionDeniedError.
        """
        if until < since:
            remedy = "Give a later one."
            raise InvalidRequestError("The end lies before the beginning.", remedy=remedy, param="until")
        with self._database.read() as transaction:
            here = self._here(transaction, actor, org, project, key)
            return _sums(transaction, [here, CHARGES.c.day >= since, CHARGES.c.day < until], by)

    def invoice(self, actor: Actor, org: str, month: str) -> Invoice:
        """A month, as 2026-11.

        Raises:
            InvalidRequestError: it is none. UnknownNameError, PermissionDeniedError.
        """
        first, end = month_days(month)
        with self._database.read() as transaction:
            found = reach.organization(transaction, actor, org)
            actor.need("billing:read")
            here = [CHARGES.c.org_id == found.id, CHARGES.c.day >= first, CHARGES.c.day < end]
            lines = _sums(transaction, here, ("project", "model"))
            opening, entries = _entries(transaction, found.id, first * DAY_S, end * DAY_S)
            balance, ended = balance_and_expiries(transaction, found.id)
            currency, now = known_currency(transaction), transaction.now
        opening -= sum(one.amount for one in ended if one.due < first * DAY_S)
        expired = sum(one.amount for one in ended if first * DAY_S <= one.due < end * DAY_S) - entries.get("expiry", 0)
        paid, taken = entries.get("credit", 0), -entries.get("charge", 0)
        return Invoice(
            found,
            month,
            currency,
            now,
            tuple(lines),
            charge=sum(line.charge for line in lines),
            paid=paid,
            expired=expired,
            opening=None if balance is None else opening,
            taken=taken,
            closing=None if balance is None else opening + paid - expired - taken,
        )

    def _here(
        self, transaction: Transaction, actor: Actor, org: str | None, project: str | None, key: str | None
    ) -> ColumnElement[bool]:
        if org is None and actor.org_id is None:
            actor.need("billing:read")
            return CHARGES.c.org_id.is_not(None)
        place = about(transaction, actor, org if org is not None else actor.org_id or "", project, key)
        actor.need("billing:read", place.project_id)
        column = CHARGES.c[{"organization": "org_id", "project": "project_id", "key": "key_id"}[place.subject]]
        return (CHARGES.c.org_id == place.org.id) & (column == place.id)


def groupings_of(text: str) -> list[Grouping]:
    """Groupings by their names, with commas between them.

    Raises:
        InvalidRequestError: a name that is none, or one twice.
    """
    names = [name for name in text.split(",") if name]
    found = [known for name in names for known in GROUPINGS if known == name]
    wrong = [name for at, name in enumerate(names) if name not in found or name in names[:at]]
    if wrong:
        told = "named twice" if wrong[0] in found else "nothing that usage is told apart by"
        remedy = f"Use some of {', '.join(GROUPINGS)}, each once."
        raise InvalidRequestError(f"'{wrong[0][:40]}' is {told}.", remedy=remedy, param="by")
    return found


def month_days(month: str) -> tuple[int, int]:
    """The first day of a month as 2026-11, and the first one after it, in days since 1970.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    except ValueError:
        remedy = "Write it as 2026-11."
        raise InvalidRequestError(f"'{month[:20]}' is no month.", remedy=remedy, param="month") from None
    return int(first.timestamp()) // DAY_S, int(after.timestamp()) // DAY_S


def _sums(transaction: Transaction, here: Sequence[ColumnElement[bool]], by: Sequence[Grouping]) -> list[UsageRow]:
    columns = [CHARGES.c[GROUPINGS[name]] for name in by]
    sums = [func.sum(CHARGES.c[name]).label(name) for name in _SUMS]
    summed = select(*columns, *sums).where(*here).group_by(*columns).subquery()
    joined, named = summed.select(), [name for name in by if name in _NAMES]
    for name in named:
        table = _NAMES[name]
        joined = joined.outerjoin(table, table.c.id == summed.c[GROUPINGS[name]]).add_columns(table.c.name)
    rows = transaction.connection.execute(joined.order_by(*(summed.c[GROUPINGS[name]] for name in by))).all()
    return [_row(row, by, named) for row in rows if row[len(by)]]


def _row(row: Sequence[str | int | None], by: Sequence[Grouping], named: Sequence[Grouping]) -> UsageRow:
    end = len(by) + len(_SUMS)
    group, names = zip(by, row, strict=False), zip(named, row[end:], strict=True)
    counts = (int(number or 0) for number in row[len(by) : end])
    return UsageRow(
        {name: one for name, one in group if one is not None}, {name: str(one) for name, one in names if one}, *counts
    )


def _entries(transaction: Transaction, org_id: str, since: int, until: int) -> tuple[int, dict[str, int]]:
    """The balance at a time, and by kind what was added to it until another."""
    whole, new = func.sum(ENTRIES.c.amount), func.sum(case((ENTRIES.c.at >= since, ENTRIES.c.amount), else_=0))
    here = (ENTRIES.c.org_id == org_id, ENTRIES.c.at < until)
    rows = transaction.connection.execute(
        select(ENTRIES.c.kind, whole, new).where(*here).group_by(ENTRIES.c.kind)
    ).all()
    return sum(int(all_) - int(added) for _, all_, added in rows), {kind: int(added) for kind, _, added in rows}
