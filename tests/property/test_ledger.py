"""The ledger against an obvious twin of fractions and dictionaries: whatever is asked, topped up and settled, in groups
of whatever size, through whichever of four processes and however often, both admit the same requests, and every sum is
the sum of its parts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.databases import PEPPER, pepper, server, server_emptied, sqlite_template  # noqa: F401
from support.ledgers import OPERATOR, RATES, Books

from undiced.account.accounts import Accounts
from undiced.account.bucket import Bucket
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Ask, Outcome, Ticket, TopUp, Work

WINDOWS = {"rpm": 60, "tpm": 60, "utph": 3600, "concurrency": 0}
METRICS = {"rpm": "requests", "tpm": "tokens", "utph": "uncached_tokens", "concurrency": "concurrency"}
CAPACITY = {
    "rpm": st.integers(1, 12),
    "tpm": st.integers(50, 900),
    "utph": st.integers(50, 2000),
    "concurrency": st.integers(1, 6),
}
CAPACITIES = st.fixed_dictionaries({}, optional=CAPACITY)
NEW = st.tuples(st.just("ask"), st.integers(0, 60), st.integers(0, 200), st.integers(1, 3), st.integers(0, 80))
MORE = st.tuples(st.just("more"), st.integers(0, 20), st.integers(1, 200))
END = st.tuples(
    st.sampled_from(("settled", "released", "recovered")), st.integers(0, 20), st.integers(0, 60), st.integers(0, 300)
)
PROCESSES = 4
GROUP = st.tuples(st.integers(0, PROCESSES - 1), st.integers(-2000, 90_000), st.lists(NEW | MORE | END, max_size=8))
GROUPS = st.lists(GROUP, max_size=12)


@dataclass
class Running:
    prompt: int
    most: int
    held: dict[str, int]
    reserved: int


@dataclass
class Twin:
    """The rules once more, for one organization, without a database and without groups."""

    capacities: dict[str, int]
    credit: int | None
    now_ms: int
    left: dict[str, Fraction] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = {name: Fraction(capacity) for name, capacity in self.capacities.items()}
        self.updated_ms = dict.fromkeys(self.capacities, self.now_ms)
        self.reserved = 0

    def now(self, name: str) -> Fraction:
        """What is left of a limit now; a clock that stands before the last change gains nothing."""
        passed = max(0, self.now_ms - self.updated_ms[name]) if WINDOWS[name] else 0
        gained = Fraction(self.capacities[name] * passed, (WINDOWS[name] or 1) * 1000)
        return min(Fraction(self.capacities[name]), self.left[name] + gained)

    def take(self, name: str, amount: int) -> None:
        self.left[name] = min(Fraction(self.capacities[name]), self.now(name) - amount)
        self.updated_ms[name] = max(self.updated_ms[name], self.now_ms)

    def admit(self, ask: Ask) -> int | None:
        """The most tokens of each answer, or None if it is refused."""
        most, expected, out = ask.max_tokens, ask.expected_tokens, Fraction(RATES.output, 10**6)
        if self.credit is not None:
            rest = self.credit - self.reserved - Fraction(ask.prompt_tokens * RATES.input, 10**6)
            covered = int(rest // out) // ask.choices if rest >= 0 else -1
            if covered < min(1, most):
                return None
            most, expected = min(most, covered), min(expected, covered * ask.choices)
        amounts = {name: self.amount(name, ask.prompt_tokens + expected) for name in self.capacities}
        if any(self.now(name) < amount for name, amount in amounts.items()):
            return None
        for name, amount in amounts.items():
            self.take(name, amount)
        worst = RATES.charge(ask.prompt_tokens, 0, most * ask.choices)
        self.reserved += worst
        self.latest = Running(ask.prompt_tokens, most * ask.choices, amounts, worst)
        return most

    def more(self, request: str, tokens: int) -> None:
        if (one := self.running.get(request)) is not None:
            for name in one.held.keys() & {"tpm", "utph"}:
                self.take(name, tokens)
                one.held[name] += tokens

    def end(self, outcome: Outcome) -> None:
        if (one := self.running.pop(outcome.id, None)) is None:
            return
        released = outcome.state == "released"
        for name, held in one.held.items():
            total = outcome.prompt_tokens + outcome.completion_tokens - outcome.cached_tokens * (name == "utph")
            final = 0 if released or name == "concurrency" else self.amount(name, total)
            self.take(name, final - held)
        self.reserved -= one.reserved
        if self.credit is not None and not released:
            charge = RATES.charge(outcome.prompt_tokens, outcome.cached_tokens, outcome.completion_tokens)
            self.credit -= min(charge, self.credit)

    @staticmethod
    def amount(name: str, tokens: int) -> int:
        return tokens if name in ("tpm", "utph") else 1


def outcome_of(kind: Any, request: str, one: Running | None, cached: int, completion: int) -> Outcome:
    """What a request may come to: no more than it was allowed."""
    prompt = one.prompt if one else 10
    return Outcome(request, kind, "stop", prompt, min(cached, prompt), min(completion, one.most if one else 10))


def play(books: Books, capacities: dict[str, int], credit: int | None, groups: list[Any]) -> None:
    books.clock.now_ms += 3_600_000  # so that a clock that goes back does not stand before the price
    books.accounts.limits.set(OPERATOR, books.org, capacities)
    if credit is not None:
        books.accounts.credits.add(OPERATOR, books.org, credit)
    twin = Twin(capacities, credit, books.clock.now_ms)
    ids: list[str] = []
    ledgers = [Ledger(books.accounts.database, f"ins_{at}") for at in range(PROCESSES)]
    for process, passed, steps in groups:
        books.clock.now_ms += passed
        twin.now_ms = books.clock.now_ms
        works: list[Work] = []
        for step in steps:
            if step[0] == "ask":
                _, prompt, most, choices, expected = step
                works.append(books.ask(prompt, most, min(expected, most * choices), choices=choices))
            elif ids:
                name = ids[step[1] % len(ids)]
                kind, _, *rest = step
                works.append(
                    TopUp(name, rest[0]) if kind == "more" else outcome_of(kind, name, twin.running.get(name), *rest)
                )
        answers = ledgers[process].run(works)
        for work in works:
            if isinstance(work, Outcome):
                twin.end(work)
        for work in works:
            if isinstance(work, TopUp):
                twin.more(work.id, work.tokens)
        for work, answer in zip(works, answers, strict=True):
            if isinstance(work, Ask):
                most = twin.admit(work)
                assert (answer.max_tokens if isinstance(answer, Ticket) else None) == most, (work, answer)
                if isinstance(answer, Ticket):
                    twin.running[answer.id] = twin.latest
                    ids.append(answer.id)
        levels = books.levels()
        for name in capacities:
            level, updated_ms = levels["organization", METRICS[name], WINDOWS[name]]
            if WINDOWS[name]:
                bucket = Bucket(capacities[name], WINDOWS[name] * 1000, level, updated_ms).at(books.clock.now_ms)
                assert Fraction(bucket.level, WINDOWS[name] * 1000) == twin.now(name), name
            else:
                assert capacities[name] - level == twin.now(name)
        if credit is not None:
            assert books.balance() == (twin.credit, twin.reserved)
        books.see_that_it_adds_up()


@pytest.fixture(scope="module")
def template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Books:  # noqa: F811
    """Books without limits and credit, in a file that examples copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDICED_PEPPER", PEPPER)
        place = tmp_path_factory.mktemp("books") / "accounts.db"
        books = Books.open(Accounts(str(shutil.copy(sqlite_template, place))))
    books.price()
    books.accounts.close()
    return books


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def fresh(request: pytest.FixtureRequest, tmp_path: Path, pepper: str) -> Callable[[], Books]:  # noqa: F811
    """Makes books of one case."""
    if request.param == "sqlite":
        template: Books = request.getfixturevalue("template")
        return lambda: template.copied(tmp_path)
    emptied: Callable[[], str] = request.getfixturevalue("server_emptied")

    def opened() -> Books:
        books = Books.open(Accounts(emptied()))
        books.price()
        return books

    return opened


def see(fresh: Callable[[], Books], capacities: dict[str, int], credit: int | None, groups: list[Any]) -> None:
    """One case, in books of its own."""
    books = fresh()
    try:
        play(books, capacities, credit, groups)
    finally:
        books.accounts.close()


CASES = (CAPACITIES, st.none() | st.integers(1, 400_000), GROUPS)
OWN = [HealthCheck.function_scoped_fixture]  # a case has books of its own


@settings(max_examples=15, deadline=None, suppress_health_check=OWN)
@given(*CASES)
def test_the_ledger_does_as_its_twin(
    fresh: Callable[[], Books], capacities: dict[str, int], credit: int | None, groups: list[Any]
) -> None:
    see(fresh, capacities, credit, groups)


@pytest.mark.slow
@pytest.mark.timeout(20_000)
@settings(max_examples=1000, deadline=None, suppress_health_check=OWN)
@given(*CASES)
def test_the_ledger_does_as_its_twin_in_a_thousand_cases(
    fresh: Callable[[], Books], capacities: dict[str, int], credit: int | None, groups: list[Any]
) -> None:
    see(fresh, capacities, credit, groups)
