"""Spending: what the subjects of some budgets have spent in this month, with what runs, and what is left of it.

Knows budgets and what they are held against; months are calendar months in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select

from undiced.account.errors import InsufficientCreditError
from undiced.account.ledger_records import Ask, Subject
from undiced.account.ledger_tables import BUDGETS, CHARGES, OPEN, REQUESTS
from undiced.account.money import shown

if TYPE_CHECKING:
    from undiced.account.absences import Absences
    from undiced.account.database import Transaction

_READ = select(BUDGETS).where(BUDGETS.c.subject_id.in_(bindparam("subjects", expanding=True)))
_READ = _READ.order_by(BUDGETS.c.subject_id)
_LOCK = _READ.with_for_update()
_COLUMNS = {"organization": "org_id", "project": "project_id", "key": "key_id"}


@dataclass(slots=True)
class Budget:
    """A budget in this month. `spent`: what was charged and, at the worst, what runs."""

    subject: Subject
    amount: int
    stops: bool
    spent: int


class Spending:
    """The budgets of some subjects."""

    def __init__(self, transaction: Transaction, absences: Absences, subjects: Iterable[str]) -> None:
        self._all: dict[str, Budget] = {}
        worth = absences.worth("budgets", subjects)
        if not worth:
            return
        query = _LOCK if transaction.writes else _READ
        rows = transaction.connection.execute(query, {"subjects": worth}).mappings().all()
        absences.learn("budgets", worth, (row["subject_id"] for row in rows))
        since = first_day(transaction.now)
        self._all = {
            row["subject_id"]: Budget(
                row["subject"],
                row["amount"],
                bool(row["stops"]),
                spent(transaction, row["org_id"], row["subject"], row["subject_id"], since),
            )
            for row in rows
        }

    def reserve(self, ask: Ask, worst: int) -> tuple[str, ...]:
        """Count the worst case of a request; returns the subjects whose budget warns and is used up.

        Raises:
            InsufficientCreditError: a budget that stops does not cover it.
        """
        budgets = self.of((ask.org_id, ask.project_id, ask.key_id))
        for budget in budgets:
            if budget.stops and budget.spent + worst > budget.amount:
                message = f"The budget of this {budget.subject}, {shown(budget.amount)} per month, does not cover this."
                remedy = "Lower max_tokens, or ask for a larger one."
                raise InsufficientCreditError(message, remedy=remedy)
        for budget in budgets:
            budget.spent += worst
        return tuple(budget.subject for budget in budgets if budget.spent > budget.amount)

    def of(self, subjects: Iterable[str]) -> list[Budget]:
        """Those of some subjects, in their order."""
        return [self._all[one] for one in subjects if one in self._all]


def first_day(now: int) -> int:
    """The first day of the month of a time, in days since 1970."""
    date = datetime.fromtimestamp(now, UTC)
    return int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp()) // 86_400


def spent(transaction: Transaction, org_id: str, subject: str, subject_id: str, since: int) -> int:
    """What a subject has spent since a day, in days since 1970, and what runs may cost at the worst. In one statement:
    between two of them a request that ends would be in neither.
    """
    name = _COLUMNS[subject]
    # the organization stands first in both indexes
    charged = select(func.coalesce(func.sum(CHARGES.c.charge), 0)).where(
        CHARGES.c.org_id == org_id, CHARGES.c[name] == subject_id, CHARGES.c.day >= since
    )
    running = select(func.coalesce(func.sum(REQUESTS.c.reserved), 0)).where(
        OPEN, REQUESTS.c.org_id == org_id, REQUESTS.c[name] == subject_id
    )
    both = select(charged.scalar_subquery() + running.scalar_subquery())
    return int(transaction.connection.execute(both).scalar_one())
