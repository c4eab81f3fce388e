"""The ledger: what requests may run, what they took, and what they cost. Many at once, in one transaction.

An ask is admitted if every limit of its organization, project and key has room for it and the balance covers it; its
row is committed before anything runs. An outcome closes its row once, whoever brings it and however often. What is
locked is locked in one order: requests, limits, budgets, wallets, each by id; so transactions wait for each other, and
never for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from undiced.account.counters import DAY_S, Counters
from undiced.account.counters import LOCKED as LIMITS_LOCKED
from undiced.account.errors import HeldBackError, InsufficientCreditError
from undiced.account.ledger_records import Ask, Kept, Late, Outcome, Ticket, TopUp, Work
from undiced.account.ledger_tables import CHARGES, REQUESTS
from undiced.account.purses import CREDITS_LEFT, Purses
from undiced.account.purses import LOCKED as WALLETS_LOCKED
from undiced.account.spending import LOCKED as BUDGETS_LOCKED
from undiced.account.spending import Spending
from undiced.account.statements import Order, Statement, among
from undiced.account.tariff import OF_MODELS as PRICES_OF_MODELS
from undiced.account.tariff import Tariff
from undiced.core.errors import UndicedError

if TYPE_CHECKING:
    from types import ModuleType

    from undiced.account.database import Database, Transaction
    from undiced.account.exchange import Rows

Answer = Ticket | UndicedError | None
_ADD = Statement(insert(REQUESTS), [column.name for column in REQUESTS.c if column.name != "finished_ms"])
# whether they are open is seen here: told so, planners read the index of all that are
_READ = Statement(select(REQUESTS).where(among(REQUESTS.c.id, "ids")).order_by(REQUESTS.c.id).with_for_update())
_KNOWN = Statement(select(REQUESTS.c.id).where(among(REQUESTS.c.id, "ids")))
_ROW = REQUESTS.c.id == bindparam("row")
_HOLD = Statement(update(REQUESTS).where(_ROW).values(held=bindparam("held")))
_ENDED = (
    "state", "finish_reason", "finished_ms", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens",
    "charge",
)  # fmt: skip
_NOTHING = dict.fromkeys(("reserved", "pledged"), text("0"))
_CLOSE = Statement(update(REQUESTS).where(_ROW).values({**{name: bindparam(name) for name in _ENDED}, **_NOTHING}))
_SUMS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")
_SUBJECTS = ("org_id", "project_id", "key_id")
_PLACES = (*_SUBJECTS, "model")


class Ledger:
    """See the file's head.

    Args:
        instance_id: of this process; by it rows are found after its death.
    """

    def __init__(self, database: Database, instance_id: str) -> None:
        self._database = database
        self._instance_id = instance_id

    def run(self, works: Sequence[Work]) -> list[Answer]:
        """Do all of it, in one transaction: outcomes, then top-ups, then asks in their order.

        Returns:
            For each ask its ticket, or why it is refused; None for the others, which nothing refuses.

        Raises:
            DatabaseAwayError, DatabaseError: nothing of it was done.
        """
        ids = sorted({work.id for work in works if not isinstance(work, Ask)})
        with self._database.write(_READ.of(ids=ids)) as transaction:
            page = _Page(transaction, works, transaction.first[0], self._instance_id)
            answers: list[Answer] = [None] * len(works)
            for work in works:
                if isinstance(work, Outcome):
                    page.close(work)
            for work in works:
                if isinstance(work, TopUp):
                    page.top_up(work)
            for place, work in enumerate(works):
                if isinstance(work, Ask):
                    answers[place] = page.admit(work)
            transaction.leave(*page.changes())
        return answers

    def forward(self, kept: Sequence[Kept]) -> None:
        """Bring what was kept while the database was away, in its order. Whatever of it is here already counts once.

        Raises:
            DatabaseAwayError, DatabaseError: only some of it was done.
        """
        late = [one for one in kept if isinstance(one, Late)]
        for second, asks in groupby(late, lambda one: one.at_ms // 1000):
            self._let_in(second * 1000, list(asks))
        if outcomes := [one for one in kept if isinstance(one, Outcome)]:
            self.run(outcomes)

    def _let_in(self, at_ms: int, late: Sequence[Late]) -> None:
        """Rows for requests that run or ran already, at the prices of that second."""
        with self._database.write(_KNOWN.of(ids=[one.id for one in late])) as transaction:
            known = {row["id"] for row in transaction.first[0]}
            asks = [one.ask for one in late if one.id not in known]
            then = replace(transaction, now_ms=min(at_ms, transaction.now_ms))
            page = _Page(then, asks, (), self._instance_id)
            for ask in asks:
                page.let_in(ask)
            transaction.leave(*page.changes())


class _Page:
    """The rows that one transaction works on."""

    def __init__(self, transaction: Transaction, works: Sequence[Work], named: Rows, instance_id: str) -> None:
        self._transaction, self._instance_id = transaction, instance_id
        self._open = {row["id"]: row for row in named if row["state"] == "open"}
        asks = [{name: getattr(work, name) for name in _PLACES} for work in works if isinstance(work, Ask)]
        rows = [{name: row[name] for name in _PLACES} for row in self._open.values()]
        orgs, models = _all(asks + rows, "org_id"), _all(asks + rows, "model")
        askers, subjects = _all(asks, *_SUBJECTS), _all(asks + rows, *_SUBJECTS)
        limits, budgets, wallets, credits, prices = transaction.run(
            LIMITS_LOCKED.of(subjects=subjects, models=["", *models]),
            BUDGETS_LOCKED.of(subjects=askers),
            WALLETS_LOCKED.of(orgs=orgs),
            CREDITS_LEFT.of(orgs=orgs),
            PRICES_OF_MODELS.of(models=models),
        )
        self._counters = Counters(limits, transaction.now_ms)
        self._spending = Spending.read(transaction, askers) if budgets else Spending({})
        self._purses = Purses(wallets, credits, transaction.now)
        self._tariff = Tariff(prices, transaction.now)
        self._new: list[dict[str, object]] = []
        self._held: dict[str, str] = {}
        self._closed: dict[str, dict[str, object]] = {}
        self._sums: dict[tuple[object, ...], list[int]] = {}

    def admit(self, ask: Ask) -> Ticket | UndicedError:
        """A row for a request, or why there is none."""
        try:
            return self._admit(ask)
        except HeldBackError as refusal:
            refusal.standings = self._counters.standings(ask)
            return refusal
        except UndicedError as refusal:
            return refusal

    def _admit(self, ask: Ask) -> Ticket:
        terms, purse = self._tariff.terms(ask), self._purses.of(ask.org_id)
        if purse is not None and purse.prepaid:
            ask = _covered(ask, terms.longest(ask, purse.free))
        self._counters.see_room(ask)
        over = self._spending.reserve(ask, terms.worst(ask))
        return self.let_in(ask, over)

    def let_in(self, ask: Ask, over: tuple[str, ...] = ()) -> Ticket:
        """Count a request, which nobody refuses any more, and make its row. `over`: budgets that are used up."""
        terms, purse = self._tariff.terms(ask), self._purses.of(ask.org_id)
        worst = terms.worst(ask)
        held, standings = self._counters.take(ask)
        if purse is not None:
            purse.reserved += worst
        self._new.append(
            {name: getattr(ask, name) for name in ("id", "request_id", *_PLACES, "prompt_tokens", "slot")}
            | {"instance_id": self._instance_id, "state": "open", "price_id": terms.price_id, "held": held}
            | {"permille": terms.permille, "reserved": worst, "pledged": 0 if purse is None else worst}
            | {"held_tokens": ask.expected_tokens, "created_ms": self._transaction.now_ms}
            | dict.fromkeys(("cached_tokens", "completion_tokens", "reasoning_tokens", "charge"), 0)
            | {"finish_reason": ""}
        )
        return Ticket(ask.id, ask.max_tokens, standings, over)

    def top_up(self, more: TopUp) -> None:
        """Count further tokens of an answer that still runs."""
        if (row := self._open.get(more.id)) is not None and more.id not in self._closed:
            self._held[more.id] = self._counters.top_up(self._held.get(more.id, row["held"]), more.tokens)

    def close(self, outcome: Outcome) -> None:
        """End a request, if it has not ended: once, whoever says so."""
        row = self._open.get(outcome.id)
        if row is None or outcome.id in self._closed:
            return
        self._counters.settle(row["held"], outcome)
        released, tokens = outcome.state == "released", (outcome.prompt_tokens, outcome.cached_tokens)
        rates = self._tariff.rates(row["price_id"])
        charge = 0 if released else rates.charge(*tokens, outcome.completion_tokens, row["permille"])
        charge = self._purses.charge(row["org_id"], outcome.id, row["pledged"], charge)
        counts = (*tokens, outcome.completion_tokens, outcome.reasoning_tokens, charge)
        names = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")
        self._closed[outcome.id] = {
            "row": outcome.id,
            "state": outcome.state,
            "finish_reason": outcome.finish_reason,
            "finished_ms": max(self._transaction.now_ms, row["created_ms"]),
            **dict(zip(names, counts, strict=True)),
        }
        if not released:
            day = row["created_ms"] // (DAY_S * 1000)
            sums = self._sums.setdefault((*(row[name] for name in _PLACES), day), [0] * len(_SUMS))
            for place, count in enumerate((1, *counts)):
                sums[place] += count

    def changes(self) -> list[Order]:
        """What stores everything."""
        names = (*_PLACES, "day", *_SUMS)
        sums = [dict(zip(names, (*key, *self._sums[key]), strict=True)) for key in sorted(self._sums)]
        return [
            *_CLOSE.each(list(self._closed.values())),
            *_HOLD.each([{"row": one, "held": held} for one, held in self._held.items()]),
            *self._counters.changes(),
            *self._purses.changes(),
            *_ADD.each(self._new),
            *_SUM[self._transaction.connection.dialect.name].each(sums),
        ]


def _summing(dialect: ModuleType) -> Statement:
    """Adds to the sums of a day."""
    row = dialect.insert(CHARGES)
    more = {name: CHARGES.c[name] + row.excluded[name] for name in _SUMS}
    upsert = row.on_conflict_do_update(index_elements=(*_PLACES, "day"), set_=more)
    return Statement(upsert, [column.name for column in CHARGES.c])


_SUM = {"sqlite": _summing(sqlite), "postgresql": _summing(postgresql)}


def _covered(ask: Ask, most: int) -> Ask:
    """An ask whose answers are no longer than a balance covers.

    Raises:
        InsufficientCreditError: not even one token of them.
    """
    if most < min(1, ask.max_tokens):
        raise InsufficientCreditError(
            "The balance does not cover one token more.", remedy="Add credit to the organization."
        )
    expected = min(ask.expected_tokens, most * ask.choices)
    return replace(ask, max_tokens=min(ask.max_tokens, most), expected_tokens=expected)


def _all(places: Sequence[Mapping[str, str]], *names: str) -> list[str]:
    """All that stands under some names."""
    return sorted({place[name] for place in places for name in names})
