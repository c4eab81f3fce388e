"""What is told of limits, budgets, prices, usage and months, on both databases."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest
from sqlalchemy import select
from support.at_once import at_once
from support.ledgers import MODEL, OPERATOR, RATES, START_MS, Books

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.database import Database
from undiced.account.errors import PermissionDeniedError
from undiced.account.expiry import book_all
from undiced.account.ledger_records import Outcome, Ticket
from undiced.account.ledger_tables import ENTRIES
from undiced.account.money import NANOS, Rates, column
from undiced.core.errors import InvalidRequestError, UndicedError

DAY_MS = 86_400_000
MONTH = "2027-01"  # that of START_MS, on its 15th


@pytest.fixture
def books(accounts: Accounts) -> Books:
    return Books.open(accounts)


def spend(books: Books, prompt: int, cached: int = 0, output: int = 0) -> None:
    """A request that ends at once."""
    (ticket,) = books.ledger.run([books.ask(prompt=prompt, most=output, expected=output)])
    assert isinstance(ticket, Ticket), ticket
    books.ledger.run([Outcome(ticket.id, "settled", "stop", prompt, cached, output)])


def test_limits_are_told_with_what_is_left_now(books: Books) -> None:
    limits = books.accounts.limits
    limits.set(OPERATOR, books.org, {"rpm": 10})
    limits.set(OPERATOR, books.org, {"tpd": 1000}, key=books.key, model=MODEL)
    spend(books, 90, output=10)
    books.clock.now_ms += 6000
    told = {limit.name: (limit.subject, now.left) for limit, now in limits.state(OPERATOR, books.org)}
    assert told == {"rpm": ("organization", 10), "tpd": ("key", 900)}
    assert [limit.name for limit, _ in limits.state(OPERATOR, books.org, key=books.key)] == ["tpd"]


def test_limits_are_cleared_by_subject_and_model_by_the_operator_alone(books: Books) -> None:
    limits, org = books.accounts.limits, books.org
    limits.set(OPERATOR, org, {"rpm": 1, "tpm": 2}), limits.set(OPERATOR, org, {"rpm": 3}, model=MODEL)
    limits.set(OPERATOR, org, {"rpm": 4}, project="default"), limits.set(OPERATOR, org, {"rpm": 5}, key=books.key)
    with pytest.raises(PermissionDeniedError):
        limits.clear(Actor("key:x", org_id=org), org)
    assert [one.capacity for one in limits.clear(OPERATOR, org, model=MODEL)] == [3]
    assert [one.capacity for one in limits.clear(OPERATOR, org, key=books.key)] == [5]
    assert sorted(one.capacity for one in limits.clear(OPERATOR, org, model="")) == [1, 2]
    assert limits.clear(OPERATOR, org) == []
    assert [one.capacity for one in limits.list(OPERATOR, org)] == [4]
    assert [one.action for one in books.accounts.audit.list(OPERATOR, org)][:4] == ["limit.remove"] * 4


def test_only_a_price_that_has_not_begun_can_be_taken_back(books: Books) -> None:
    prices, now = books.accounts.prices, START_MS // 1000
    prices.set(OPERATOR, MODEL, RATES)
    prices.set(OPERATOR, MODEL, Rates(1, 1, 1), valid_from=now + 100)
    prices.set(OPERATOR, MODEL, Rates(2, 2, 2), valid_from=now + 200)
    with pytest.raises(InvalidRequestError, match=r"too far away\. Give an earlier one"):
        prices.set(OPERATOR, MODEL, Rates(3, 3, 3), valid_from=1 << 63)
    with pytest.raises(PermissionDeniedError):
        prices.cancel(Actor("key:x", org_id=books.org), MODEL)
    assert prices.cancel(OPERATOR, MODEL).rates.input == 2
    assert [(one.valid_from, one.valid_until) for one in prices.list()] == [(now, now + 100), (now + 100, None)]
    books.clock.now_ms += 100_000
    with pytest.raises(InvalidRequestError, match="is to begin"):
        prices.cancel(OPERATOR, MODEL)
    spend(books, 1_000_000)
    assert books.accounts.usage.invoice(OPERATOR, books.org, MONTH).charge == 1


def test_a_price_that_begins_while_somebody_takes_it_back_stays_where_it_has_requests(books: Books) -> None:
    prices, now = books.accounts.prices, START_MS // 1000
    prices.set(OPERATOR, MODEL, RATES)
    later = prices.set(OPERATOR, MODEL, Rates(1, 1, 1), valid_from=now + 100)
    books.clock.now_ms += 100_000
    (ticket,) = books.ledger.run([books.ask()])
    assert isinstance(ticket, Ticket)
    books.clock.now_ms -= 100_000  # as it was when the taking back began to wait
    with pytest.raises(InvalidRequestError, match="is to begin"):
        prices.cancel(OPERATOR, MODEL)
    assert prices.list()[-1] == later


def test_a_wallet_takes_the_currency_of_the_prices(books: Books) -> None:
    assert books.accounts.prices.currency() is None
    books.accounts.prices.set(OPERATOR, MODEL, RATES, currency="EUR")
    assert books.accounts.credits.set_prepaid(OPERATOR, books.org, False).currency == "EUR"
    assert books.accounts.prices.currency() == "EUR"
    books.accounts.prices.set(OPERATOR, "n", RATES, currency="EUR")


def test_budgets_are_told_with_what_was_spent_in_this_month_and_what_runs(books: Books) -> None:
    books.price()
    books.accounts.budgets.set(OPERATOR, books.org, NANOS)
    books.accounts.budgets.set(OPERATOR, books.org, 2 * NANOS, key=books.key, stops=False)
    spend(books, 1_000_000)
    books.ledger.run([books.ask(prompt=100_000, most=0, expected=0)])
    told = {rule.subject: (rule.amount, spent) for rule, spent in books.accounts.budgets.state(OPERATOR, books.org)}
    assert told == {"organization": (NANOS, 385_000_000), "key": (2 * NANOS, 385_000_000)}
    books.clock.now_ms += 20 * DAY_MS
    assert {spent for _, spent in books.accounts.budgets.state(OPERATOR, books.org)} == {35_000_000}


def test_credit_whose_time_has_passed_is_gone_unless_a_running_request_counts_on_it(books: Books) -> None:
    books.price()
    credits, org, now = books.accounts.credits, books.org, START_MS // 1000
    credits.add(OPERATOR, org, NANOS, expires=now + 60), credits.add(OPERATOR, org, 5)
    (ticket,) = books.ledger.run([books.ask(prompt=1_000_000, most=0, expected=0)])
    books.clock.now_ms += 61_000
    assert [one.remaining for one in sorted(credits.list(OPERATOR, org), key=lambda one: one.amount)] == [
        5,
        349_999_995,
    ]
    held = credits.balance(OPERATOR, org)
    assert held is not None and (held.balance, held.reserved) == (350_000_000, 350_000_000)
    running = books.accounts.usage.invoice(OPERATOR, org, MONTH)
    assert (running.paid, running.expired, running.closing) == (NANOS + 5, 650_000_005, 350_000_000)
    assert isinstance(ticket, Ticket)
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 0, 0, 0)])
    ended = books.accounts.usage.invoice(OPERATOR, org, MONTH)
    assert (ended.paid, ended.expired, ended.closing) == (NANOS + 5, NANOS, 5)
    assert books.balance() == (5, 0), "it went with the request that counted on it"
    books.ledger.run([books.ask(prompt=0, most=0, expected=0)])
    assert books.balance() == (5, 0) and books.accounts.usage.invoice(OPERATOR, org, MONTH) == ended
    assert [one.remaining for one in sorted(credits.list(OPERATOR, org), key=lambda one: one.amount)] == [5, 0]


END_OF_MONTH = 1_801_440_000  # 2027-02-01


def expiries(books: Books) -> list[tuple[int, int]]:
    """Time and amount of each that is written down."""
    query = select(ENTRIES.c.at, ENTRIES.c.amount).where(ENTRIES.c.kind == "expiry").order_by(ENTRIES.c.seq)
    with books.accounts.database.read() as transaction:
        return [tuple(row) for row in transaction.connection.execute(query)]


def months(books: Books) -> list[tuple[int | None, int, int, int | None]]:
    """Opening, expired, taken, closing of the month in which it ended, and of the next."""
    found = [books.accounts.usage.invoice(OPERATOR, books.org, month) for month in (MONTH, "2027-02")]
    return [(one.opening, one.expired, one.taken, one.closing) for one in found]


def test_credit_is_lost_in_the_month_in_which_it_ends_though_nobody_asks_for_anything(books: Books) -> None:
    credits, org = books.accounts.credits, books.org
    credits.add(OPERATOR, org, NANOS, expires=END_OF_MONTH - 1), credits.add(OPERATOR, org, 5)
    assert book_all(books.accounts.database) == 0
    books.clock.now_ms = END_OF_MONTH * 1000 + 86_400_000
    read = months(books)
    assert read == [(0, NANOS, 0, 5), (5, 0, 0, 5)] and expiries(books) == []
    assert credits.balance(OPERATOR, org).balance == 5
    assert book_all(books.accounts.database) == 1
    assert expiries(books) == [(END_OF_MONTH - 1, -NANOS)] and months(books) == read
    assert book_all(books.accounts.database) == 0 and books.balance() == (5, 0)
    books.see_that_it_adds_up()


def test_processes_that_look_at_once_book_what_has_ended_once(books: Books, url: str) -> None:
    books.accounts.credits.add(OPERATOR, books.org, NANOS, expires=START_MS // 1000 + 1)
    books.clock.now_ms += 2000
    others = [Database(url) for _ in range(3)]
    for other in others:
        books.clock.rule(other)
    every = [*others, books.accounts.database]
    with ExitStack() as stack:
        for other in others:
            stack.callback(other.close)
        said = at_once([partial(book_all, one) for one in every] + [lambda: books.ledger.run([books.ask()])])
    assert not any(isinstance(one, UndicedError) for one in said), said
    assert expiries(books) == [(START_MS // 1000 + 1, -NANOS)] and books.balance() == (0, 0)
    books.see_that_it_adds_up()


def test_what_an_answer_counts_on_over_the_end_of_a_month_is_lost_in_the_next(books: Books) -> None:
    books.price()
    credits, org = books.accounts.credits, books.org
    credits.add(OPERATOR, org, NANOS, expires=END_OF_MONTH - 10)
    books.clock.now_ms = END_OF_MONTH * 1000 - 20_000
    (ticket,) = books.ledger.run([books.ask(prompt=1_000_000, most=0, expected=0)])
    assert isinstance(ticket, Ticket)
    held, later = 350_000_000, END_OF_MONTH + 5
    books.clock.now_ms = later * 1000
    assert months(books) == [(0, NANOS - held, 0, held), (held, 0, 0, held)]
    credits.add(OPERATOR, org, 100_000_000)  # of which the answer may take instead
    assert expiries(books) == [(END_OF_MONTH - 10, held - NANOS), (later, -100_000_000)]
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 1_000_000, 1_000_000, 0)])
    assert months(books) == [(0, NANOS - held, 0, held), (held, 250_000_000, 100_000_000, 100_000_000)]
    assert book_all(books.accounts.database) == 0
    books.see_that_it_adds_up()


def test_usage_names_what_people_name(books: Books) -> None:
    books.price()
    spend(books, 1_000_000, 500_000, 2)
    day = START_MS // DAY_MS
    (row,) = books.accounts.usage.report(
        OPERATOR, None, since=day, until=day + 1, by=("key", "organization", "project", "model", "day")
    )
    assert row.names == {"organization": "acme", "project": "default"}, "the key has no name"
    assert row.group == {
        "key": books.key, "organization": books.org, "project": books.project, "model": MODEL, "day": day
    }  # fmt: skip
    counts = (row.requests, row.prompt_tokens, row.cached_tokens, row.completion_tokens, row.charge)
    assert counts == (1, 1_000_000, 500_000, 2, 225_001_500)
    assert books.accounts.usage.report(OPERATOR, books.org, since=day + 1, until=day + 9) == []


def test_months_follow_each_other_without_a_gap(books: Books) -> None:
    books.price()
    books.accounts.credits.set_prepaid(OPERATOR, books.org, False)
    spend(books, 1_000_000)
    (ticket,) = books.ledger.run([books.ask(prompt=1_000_000, most=0, expected=0)])
    books.clock.now_ms += 31 * DAY_MS
    assert isinstance(ticket, Ticket)
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 1_000_000, 0, 0)])
    books.accounts.credits.add(OPERATOR, books.org, NANOS)
    first, second = (books.accounts.usage.invoice(OPERATOR, books.org, month) for month in (MONTH, "2027-02"))
    assert (first.opening, first.charge, first.taken, first.closing) == (0, 700_000_000, 350_000_000, -350_000_000)
    assert (second.opening, second.charge, second.taken, second.paid) == (-350_000_000, 0, 350_000_000, NANOS)
    assert second.closing == NANOS - 700_000_000 and second.currency == "USD"
    assert second.made == books.clock.now_ms // 1000


def test_who_has_no_balance_has_none_in_its_invoice(books: Books) -> None:
    found = books.accounts.usage.invoice(OPERATOR, books.org, MONTH)
    assert (found.opening, found.closing, found.currency, found.lines) == (None, None, None, ())


def test_amounts_in_a_column_have_as_many_decimals_as_one_of_them_needs() -> None:
    assert column([NANOS, -1, 0]) == ["1.000000000", "-0.000000001", "0.000000000"]
    assert column([25 * NANOS, NANOS // 2]) == ["25.00", "0.50"] and column([]) == []
