"""The ledger: what requests may run, what they took, and what they cost. Many at once, in one transaction.

An ask is admitted if every limit of its organization, project and key has room for it and the balance covers it; its
row is committed before anything runs. An outcome closes its row once, whoever brings it and however often. What is
locked is locked in one order: requests, limits, budgets, wallets, each by id; so transactions wait for each other, and
never for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from undiced.account.absences import Absences
from undiced.account.changes import COUNTER
from undiced.account.counters import DAY_S, Counters
from undiced.account.errors import HeldBackError, InsufficientCreditError
from undiced.account.ledger_records import Ask, Kept, Late, Outcome, Ticket, TopUp, Work
from undiced.account.ledger_tables import CHARGES, OPEN, REQUESTS
from undiced.account.purses import Purses
from undiced.account.spending import Spending
from undiced.account.statements import ListStatement, Statement, among
from undiced.account.tariff import Tariff
from undiced.core.errors import UndicedError

if TYPE_CHECKING:
    from types import ModuleType

    from sqlalchemy import RowMapping

    from undiced.account.database import Database, Transaction
    from undiced.account.ledger_records import Standing
    from undiced.account.money import Rates

Answer = Ticket | UndicedError | None
_ADD = Statement(insert(REQUESTS), [column.name for column in REQUESTS.c if column.name != "finished_ms"])
_READ = ListStatement(
    lambda ids: select(REQUESTS).where(among(REQUESTS.c.id, 0, ids), OPEN).order_by(REQUESTS.c.id).with_for_update()
)
_COUNTER = Statement(COUNTER)
_KNOWN = select(REQUESTS.c.id).where(REQUESTS.c.id.in_(bindparam("ids", expanding=True)))
_ROW = REQUESTS.c.id == bindparam("row")
_HOLD = Statement(update(REQUESTS).where(_ROW).values(held=bindparam("held")))
_ENDED = (
    "state", "finish_reason", "finished_ms", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens",
    "charge",
)  # fmt: skip
_NOTHING = dict.fromkeys(("reserved", "pledged"), text("0"))
_CLOSE = Statement(update(REQUESTS).where(_ROW).values({**{name: bindparam(name) for name in _ENDED}, **_NOTHING}))
_SUMS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")
_PLACES = ("org_id", "project_id", "key_id", "model")


class Ledger:
    """See the file's head.

    Args:
        instance_id: of this process; by it rows are found after its death.
    """

    def __init__(self, database: Database, instance_id: str) -> None:
        self._database = database
        self._instance_id = instance_id
        self._absences = Absences()

    def run(self, works: Sequence[Work]) -> list[Answer]:
        """Do all of it, in one transaction: outcomes, then top-ups, then asks in their order.

        Returns:
            For each ask its ticket, or why it is refused; None for the others, which nothing refuses.

        Raises:
            DatabaseAwayError, DatabaseError: nothing of it was done.
        """
        with self._database.write() as transaction:
            page = _Page(transaction, works, self._instance_id, self._absences)
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
            page.write()
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
        with self._database.write() as transaction:
            ids = [one.id for one in late]
            known = set(transaction.connection.execute(_KNOWN, {"ids": ids}).scalars())
            asks = [one.ask for one in late if one.id not in known]
            page = _Page(
                replace(transaction, now_ms=min(at_ms, transaction.now_ms)), asks, self._instance_id, self._absences
            )
            for ask in asks:
                page.let_in(ask)
            page.write()


class _Page:
    """The rows that one transaction works on."""

    def __init__(self, transaction: Transaction, works: Sequence[Work], instance_id: str, absences: Absences) -> None:
        self._transaction, self._instance_id = transaction, instance_id
        self._connection = transaction.connection
        absences.see(int(str(_COUNTER.one(self._connection, {}).scalar_one())))
        asks = [work for work in works if isinstance(work, Ask)]
        self._open = self._rows(sorted({work.id for work in works if not isinstance(work, Ask)}))
        rows = self._open.values()
        subjects = [one for ask in asks for one in (ask.org_id, ask.project_id, ask.key_id)]
        self._counters = Counters(self._connection, absences, subjects, _limits(rows), transaction.now_ms)
        self._spending = Spending(transaction, absences, subjects)
        self._purses = Purses(transaction, absences, [*(ask.org_id for ask in asks), *(row["org_id"] for row in rows)])
        self._tariff = Tariff(transaction, absences, [*(ask.model for ask in asks), *(row["model"] for row in rows)])
        self._new: list[dict[str, object]] = []
        self._held: dict[str, str] = {}
        self._closed: dict[str, dict[str, object]] = {}
        self._sums: dict[tuple[object, ...], list[int]] = {}

    def _rows(self, ids: Sequence[str]) -> dict[str, RowMapping]:
        if not ids:
            return {}
        return {row["id"]: row for row in _READ.run(self._connection, ids).mappings()}

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
        price_id, rates = self._tariff.of(ask.model)
        permille = rates.permille(ask.tier)
        purse = self._purses.of(ask.org_id)
        if purse is not None and purse.prepaid:
            ask = _covered(ask, purse.free, rates, permille)
        worst = rates.worst(ask.prompt_tokens, ask.max_tokens * ask.choices, permille)
        self._counters.see_room(ask)
        over = self._spending.reserve(ask, worst)
        return Ticket(ask.id, ask.max_tokens, self._enter(ask, price_id, permille, worst), over)

    def let_in(self, ask: Ask) -> None:
        """A row for a request that nobody refuses any more."""
        price_id, rates = self._tariff.of(ask.model)
        permille = rates.permille(ask.tier)
        worst = rates.worst(ask.prompt_tokens, ask.max_tokens * ask.choices, permille)
        self._enter(ask, price_id, permille, worst)

    def _enter(self, ask: Ask, price_id: str | None, permille: int, worst: int) -> tuple[Standing, ...]:
        """Count a request and make its row; returns how its limits stand."""
        held, standings = self._counters.take(ask)
        purse = self._purses.of(ask.org_id)
        if purse is not None:
            purse.reserved += worst
        self._new.append(
            {name: getattr(ask, name) for name in ("id", "request_id", *_PLACES, "prompt_tokens", "slot")}
            | {"instance_id": self._instance_id, "state": "open", "price_id": price_id, "held": held}
            | {"permille": permille, "reserved": worst, "pledged": 0 if purse is None else worst}
            | {"held_tokens": ask.expected_tokens, "created_ms": self._transaction.now_ms}
            | dict.fromkeys(("cached_tokens", "completion_tokens", "reasoning_tokens", "charge"), 0)
            | {"finish_reason": ""}
        )
        return standings

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

    def write(self) -> None:
        """Store everything."""
        if self._closed:
            _CLOSE.each(self._connection, list(self._closed.values()))
        if self._held:
            _HOLD.each(self._connection, [{"row": one, "held": held} for one, held in self._held.items()])
        self._counters.write()
        self._purses.write()
        if self._new:
            _ADD.each(self._connection, self._new)
        if self._sums:
            names = (*_PLACES, "day", *_SUMS)
            rows = [dict(zip(names, (*key, *self._sums[key]), strict=True)) for key in sorted(self._sums)]
            _SUM[self._connection.dialect.name].each(self._connection, rows)


def _summing(dialect: ModuleType) -> Statement:
    """Adds to the sums of a day."""
    row = dialect.insert(CHARGES)
    more = {name: CHARGES.c[name] + row.excluded[name] for name in _SUMS}
    upsert = row.on_conflict_do_update(index_elements=(*_PLACES, "day"), set_=more)
    return Statement(upsert, [column.name for column in CHARGES.c])


_SUM = {"sqlite": _summing(sqlite), "postgresql": _summing(postgresql)}


def _covered(ask: Ask, free: int, rates: Rates, permille: int) -> Ask:
    """An ask with no longer an answer than a balance covers.

    Raises:
        InsufficientCreditError: not even one token of it.
    """
    most = rates.most_output(free, ask.prompt_tokens, permille) // ask.choices
    if most < min(1, ask.max_tokens):
        raise InsufficientCreditError(
            "The balance does not cover one token more.", remedy="Add credit to the organization."
        )
    expected = min(ask.expected_tokens, most * ask.choices)
    return replace(ask, max_tokens=min(ask.max_tokens, most), expected_tokens=expected)


def _limits(rows: Iterable[RowMapping]) -> set[str]:
    """The limits that open requests were counted in."""
    return {limit_id for row in rows for limit_id in json.loads(row["held"])}
