"""Meter: lets an answer begin that its caller's limits and balance cover, counts what of it is handed over, and settles
it with what it says. Knows the ledger's clerk, and no HTTP but the headers that tell how limits stand.

Only requests of an organization are metered. A row is open from before the engine sees the request until its outcome is
with the clerk; what a crash leaves open is settled from the progress file.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from undiced.account.errors import DatabaseAwayError, DatabaseError, HeldBackError
from undiced.account.ledger_records import Ask, Outcome, Ticket, TopUp
from undiced.api.allowances import AllowanceReader
from undiced.api.countings import Countings
from undiced.api.known_limits import KnownLimits
from undiced.api.standing import BUDGET, MOST_TOKENS, standing_headers
from undiced.core.errors import UndicedError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from undiced.account.accounts import Accounts
    from undiced.account.allowances import Allowances
    from undiced.account.clerk import Clerk
    from undiced.account.estimates import Estimates
    from undiced.account.keyring import Caller
    from undiced.account.ledger import Answer
    from undiced.account.money import ServiceClass
    from undiced.account.progress import Progress
    from undiced.account.recovery import Watch
    from undiced.remote.way import Meter as Place

Admit = Callable[..., Awaitable["Bill"]]
_PATIENCE_S = 0.5  # for lengths of earlier answers
_TOP_UP_TOKENS = 256  # at least: a long answer is charged in pieces of this size


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants, in numbers. `max_tokens`: of each of its `choices`."""

    request_id: str
    model: str
    prompt_tokens: int
    max_tokens: int
    choices: int
    service_class: ServiceClass = "default"


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of an answer, as it says them itself."""

    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(slots=True)
class Bill:
    """A running answer as the ledger knows it.

    Attributes:
        max_tokens: the most of each answer that is covered. headers: of the response.
        handed: whether any token was handed over.
    """

    max_tokens: int
    headers: dict[str, str]
    _clerk: Clerk
    _progress: Progress
    _ticket: str
    _slot: int
    _learn: tuple[Estimates, str, str]
    _covered: int  # tokens that the limits were charged for
    handed: bool = False
    _closed: bool = field(default=False)

    def told(self, tokens: int) -> None:
        """So many tokens of the answer were handed over."""
        self._progress.store(self._slot, tokens)
        self.handed = self.handed or tokens > 0
        if tokens > self._covered:
            more = max(_TOP_UP_TOKENS, tokens - self._covered)
            self._covered += more
            self._clerk.hand_in(TopUp(self._ticket, more))

    def meter(self, tokens: int) -> Place | None:
        """Where others may store how many tokens were handed over, `tokens` at first, and how many they may become
        without a word to the ledger. None if the next one needs a word.
        """
        known = self.handed and tokens <= self._covered
        return (self._progress.cell(self._slot), tokens, self._covered) if known else None

    def settle(self, counts: Counts, reason: str) -> None:
        """The answer has ended, with this account. Only the first word about its end counts."""
        estimates, key_id, model = self._learn
        if counts.completion_tokens and not self._closed:
            estimates.learn(key_id, model, counts.completion_tokens)
        self._close(Outcome(self._ticket, "settled", reason, *astuple(counts)))

    def release(self, reason: str) -> None:
        """Nothing of the answer reached anybody: it costs nothing. Only the first word about its end counts."""
        self._close(Outcome(self._ticket, "released", reason))

    def _close(self, outcome: Outcome) -> None:
        if self._closed:
            return
        self._closed = True
        done, slot = self._clerk.hand_in(outcome), self._slot
        done.add_done_callback(lambda _: self._progress.give(slot))  # until then a crash is settled from the slot


class Meter:
    """See the file's head.

    Attributes:
        allowances: how limits and balances stand. known: how limits stood when they were last seen. countings: requests
            that are not metered.
    """

    def __init__(
        self, clerk: Clerk, estimates: Estimates, progress: Progress, watch: Watch, allowances: Allowances
    ) -> None:
        self._clerk, self._estimates, self._progress, self._watch = clerk, estimates, progress, watch
        self._reader = ThreadPoolExecutor(1, "estimates")
        self.allowances = AllowanceReader(allowances)
        self.known = KnownLimits(allowances.limits, self._reader)
        self.countings = Countings(self.known)

    async def admit(self, caller: Caller, wanted: Wanted, *, anthropic: bool = False) -> Bill:
        """Let a request begin.

        Raises:
            LimitExceededError: a limit has no room now. NeverEnoughError: it never will.
            InsufficientCreditError: the balance does not cover a token. DatabaseAwayError: that can't be said now.
        """
        assert caller.org_id is not None
        assert caller.project_id is not None
        most = wanted.max_tokens * wanted.choices
        expected = await self._expected(caller.key_id, wanted, most)
        slot = self._progress.take()
        if slot is None:
            raise DatabaseAwayError("Too many answers run at once.", remedy="Try again.", retry_after_s=1.0)
        ask = Ask(
            wanted.request_id, caller.org_id, caller.project_id, caller.key_id, wanted.model, wanted.prompt_tokens,
            wanted.max_tokens, wanted.choices, expected, wanted.service_class, slot,
        )  # fmt: skip
        try:
            ticket = await self._ticket(ask, slot)
        except HeldBackError as refusal:
            self.known.saw(caller, wanted.model, refusal.standings)
            raise
        if ticket.standings is None:
            ticket = replace(ticket, standings=self.known.recalled(caller, wanted.model))
        else:
            self.known.saw(caller, wanted.model, ticket.standings)
        return Bill(
            ticket.max_tokens,
            _headers(ticket, wanted, anthropic=anthropic),
            self._clerk,
            self._progress,
            ticket.id,
            slot,
            (self._estimates, caller.key_id, wanted.model),
            min(expected, ticket.max_tokens * wanted.choices),
        )

    async def _ticket(self, ask: Ask, slot: int) -> Ticket:
        """Let the clerk admit an ask. If it is refused, or nobody waits for it any more, the slot is given back: once
        the database has no open row of it.
        """
        try:
            done = self._clerk.hand_in(ask)
        except UndicedError:
            self._progress.give(slot)
            raise
        try:
            ticket = await asyncio.shield(asyncio.wrap_future(done))
        except BaseException:
            done.add_done_callback(partial(self._give_back, slot))
            raise
        assert isinstance(ticket, Ticket)
        return ticket

    def _give_back(self, slot: int, done: Future[Answer]) -> None:
        ticket = None if done.exception() else done.result()
        if isinstance(ticket, Ticket):
            done = self._clerk.hand_in(Outcome(ticket.id, "released", "cancelled"))
            done.add_done_callback(lambda _: self._progress.give(slot))
        else:
            self._progress.give(slot)

    def close(self) -> None:
        """Settle what has ended, and let everything go. What still runs is settled by the next process."""
        self._reader.shutdown(cancel_futures=True)
        self.allowances.close()
        self._watch.close()
        self._clerk.close()
        self._progress.close()

    async def _expected(self, key_id: str, wanted: Wanted, most: int) -> int:
        """Tokens that limits are charged for in advance. What the database does not tell soon is assumed: whether
        anything runs without it is the clerk's business.
        """
        estimates, model = self._estimates, wanted.model
        if not estimates.knows(key_id, model):
            fetched = asyncio.get_running_loop().run_in_executor(self._reader, estimates.fetch, key_id, model)
            with contextlib.suppress(DatabaseAwayError, DatabaseError, TimeoutError):
                estimates.keep(key_id, model, await asyncio.wait_for(fetched, _PATIENCE_S))
        return min(most, estimates.expected(key_id, model, most))


def open_meter(accounts: Accounts, instance_id: str, *, allow: bool = False) -> Meter:
    """A meter for this process, after what dead ones left open is settled. Waits for the database and the disk.

    Args:
        allow: requests run while the database is away, and are counted later.

    Raises:
        DatabaseError: the ledger's folder or the database can't be written. DatabaseAwayError: it does not answer.
    """
    from undiced.account.accounts import ledger_folder
    from undiced.account.clerk import Clerk
    from undiced.account.estimates import Estimates
    from undiced.account.journal import Journal, journal_of
    from undiced.account.ledger import Ledger
    from undiced.account.progress import Progress
    from undiced.account.recovery import Watch, recover, tell

    database, folder = accounts.database, ledger_folder(accounts.database)
    tell(recover(database, folder))
    progress = Progress(folder, instance_id)
    clerk = Clerk(Ledger(database, instance_id), Journal(journal_of(folder, instance_id)), allow=allow)
    clerk.start()
    return Meter(clerk, Estimates(database), progress, Watch(database, folder), accounts.allowances)


def metering(meter: Meter | None, caller: Caller | None, wanted: Wanted) -> Admit | None:
    """What lets a request begin; None where it is not metered."""
    return None if meter is None or caller is None else partial(meter.admit, caller, wanted)


def _headers(ticket: Ticket, wanted: Wanted, *, anthropic: bool) -> dict[str, str]:
    headers = standing_headers(ticket.standings or (), time.time(), anthropic=anthropic)
    if ticket.max_tokens < wanted.max_tokens:
        headers[MOST_TOKENS] = str(ticket.max_tokens)
    if ticket.over_budget:
        headers[BUDGET] = ",".join(ticket.over_budget)
    return headers
