"""Recovery: what dead processes of this machine left open is settled: first from their journals, then from their
progress files.

The client got what the slot says, up to one write. How much of the prompt was cached is not known any more; it counts
as if all of it had been, so that nobody pays for our crash. An answer of which nothing was handed over never counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from undiced.account.journal import ENDING, Journal, journal_of
from undiced.account.ledger_records import Outcome
from undiced.account.ledger_tables import REQUESTS
from undiced.account.progress import LeftBehind, progress_of

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.database import Database
    from undiced.account.ledger import Ledger

_AT_ONCE = 256


def recover(database: Database, ledger: Ledger, folder: Path) -> int:
    """Settle the open requests of all dead instances whose files are in a folder; returns how many.

    Raises:
        DatabaseAwayError, DatabaseError: the rest is left for another time.
    """
    settled = 0
    for left in LeftBehind.all(folder):
        done = False
        try:
            settled += _forward(ledger, journal_of(folder, left.instance_id))
            counts = left.counts()
            while rows := _open(database, left.instance_id):
                ledger.run([_outcome(row, counts) for row in rows])
                settled += len(rows)
            done = True
        finally:
            left.close(settled=done)
    for path in sorted(folder.glob(f"*{ENDING}")):  # of processes that settled everything but what lies here
        if not progress_of(folder, path.name.removesuffix(ENDING)).exists():
            settled += _forward(ledger, path)
    return settled


def _forward(ledger: Ledger, path: Path) -> int:
    """Bring a dead process's journal to the database; returns how many outcomes it held."""
    if not path.exists():
        return 0
    journal, count = Journal(path), 0
    try:
        while outcomes := journal.waiting(_AT_ONCE):
            ledger.run(outcomes)
            journal.forwarded(len(outcomes))
            count += len(outcomes)
    finally:
        journal.close()
    return count


def _open(database: Database, instance_id: str) -> list[RowMapping]:
    columns = (REQUESTS.c.id, REQUESTS.c.slot, REQUESTS.c.prompt_tokens)
    here = (REQUESTS.c.instance_id == instance_id, REQUESTS.c.state == "open")
    with database.read() as transaction:
        query = select(*columns).where(*here).order_by(REQUESTS.c.id).limit(_AT_ONCE)
        return list(transaction.connection.execute(query).mappings())


def _outcome(row: RowMapping, counts: list[int]) -> Outcome:
    slot = row["slot"]
    tokens = counts[slot] if slot is not None and 0 <= slot < len(counts) else 0
    if not tokens:
        return Outcome(row["id"], "released", "error")
    return Outcome(row["id"], "recovered", "error", row["prompt_tokens"], row["prompt_tokens"], tokens)
