"""The clerk: the thread that does the ledger's work, all that has come since the last transaction in the next one.

Works are handed in from any thread, and each gets a future. While the database is away, asks fail, or run unseen if the
operator wants that; outcomes go to the journal, from where they are forwarded as soon as it is back. An outcome's
future is done once a crash can't take it any more. Knows no HTTP and no event loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.account.errors import DatabaseAwayError, DatabaseError
from undiced.account.forwarding import StuckError, forward
from undiced.account.ledger_records import Ask, Kept, Late, Outcome, Ticket, Work
from undiced.core.errors import UndicedError

if TYPE_CHECKING:
    from undiced.account.journal import Journal
    from undiced.account.ledger import Answer, Ledger

_AT_ONCE = 64
_WAITING_MOST = 4096
_RETRY_S, _RETRY_MOST_S = 0.5, 8.0
_log = logging.getLogger("undiced.account")
Trouble = DatabaseAwayError | DatabaseError


@dataclass(frozen=True, slots=True)
class _Keeping:
    """What must be kept, and the answer that may be given once it is. `unsure`: the database may have its row."""

    kept: Kept
    done: Future[Answer]
    answer: Answer
    unsure: bool = False


class Clerk:
    """See the file's head. `start` before the first work, `close` after the last.

    Args:
        allow: requests run while the database is away, and are counted later.
        clock: never goes back, in seconds.
    """

    def __init__(
        self, ledger: Ledger, journal: Journal, *, allow: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._journal, self._allow, self._clock = ledger, journal, allow, clock
        self._works: list[tuple[Work, Future[Answer]]] = []
        self._loose: list[_Keeping] = []  # what neither the database nor the disk takes
        self._trouble: Trouble | None = None
        self._again_s, self._pause_s = 0.0, _RETRY_S  # when the database is asked again after trouble
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def hand_in(self, work: Work) -> Future[Answer]:
        """Have a work done. The future of an ask has a `Ticket`, or the error that refuses it.

        Raises:
            DatabaseAwayError: it is an ask, and too many are waiting, or the clerk ends.
        """
        done: Future[Answer] = Future()
        with self._change:
            if isinstance(work, Ask) and (self._closing or len(self._works) >= _WAITING_MOST):
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
        while (works := self._next()) is not None:
            self._safely(self._do, works)
            self._safely(self._catch_up)
        self._again_s = 0.0  # once more, however lately it failed
        while self._waits and self._again_s == 0.0:
            self._safely(self._catch_up)
        if self._loose:
            lost = [one.kept.id for one in self._loose]
            _log.error("the ledger ends, and neither database nor disk took %s: progress files have them", lost)

    def _next(self) -> list[tuple[Work, Future[Answer]]] | None:
        """What is to be done next, or nothing if it is time to catch up; None at the end."""
        with self._change:
            while not self._works and not self._closing:
                pause_s = max(0.0, self._again_s - self._clock()) if self._waits else None
                if not self._change.wait(pause_s) and self._waits:
                    return []
            works, self._works = self._works[:_AT_ONCE], self._works[_AT_ONCE:]
            return works or (None if self._closing else works)

    @property
    def _waits(self) -> bool:
        """Whether something is kept that the database lacks."""
        return bool(self._loose) or len(self._journal) > 0

    def _safely(self, act: Callable[..., None], *given: Sequence[tuple[Work, Future[Answer]]]) -> None:
        """Go on, whatever happens: who waits for an answer gets one."""
        try:
            act(*given)
        except Exception:
            _log.exception("the ledger failed")
            self._rest()
            for work, done in (pair for works in given for pair in works if not pair[1].done()):
                if isinstance(work, Outcome):
                    self._loose.append(_Keeping(work, done, None))
                else:
                    _tell(done, _refusal())

    def _do(self, works: Sequence[tuple[Work, Future[Answer]]]) -> None:
        if not works:
            return
        if self._trouble is not None and self._clock() < self._again_s:
            self._do_without(works, self._trouble, unsure=False)
            return
        early = [(work, done) for work, done in works if self._journal.holds(work.id)]  # their asks come first
        if early:
            self._do_without(early, _BUG, unsure=False)
            works = [pair for pair in works if not self._journal.holds(pair[0].id)]
        try:
            answers = self._ledger.run([work for work, _ in works])
        except (DatabaseAwayError, DatabaseError) as trouble:
            self._failed(trouble)
            self._do_without(works, trouble, unsure=trouble.unsure)
            return
        except Exception:
            _log.exception("the ledger failed at %d works", len(works))
            self._one_by_one(works)
            return
        self._worked()
        for (_, done), answer in zip(works, answers, strict=True):
            _tell(done, answer)

    def _one_by_one(self, works: Sequence[tuple[Work, Future[Answer]]]) -> None:
        """After a bug: what can be done is done, so that one work does not take the others with it."""
        for work, done in works:
            try:
                _tell(done, self._ledger.run([work])[0])
            except Exception as error:
                trouble = error if isinstance(error, Trouble) else _BUG
                self._do_without([(work, done)], trouble, unsure=trouble.unsure)

    def _do_without(self, works: Sequence[tuple[Work, Future[Answer]]], trouble: Trouble, *, unsure: bool) -> None:
        """What can be done without the database. An ask that may be in it nevertheless is taken back there."""
        keeping, now_ms = [], time.time_ns() // 1_000_000
        for work, done in works:
            if isinstance(work, Outcome):
                keeping.append(_Keeping(work, done, None))
            elif isinstance(work, Ask) and self._allow and trouble is not _BUG:
                keeping.append(_Keeping(Late(work, now_ms), done, Ticket(work.id, work.max_tokens), unsure))
            elif isinstance(work, Ask) and unsure:
                keeping.append(_taken_back(work.id, done))
            else:
                _tell(done, _refusal() if isinstance(work, Ask) else None)
        self._keep(keeping)

    def _keep(self, keeping: Sequence[_Keeping]) -> None:
        """Bring them to the journal; what that does not take stays in memory, and asks are refused then."""
        if not keeping:
            return
        try:
            self._journal.append([one.kept for one in keeping])
        except OSError as error:
            if not self._loose:
                _log.error("the journal can't be written, %d outcomes wait in memory: %s", len(keeping), error)
            for one in keeping:
                if isinstance(one.kept, Outcome):
                    self._loose.append(one)
                elif one.unsure:
                    self._loose.append(_taken_back(one.kept.id, one.done))
                else:
                    _tell(one.done, _refusal())
            return
        for one in keeping:
            _tell(one.done, one.answer)

    def _catch_up(self) -> None:
        """Bring what is kept to the database, the oldest first, as far as it takes it now."""
        if not self._waits or self._clock() < self._again_s:
            return
        if self._loose:
            loose, self._loose = self._loose, []
            self._keep(loose)
        try:
            if len(self._journal):
                count = forward(self._ledger, self._journal)
                _log.info("The ledger has forwarded %d records; %d wait.", count, len(self._journal))
            elif self._loose:
                self._ledger.forward([one.kept for one in self._loose])
                loose, self._loose = self._loose, []
                for one in loose:
                    _tell(one.done, one.answer)
        except (DatabaseAwayError, DatabaseError) as trouble:
            self._failed(trouble)
        except StuckError:
            _log.exception("the ledger takes nothing of its journal")
            self._rest()
        else:
            self._worked()
            self._again_s, self._pause_s = 0.0, _RETRY_S

    def _failed(self, trouble: Trouble) -> None:
        """Leave the database alone for a while."""
        if self._trouble is None:
            _log.warning("The ledger does without its database. %s", trouble)
        self._trouble = trouble
        self._rest()

    def _rest(self) -> None:
        """Try again later, each time after a longer while."""
        self._again_s = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _RETRY_MOST_S)

    def _worked(self) -> None:
        if self._trouble is not None:
            _log.warning("The ledger has its database again; %d records wait for it.", len(self._journal))
            self._trouble, self._again_s, self._pause_s = None, 0.0, _RETRY_S


_BUG = DatabaseError("The ledger failed.", remedy="Try again.")


def _refusal() -> DatabaseAwayError:
    """What a request is told: nothing of the database, and each gets its own, as a raised error keeps where it was."""
    return DatabaseAwayError("Requests can't be counted now.", remedy="Try again.", retry_after_s=1.0)


def _taken_back(request: str, done: Future[Answer]) -> _Keeping:
    """A request that is refused, though the database may have its row."""
    return _Keeping(Outcome(request, "released", "error"), done, _refusal())


def _tell(done: Future[Answer], answer: Answer) -> None:
    """Hand an answer over."""
    if isinstance(answer, UndicedError):
        done.set_exception(answer)
    else:
        done.set_result(answer)
