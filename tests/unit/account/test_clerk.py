"""The clerk in trouble: whatever fails, every future is done, each request counts once and no row stays open."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ledgers import OPERATOR, Books
from support.troubled import TroubledJournal, TroubledLedger

from undiced.account import clerk
from undiced.account.accounts import Accounts
from undiced.account.clerk import Clerk
from undiced.account.errors import DatabaseAwayError
from undiced.account.journal import Journal
from undiced.account.ledger_records import Ask, Late, Outcome, Ticket, TopUp

WAIT_S = 20.0
WAITING = 3000


class Desk:
    """A clerk with trouble at hand, that soon tries again."""

    def __init__(self, accounts: Accounts, folder: Path, *, allow: bool = False) -> None:
        self.books = Books.open(accounts)
        self.books.clock.stop()  # what is kept is dated by this machine's clock
        self.ledger = TroubledLedger(self.books.ledger)
        self.path = folder / "ins_test.journal"
        self.journal = TroubledJournal(self.path)
        self.clerk = Clerk(self.ledger, self.journal, allow=allow)  # type: ignore[arg-type]
        self.clerk.start()

    def admitted(self) -> Ticket:
        ticket = self.clerk.hand_in(self.books.ask()).result(WAIT_S)
        assert isinstance(ticket, Ticket)
        return ticket

    def settles(self, ticket: Ticket, tokens: int = 5) -> None:
        assert self.clerk.hand_in(Outcome(ticket.id, "settled", "stop", 10, 0, tokens)).result(WAIT_S) is None

    def admitted_and_released(self) -> None:
        """See that it works as before: as soon as it has found out."""
        end = time.monotonic() + WAIT_S
        while True:
            try:
                ticket = self.admitted()
            except DatabaseAwayError:
                assert time.monotonic() < end
                time.sleep(0.01)
            else:
                break
        self.clerk.hand_in(Outcome(ticket.id, "released", "error")).result(WAIT_S)

    def until(self, request: str, state: str) -> dict[str, object]:
        """Wait until a row has a state; returns it."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            found = self.books.rows().get(request)
            if found is not None and found["state"] == state:
                return found
            time.sleep(0.01)
        raise AssertionError(self.books.rows())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_RETRY_S", "_RETRY_MOST_S"):
        monkeypatch.setattr(clerk, name, 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def desk(accounts: Accounts, folder: Path) -> Iterator[Desk]:
    made = Desk(accounts, folder)
    yield made
    made.ledger.away = made.ledger.forgetful = made.ledger.buggy = made.journal.full = False
    made.clerk.close()
    made.books.see_that_it_adds_up()
    assert {row["state"] for row in made.books.rows().values()} <= {"settled", "released"}


@pytest.fixture
def allowing(accounts: Accounts, folder: Path) -> Iterator[Desk]:
    made = Desk(accounts, folder, allow=True)
    yield made
    made.ledger.away = False
    made.clerk.close()
    made.books.see_that_it_adds_up()


def test_while_the_database_is_away_asks_are_refused_and_outcomes_are_kept_on_the_disk(desk: Desk) -> None:
    ticket = desk.admitted()
    desk.ledger.away = True
    with pytest.raises(DatabaseAwayError, match=r"can't be counted now") as refused:
        desk.admitted()
    assert refused.value.retry_after_s == 1.0
    desk.settles(ticket)
    assert json.loads(desk.path.read_text())["id"] == ticket.id
    desk.ledger.away = False
    assert desk.until(ticket.id, "settled")["completion_tokens"] == 5
    desk.admitted_and_released()


def test_what_waits_for_the_database_is_on_the_disk_and_takes_little_memory(desk: Desk) -> None:
    desk.ledger.away = True
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(WAITING // 500):
        outcomes = [Outcome(f"req_{at:020}", "settled", "stop", 10, 0, 5) for at in range(500)]
        for done in [desk.clerk.hand_in(outcome) for outcome in outcomes]:
            done.result(WAIT_S)
    del outcomes, done
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(desk.journal) == desk.path.read_bytes().count(b"\n") == WAITING
    assert taken < 1000 * WAITING


def test_an_ask_whose_commit_was_lost_leaves_no_open_row(desk: Desk) -> None:
    desk.books.accounts.limits.set(OPERATOR, desk.books.org, {"concurrency": 1})
    desk.ledger.forgetful = True
    ask = desk.books.ask()
    with pytest.raises(DatabaseAwayError):
        desk.clerk.hand_in(ask).result(WAIT_S)
    assert desk.books.rows()[ask.id]["state"] == "open"
    desk.ledger.forgetful = desk.ledger.away = False
    desk.until(ask.id, "released")
    desk.admitted_and_released()


def test_with_a_full_disk_too_outcomes_wait_in_memory_and_nobody_is_told_that_they_are_safe(desk: Desk) -> None:
    ticket = desk.admitted()
    desk.ledger.away = desk.journal.full = True
    done = desk.clerk.hand_in(Outcome(ticket.id, "settled", "stop", 10, 0, 7))
    time.sleep(0.05)
    assert not done.done()
    desk.ledger.away = False
    assert done.result(WAIT_S) is None
    assert desk.until(ticket.id, "settled")["completion_tokens"] == 7


def test_a_disk_that_has_room_again_takes_what_waits_in_memory(desk: Desk) -> None:
    ticket = desk.admitted()
    desk.ledger.away = desk.journal.full = True
    done = desk.clerk.hand_in(Outcome(ticket.id, "settled", "stop", 10, 0, 7))
    time.sleep(0.05)
    desk.journal.full = False
    assert done.result(WAIT_S) is None
    assert ticket.id in desk.path.read_text()


def test_a_bug_refuses_what_asks_and_loses_no_outcome(desk: Desk) -> None:
    ticket = desk.admitted()
    desk.ledger.buggy = True
    with pytest.raises(DatabaseAwayError):
        desk.admitted()
    desk.settles(ticket)
    assert desk.clerk.hand_in(TopUp(ticket.id, 5)).result(WAIT_S) is None
    assert ticket.id in desk.path.read_text()
    desk.ledger.buggy = False
    desk.until(ticket.id, "settled")
    desk.admitted_and_released()


def test_one_impossible_work_takes_no_other_with_it(desk: Desk) -> None:
    first = desk.admitted()
    bad = Outcome(first.id, "settled", "stop", 1 << 80)
    desk.clerk.hand_in(bad).result(WAIT_S)
    second = desk.admitted()
    desk.settles(second)
    assert desk.until(second.id, "settled")["completion_tokens"] == 5
    desk.settles(first)
    desk.until(first.id, "settled")


def test_a_database_that_is_away_is_not_asked_for_every_request(desk: Desk) -> None:
    desk.ledger.away = True
    desk.clerk._clock = lambda: 0.0
    before = desk.ledger.tries
    for _ in range(20):
        with pytest.raises(DatabaseAwayError):
            desk.admitted()
    assert desk.ledger.tries == before + 1
    desk.clerk._clock = time.monotonic


def test_after_its_end_a_clerk_admits_nothing(desk: Desk) -> None:
    desk.clerk.close()
    with pytest.raises(DatabaseAwayError):
        desk.clerk.hand_in(desk.books.ask())
    desk.clerk.close = lambda: None  # type: ignore[method-assign]


def test_where_the_operator_allows_it_requests_run_without_a_database_and_are_counted_later(allowing: Desk) -> None:
    books = allowing.books
    books.accounts.limits.set(OPERATOR, books.org, {"tpm": 1000, "concurrency": 1})
    books.price()
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    allowing.ledger.away = True
    first, second = allowing.admitted(), allowing.admitted()  # whatever the limits say
    allowing.settles(first, 30)
    assert allowing.path.read_text().count("\n") == 3
    allowing.ledger.away = False
    row = allowing.until(first.id, "settled")
    assert (row["completion_tokens"], row["held_tokens"]) == (30, 20)
    assert abs(int(str(row["created_ms"])) - time.time() * 1000) < 60_000, "it is dated by when it began"
    assert row["charge"] == books.balance_spent()
    allowing.settles(second, 40)
    assert allowing.until(second.id, "settled")["completion_tokens"] == 40
    (level, _) = books.levels()["organization", "concurrency", 0]
    assert level == 0


def test_a_request_whose_ask_waits_in_the_journal_ends_there_too(allowing: Desk) -> None:
    """Its outcome can't overtake its ask, though the database is back."""
    allowing.ledger.away = True
    allowing.clerk._clock = lambda: 0.0
    ticket = allowing.admitted()
    allowing.ledger.away = False
    allowing.clerk._again_s = 0.0  # the next work finds the database, and the journal not forwarded yet
    allowing.settles(ticket, 9)
    allowing.clerk._clock = time.monotonic
    assert allowing.until(ticket.id, "settled")["completion_tokens"] == 9


def test_a_lost_commit_of_an_ask_that_runs_anyway_counts_it_once(allowing: Desk) -> None:
    allowing.ledger.forgetful = True
    ticket = allowing.admitted()
    allowing.ledger.forgetful = allowing.ledger.away = False
    allowing.settles(ticket, 9)
    assert allowing.until(ticket.id, "settled")["completion_tokens"] == 9
    assert len(allowing.books.rows()) == 1


def test_a_line_that_was_cut_off_takes_no_other_with_it(folder: Path) -> None:
    first, second, late = (
        Outcome("a", "settled", "stop", 1),
        Outcome("b", "settled", "stop", 2),
        Ask("r", "o", "p", "k", "m", 1, 1),
    )
    journal = Journal(folder / "x.journal")
    journal.append([first])
    with (folder / "x.journal").open("a") as file:
        file.write('{"id": "torn", "sta')
    again = Journal(folder / "x.journal")
    again.append([second])
    assert Journal(folder / "x.journal").waiting(9) == [first, second]
    assert not again.holds(late.id)


def test_a_journal_that_an_earlier_version_wrote_is_read(tmp_path: Path) -> None:
    late = Late(Ask("r", "org", "project", "key", "m", 10, 20, service_class="flex"), 1_800_000_000_000)
    path = tmp_path / "x.journal"
    journal = Journal(path)
    journal.append([late])
    journal.close()
    path.write_text(path.read_text().replace('"service_class"', '"tier"'))
    assert Journal(path).waiting(9) == [late]
