"""The clerk: the thread that does the ledger's work, all that has come since the last transaction in the next one.

Works are handed in from any thread, and each gets a future. While the database is away, asks fail and outcomes go to
the journal, from where they are forwarded as soon as it is back. Knows no HTTP and no event loop.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from undiced.account.errors import DatabaseAwayError, DatabaseError
from undiced.account.ledger_records import Ask, Outcome, Ticket, Work
from undiced.core.errors import UndicedError

if TYPE_CHECKING:
    from undiced.account.journal import Journal
    from undiced.account.ledger import Answer, Ledger

_AT_ONCE = 64
_WAITING_MOST = 4096
_RETRY_S = 0.5
_log = logging.getLogger("undiced.account")


class Clerk:
    """See the file's head. `start` before the first work, `close` after the last."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        self._ledger, self._journal = ledger, journal
        self._works: list[tuple[Work, Future[Answer]]] = []
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def hand_in(self, work: Work) -> Future[Answer]:
        """Have a work done. The future of an ask has a `Ticket`, or the error that refuses it.

        Raises:
            DatabaseAwayError: it is an ask, and too many are waiting.
        """
        done: Future[Answer] = Future()
        with self._change:
            if len(self._works) >= _WAITING_MOST and isinstance(work, Ask):
                raise DatabaseAwayError("The ledger is busy.", remedy="Try again.", retry_after_s=1.0)
            self._works.append((work, done))
            self._change.notify()
        return done

    def close(self) -> None:
        """Do what is waiting, and end. What the database does not take is in the journal."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()
        self._journal.close()

    def _run(self) -> None:
        while True:
            with self._change:
                retry = _RETRY_S if len(self._journal) else None
                self._change.wait_for(lambda: bool(self._works) or self._closing, timeout=retry)
                works, self._works = self._works[:_AT_ONCE], self._works[_AT_ONCE:]
                if not works and self._closing:
                    break
            if works:
                self._do(works)
            if len(self._journal):
                self._forward()
        self._forward()

    def _do(self, works: Sequence[tuple[Work, Future[Answer]]]) -> None:
        try:
            answers = self._ledger.run([work for work, _ in works])
        except (DatabaseAwayError, DatabaseError) as error:
            self._put_off([work for work, _ in works if isinstance(work, Outcome)], error)
            answers = [None if isinstance(work, Outcome) else error for work, _ in works]
        except Exception:
            _log.exception("the ledger failed at %d works", len(works))
            self._one_by_one(works)
            return
        for (_, done), answer in zip(works, answers, strict=True):
            self._tell(done, answer)

    def _one_by_one(self, works: Sequence[tuple[Work, Future[Answer]]]) -> None:
        """After a bug: what can be done is done, so that one work does not take the others with it."""
        for work, done in works:
            try:
                self._tell(done, self._ledger.run([work])[0])
            except Exception as error:
                if isinstance(work, Outcome):
                    self._put_off([work], error)
                self._tell(done, DatabaseError("The ledger failed.", remedy="Try again."))

    def _tell(self, done: Future[Answer], answer: Answer) -> None:
        """Hand an answer over; a ticket that nobody waits for any more is given back."""
        if not done.set_running_or_notify_cancel():
            if isinstance(answer, Ticket):
                self.hand_in(Outcome(answer.id, "released", "cancelled"))
        elif isinstance(answer, UndicedError):
            done.set_exception(answer)
        else:
            done.set_result(answer)

    def _put_off(self, outcomes: Sequence[Outcome], why: Exception) -> None:
        if not outcomes:
            return
        try:
            self._journal.append(outcomes)
            _log.warning("The ledger keeps %d outcomes in its journal. %s", len(self._journal), why)
        except OSError:
            _log.exception("the journal failed: %s are lost", [outcome.id for outcome in outcomes])

    def _forward(self) -> None:
        """Bring the journal to the database, as far as it takes it."""
        with contextlib.suppress(DatabaseAwayError, DatabaseError):
            while outcomes := self._journal.waiting(_AT_ONCE):
                try:
                    self._ledger.run(outcomes)
                except (DatabaseAwayError, DatabaseError):
                    raise
                except Exception:
                    outcomes = outcomes[:1]
                    self._force(outcomes[0])
                self._journal.forwarded(len(outcomes))
                _log.info("The ledger has forwarded %d outcomes; %d wait.", len(outcomes), len(self._journal))

    def _force(self, outcome: Outcome) -> None:
        """Bring one outcome to the database; one that it never takes is told to whoever reads the log."""
        try:
            self._ledger.run([outcome])
        except (DatabaseAwayError, DatabaseError):
            raise
        except Exception:
            _log.exception("the ledger never takes %s", outcome)
