"""Budgets: how much an organization, a project or a key may cost per calendar month in UTC. What would go beyond is
refused, or only told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from undiced.account import reach
from undiced.account.audit import note
from undiced.account.changes import raise_counter
from undiced.account.ledger_records import Subject
from undiced.account.ledger_tables import BUDGETS
from undiced.account.money import see_amount
from undiced.account.spending import Spending
from undiced.account.subjects import About, about
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """A budget in nanos per month. `stops`: it refuses what goes beyond; else it only says so."""

    subject_id: str
    org_id: str
    subject: Subject
    amount: int
    stops: bool

    @property
    def id(self) -> str:
        """What it is called in the audit."""
        return self.subject_id


class Budgets:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(
        self,
        actor: Actor,
        org: str,
        amount: int,
        *,
        project: str | None = None,
        key: str | None = None,
        stops: bool = True,
    ) -> BudgetRule:
        """Set a budget.

        Raises:
            InvalidRequestError: an amount that is none. UnknownNameError, PermissionDeniedError.
        """
        see_amount(amount)
        with self._database.write() as transaction:
            place, before = _place(transaction, actor, org, project, key)
            after = BudgetRule(place.id, place.org.id, place.subject, amount, stops)
            if before == after:
                return after
            transaction.connection.execute(delete(BUDGETS).where(BUDGETS.c.subject_id == place.id))
            values = {column.name: getattr(after, column.name) for column in BUDGETS.c} | {"stops": int(stops)}
            transaction.connection.execute(insert(BUDGETS).values(values))
            raise_counter(transaction)
            note(transaction, actor, "budget.set", place.org.id, before=before, after=after)
            return after

    def remove(self, actor: Actor, org: str, *, project: str | None = None, key: str | None = None) -> BudgetRule:
        """Take a budget away.

        Raises:
            InvalidRequestError: there is none. UnknownNameError, PermissionDeniedError.
        """
        with self._database.write() as transaction:
            place, before = _place(transaction, actor, org, project, key)
            if before is None:
                remedy = "See: undiced budget list."
                raise InvalidRequestError(f"This {place.subject} has no budget.", remedy=remedy)
            transaction.connection.execute(delete(BUDGETS).where(BUDGETS.c.subject_id == place.id))
            note(transaction, actor, "budget.remove", place.org.id, before=before)
            return before

    def state(self, actor: Actor, org: str) -> Sequence[tuple[BudgetRule, int]]:
        """Those of an organization, each with what was spent in this month and, at the worst, what runs.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.read() as transaction:
            rules = _of(transaction, actor, org)
            ids = [rule.subject_id for rule in rules]
            spent = [budget.spent for budget in Spending.read(transaction, ids).of(ids)]
            return list(zip(rules, spent, strict=True))

    def list(self, actor: Actor, org: str) -> Sequence[BudgetRule]:
        """Those of an organization.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.read() as transaction:
            return _of(transaction, actor, org)


def _of(transaction: Transaction, actor: Actor, org: str) -> list[BudgetRule]:
    found = reach.organization(transaction, actor, org)
    actor.need("billing:read")
    query = select(BUDGETS).where(BUDGETS.c.org_id == found.id).order_by(BUDGETS.c.subject, BUDGETS.c.subject_id)
    rows = transaction.connection.execute(query).mappings()
    return [BudgetRule(**{**row, "stops": bool(row["stops"])}) for row in rows]


def _place(
    transaction: Transaction, actor: Actor, org: str, project: str | None, key: str | None
) -> tuple[About, BudgetRule | None]:
    """Whose budget is meant, and what it is now. A project's is for its organization to change, so nobody loosens what
    holds them.
    """
    place = about(transaction, actor, org, project, key)
    actor.need("projects:write", place.project_id if place.subject == "key" else None)
    row = reach.one(transaction, select(BUDGETS).where(BUDGETS.c.subject_id == place.id).with_for_update())
    return place, None if row is None else BudgetRule(**{**row, "stops": bool(row["stops"])})
