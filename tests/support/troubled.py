"""A ledger and a disk that fail when a test says so, and a clock that the test moves."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from undiced.account.errors import DatabaseAwayError
from undiced.account.journal import Journal
from undiced.account.ledger import Answer, Ledger
from undiced.account.ledger_records import Kept, Work


class TroubledLedger:
    """Passes on to a ledger, unless it is `away`; `forgetful`: it does the work and then loses the connection; `buggy`:
    it fails as no ledger should.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.away = self.forgetful = self.buggy = False
        self.tries = 0

    def run(self, works: Sequence[Work]) -> list[Answer]:
        self._see()
        answers = self.ledger.run(works)
        if self.forgetful:
            self.away = True
            lost = DatabaseAwayError("The connection was lost.", remedy="Try again.", retry_after_s=1.0)
            lost.unsure = True
            raise lost
        return answers

    def forward(self, kept: Sequence[Kept]) -> None:
        self._see()
        self.ledger.forward(kept)

    def _see(self) -> None:
        self.tries += 1
        if self.away:
            raise DatabaseAwayError("It is away.", remedy="Try again.", retry_after_s=1.0)
        if self.buggy:
            raise ZeroDivisionError


class TroubledJournal(Journal):
    """A journal whose disk may be `full`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.full = False

    def append(self, kept: Sequence[Kept]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(kept)
