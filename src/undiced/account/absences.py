"""Absences: which subjects are known to have no limits, budgets or balance, and which prices there are: what a
transaction of the ledger need not look for. Belongs to one thread.

All is forgotten when the counter of changes moved. The counter is read in the same transaction as what is remembered,
and before it: so what is remembered is never older than the counter says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

Kind = Literal["limits", "budgets", "wallets"]
_MOST = 100_000  # subjects, about 10 MB


class Absences:
    """See the file's head."""

    def __init__(self) -> None:
        self._counter = -1
        self._none: dict[Kind, set[str]] = {"limits": set(), "budgets": set(), "wallets": set()}
        self.prices: dict[str, list[RowMapping]] = {}

    def see(self, counter: int) -> None:
        """The counter of changes says so now."""
        if counter != self._counter or sum(map(len, self._none.values())) > _MOST:
            self._counter = counter
            self.prices.clear()
            for known in self._none.values():
                known.clear()

    def worth(self, kind: Kind, subjects: Iterable[str]) -> list[str]:
        """Those of some subjects that may have something, in one order."""
        return sorted(set(subjects) - self._none[kind])

    def learn(self, kind: Kind, asked: Sequence[str], found: Iterable[str]) -> None:
        """Of those that were asked for these alone have something."""
        self._none[kind].update(set(asked).difference(found))
