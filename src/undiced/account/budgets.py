"""Budgets: how much an organization, a project or a key may cost per calendar month in UTC. What would go beyond is
refused, or only told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from undiced.account import reach
from undiced.account.audit import note
from undiced.account.ledger_records import Subject
from undiced.account.ledger_tables import BUDGETS
from undiced.account.money import MOST_NANOS
from undiced.account.subjects import about
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.account.actor import Actor
    from undiced.account.database import Database


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
        amount: int | None,
        *,
        project: str | None = None,
        key: str | None = None,
        stops: bool = True,
    ) -> BudgetRule | None:
        """Set a budget, or take it away where `amount` is None.

        Raises:
            InvalidRequestError: an amount that is none. UnknownNameError, PermissionDeniedError.
        """
        if amount is not None and not 0 < amount <= MOST_NANOS // 4:
            raise InvalidRequestError("This is no budget.", remedy="Give more than 0.", param="amount")
        with self._database.write() as transaction:
            place = about(transaction, actor, org, project, key)
            actor.need("projects:write", place.project_id)
            here = BUDGETS.c.subject_id == place.id
            row = reach.one(transaction, select(BUDGETS).where(here).with_for_update())
            before = None if row is None else BudgetRule(**{**row, "stops": bool(row["stops"])})
            after = None if amount is None else BudgetRule(place.id, place.org.id, place.subject, amount, stops)
            if before == after:
                return after
            transaction.connection.execute(delete(BUDGETS).where(here))
            if after is not None:
                values = {column.name: getattr(after, column.name) for column in BUDGETS.c} | {"stops": int(stops)}
                transaction.connection.execute(insert(BUDGETS).values(values))
            note(transaction, actor, "budget.set", place.org.id, before=before, after=after)
            return after

    def list(self, actor: Actor, org: str) -> list[BudgetRule]:
        """Those of an organization.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.read() as transaction:
            found = reach.organization(transaction, actor, org)
            actor.need("billing:read")
            query = (
                select(BUDGETS).where(BUDGETS.c.org_id == found.id).order_by(BUDGETS.c.subject, BUDGETS.c.subject_id)
            )
            rows = transaction.connection.execute(query).mappings()
            return [BudgetRule(**{**row, "stops": bool(row["stops"])}) for row in rows]
