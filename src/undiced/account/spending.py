"""Spending: what the subjects of some budgets have spent in this month, with what runs, and what is left of it.

Knows budgets and what they are held against; months are calendar months in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, func, select, text

from undiced.account.errors import InsufficientCreditError
from undiced.account.ledger_records import Ask, Subject
from undiced.account.ledger_tables import BUDGETS, CHARGES, OPEN, REQUESTS
from undiced.account.money import shown
from undiced.account.statements import Statement, among

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

    from undiced.account.database import Transaction

_MINE = among(BUDGETS.c.subject_id, "subjects")


def _of(table: Table) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The rows of a table that count for a budget; the organization stands first in the indexes of both."""
    names = {"organization": table.c.org_id, "project": table.c.project_id, "key": table.c.key_id}
    named = case(*((BUDGETS.c.subject == text(f"'{subject}'"), column) for subject, column in names.items()))
    return table.c.org_id == BUDGETS.c.org_id, named == BUDGETS.c.subject_id


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), text("0"))


_CHARGED = select(_sum(CHARGES.c.charge)).where(*_of(CHARGES), CHARGES.c.day >= bindparam("since"))
_RUNNING = select(_sum(REQUESTS.c.reserved)).where(*_of(REQUESTS), OPEN)
_SPENT = (_CHARGED.scalar_subquery() + _RUNNING.scalar_subquery()).label("spent")
LOCKED = Statement(select(BUDGETS.c.subject_id).where(_MINE).order_by(BUDGETS.c.subject_id).with_for_update())
# in one statement: between two of them a request that ends would be in neither
_READ = Statement(select(BUDGETS, _SPENT).where(_MINE))


@dataclass(slots=True)
class Budget:
    """A budget in this month. `spent`: what was charged and, at the worst, what runs."""

    subject: Subject
    amount: int
    stops: bool
    spent: int


class Spending:
    """The budgets of some subjects. Two transactions that reserve must not read what is spent at once: see `LOCKED`."""

    def __init__(self, budgets: Mapping[str, Budget]) -> None:
        self._all = budgets

    @classmethod
    def read(cls, transaction: Transaction, subjects: Iterable[str]) -> Spending:
        """As of this month."""
        (rows,) = transaction.run(_READ.of(subjects=sorted(subjects), since=_first_day(transaction.now)))
        return cls(
            {row["subject_id"]: Budget(row["subject"], row["amount"], bool(row["stops"]), row["spent"]) for row in rows}
        )

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


def _first_day(now: int) -> int:
    """The first day of the month of a time, in days since 1970."""
    date = datetime.fromtimestamp(now, UTC)
    return int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp()) // 86_400
