"""Forwarding: from a journal to the database. What the database never takes is told to whoever reads the log, and does
not keep the rest. Knows no thread.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undiced.account.errors import DatabaseAwayError, DatabaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.account.journal import Journal
    from undiced.account.ledger import Ledger
    from undiced.account.ledger_records import Kept

_AT_ONCE = 64
_log = logging.getLogger("undiced.account")


class StuckError(Exception):
    """The ledger takes nothing of a journal, though the database answers: a bug. It may be mended by the next start."""


def forward(ledger: Ledger, journal: Journal) -> int:
    """Bring the oldest of what a journal holds; returns how many.

    Raises:
        DatabaseAwayError, DatabaseError: the database takes nothing now. StuckError: see there.
    """
    kept = journal.waiting(_AT_ONCE)
    try:
        ledger.forward(kept)
    except (DatabaseAwayError, DatabaseError):
        raise
    except Exception:
        _one_by_one(ledger, kept)
    journal.forwarded(len(kept))
    return len(kept)


def _one_by_one(ledger: Ledger, kept: Sequence[Kept]) -> None:
    """Bring what can be brought; if that is something, the rest is never taken, and the log has it."""
    never: list[tuple[Kept, Exception]] = []
    for one in kept:
        try:
            ledger.forward([one])
        except (DatabaseAwayError, DatabaseError):
            raise
        except Exception as error:
            never.append((one, error))
    if len(never) == len(kept):
        raise StuckError from never[0][1]
    for one, why in never:
        _log.error("the ledger never takes %s: %r", one, why)
