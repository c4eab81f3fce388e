"""Recovery: what dead processes of this machine left open is settled: first from their journals, then from their
progress files. What processes of other machines left is given up when those have been silent for a day.

The client got what the slot says, up to one write. How much of the prompt was cached is not known any more; it counts
as if all of it had been, so that nobody pays for our crash. An answer of which nothing was handed over never counts.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from undiced.account.errors import DatabaseAwayError, DatabaseError
from undiced.account.expiry import book_all
from undiced.account.forwarding import StuckError, forward
from undiced.account.journal import ENDING, Journal, journal_of
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Outcome
from undiced.account.ledger_tables import OPEN, REQUESTS
from undiced.account.progress import LeftBehind, progress_of
from undiced.account.tables import INSTANCES

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.database import Database

_AT_ONCE = 256
_SILENT_S = 86_400
_AGAIN_S = 30.0
_LAST_S = 1.0
_log = logging.getLogger("undiced.account")


def recover(database: Database, folder: Path) -> int:
    """Settle the open requests of all dead instances whose files are in a folder; returns how many.

    Raises:
        DatabaseAwayError, DatabaseError: the rest is left for another time.
    """
    settled = 0
    for left in LeftBehind.all(folder):
        done, ledger = False, Ledger(database, left.instance_id)
        try:
            _forward(ledger, journal_of(folder, left.instance_id))
            counts = left.counts()
            while rows := _open(database, left.instance_id):
                ledger.run([_outcome(row, counts) for row in rows])
                settled += len(rows)
            done = True
        except StuckError:
            _log.exception("the ledger takes nothing of the journal of %s", left.instance_id)
        finally:
            left.close(settled=done)
    for path in sorted(folder.glob(f"*{ENDING}")):  # of processes that settled everything but what lies here
        instance_id = path.name.removesuffix(ENDING)
        if not progress_of(folder, instance_id).exists():
            with contextlib.suppress(StuckError):
                settled += _forward(Ledger(database, instance_id), path)
    return settled + _give_up(database, folder)


class Watch:
    """Recovers again and again, on a thread of its own, until it is closed: a process that died need not come back for
    its requests to be settled. Books what credit has ended, too.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-recovery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what it does just now may go on for a while if the database is slow."""
        self._closing.set()
        self._thread.join(_LAST_S)

    def _run(self) -> None:
        while not self._closing.wait(_AGAIN_S):
            try:
                settled = recover(self._database, self._folder)
                book_all(self._database)
            except (DatabaseAwayError, DatabaseError):
                continue  # the clerk says so
            except Exception:
                _log.exception("the ledger can't settle what dead processes left open, or book what credit has ended")
                continue
            tell(settled)


def tell(settled: int) -> None:
    """Tell the operator that requests were settled."""
    if settled:
        _log.warning("The ledger settled %d requests that processes left open when they died.", settled)


def _forward(ledger: Ledger, path: Path) -> int:
    """Bring a dead process's journal to the database; returns how many records it held."""
    if not path.exists():
        return 0
    journal, count = Journal(path), 0
    try:
        while len(journal):
            count += forward(ledger, journal)
    finally:
        journal.close()
    return count


def _open(database: Database, instance_id: str) -> list[RowMapping]:
    columns = (REQUESTS.c.id, REQUESTS.c.slot, REQUESTS.c.prompt_tokens)
    query = select(*columns).where(REQUESTS.c.instance_id == instance_id, OPEN).order_by(REQUESTS.c.id).limit(_AT_ONCE)
    with database.read() as transaction:
        return list(transaction.connection.execute(query).mappings())


def _outcome(row: RowMapping, counts: list[int]) -> Outcome:
    slot = row["slot"]
    tokens = counts[slot] if slot is not None and 0 <= slot < len(counts) else 0
    if not tokens:
        return Outcome(row["id"], "released", "error")
    return Outcome(row["id"], "recovered", "error", row["prompt_tokens"], row["prompt_tokens"], tokens)


def _give_up(database: Database, folder: Path) -> int:
    """Release what instances left open that were silent for a day, and whose files are not here; returns how many."""
    table, settled = INSTANCES, 0
    with database.read() as transaction:
        silent = transaction.now - _SILENT_S
        heard = select(table.c.id).where(table.c.heartbeat > silent).scalar_subquery()
        query = select(REQUESTS.c.instance_id).where(OPEN, REQUESTS.c.created_ms < silent * 1000)
        query = query.where(REQUESTS.c.instance_id.not_in(heard)).distinct()
        gone = list(transaction.connection.execute(query).scalars())
    for instance_id in gone:
        if progress_of(folder, instance_id).exists():
            continue
        while rows := _open(database, instance_id):
            Ledger(database, instance_id).run([Outcome(row["id"], "released", "error") for row in rows])
            settled += len(rows)
    return settled
