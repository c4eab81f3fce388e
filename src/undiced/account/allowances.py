"""Allowances: all that binds a key right now: how its limits stand, its organization's balance, its budgets.

Reads and locks nothing: what it says may have changed by the time it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from undiced.account.counters import Counter
from undiced.account.credits import Balance, balance_now
from undiced.account.ledger_records import Standing
from undiced.account.ledger_tables import LIMITS
from undiced.account.spending import Budget, Spending

if TYPE_CHECKING:
    from undiced.account.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Allowance:
    """See the file's head.

    Attributes:
        limits: how each stands.
        balance: None if the organization has none and pays nothing in advance.
    """

    limits: tuple[Standing, ...] = ()
    balance: Balance | None = None
    budgets: tuple[Budget, ...] = ()


class Allowances:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, org_id: str, project_id: str, key_id: str) -> Allowance:
        """That of a key.

        Raises:
            DatabaseAwayError: the database does not answer. DatabaseError: it can't be read.
        """
        subjects = (org_id, project_id, key_id)
        with self._database.read() as transaction:
            balance = balance_now(transaction, org_id)
            budgets = Spending.read(transaction, subjects).of(subjects)
            return Allowance(_limits(transaction, subjects), balance, tuple(budgets))

    def limits(self, org_id: str, project_id: str, key_id: str) -> tuple[Standing, ...]:
        """How the limits of a key stand, for all models. Raises as `of`."""
        with self._database.read() as transaction:
            return _limits(transaction, (org_id, project_id, key_id))


def _limits(transaction: Transaction, subjects: tuple[str, ...]) -> tuple[Standing, ...]:
    order = (LIMITS.c.subject_id, LIMITS.c.model, LIMITS.c.metric, LIMITS.c.window_s)
    query = select(LIMITS).where(LIMITS.c.subject_id.in_(subjects)).order_by(*order)
    rows = transaction.connection.execute(query).mappings()
    counters = [Counter.read(row, transaction.now_ms) for row in rows]
    counters.sort(key=lambda one: subjects.index(one.subject_id))
    return tuple(counter.standing() for counter in counters)
