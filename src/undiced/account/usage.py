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

from sqlalchemy import func, select

from undiced.account import reach
from undiced.account.counters import DAY_S
from undiced.account.ledger_tables import CHARGES, ENTRIES
from undiced.account.records import Organization
from undiced.account.subjects import about
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction

Grouping = Literal["organization", "project", "key", "model", "day"]
GROUPINGS: Mapping[Grouping, str] = MappingProxyType(
    {"organization": "org_id", "project": "project_id", "key": "key_id", "model": "model", "day": "day"}
)
_SUMS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What a group used. `group`: by the names of `GROUPINGS`; a day in days since 1970. `charge`: in nanos."""

    group: Mapping[Grouping, str | int]
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    charge: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """A month of an organization, in nanos. `paid`: what was added as credit; `expired`: what of it was lost."""

    org: Organization
    month: str
    lines: tuple[UsageRow, ...]
    charge: int
    paid: int
    expired: int


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
            entries = _entries(transaction, found.id, first * DAY_S, end * DAY_S)
        charge = sum(line.charge for line in lines)
        return Invoice(found, month, tuple(lines), charge, entries.get("credit", 0), -entries.get("expiry", 0))

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


def month_days(month: str) -> tuple[int, int]:
    """The first day of a month as 2026-11, and the first one after it, in days since 1970.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        remedy = "Write it as 2026-11."
        raise InvalidRequestError(f"'{month[:20]}' is no month.", remedy=remedy, param="month") from None
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()) // DAY_S, int(after.timestamp()) // DAY_S


def _sums(transaction: Transaction, here: Sequence[ColumnElement[bool]], by: Sequence[Grouping]) -> list[UsageRow]:
    columns = [CHARGES.c[GROUPINGS[name]] for name in by]
    sums = [func.sum(CHARGES.c[name]) for name in _SUMS]
    query = select(*columns, *sums).where(*here).group_by(*columns).order_by(*columns)
    rows = transaction.connection.execute(query).all()
    return [
        UsageRow(dict(zip(by, row[: len(by)], strict=True)), *(int(number or 0) for number in row[len(by) :]))
        for row in rows
        if row[len(by)]
    ]


def _entries(transaction: Transaction, org_id: str, since: int, until: int) -> dict[str, int]:
    here = (ENTRIES.c.org_id == org_id, ENTRIES.c.at >= since, ENTRIES.c.at < until)
    query = select(ENTRIES.c.kind, func.sum(ENTRIES.c.amount)).where(*here).group_by(ENTRIES.c.kind)
    return {kind: int(amount) for kind, amount in transaction.connection.execute(query)}
