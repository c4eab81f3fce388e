"""The ledger: admission, settlement, top-ups and money, one rule at a time, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.ledgers import MODEL, OPERATOR, RATES, Books

from undiced.account.accounts import Accounts
from undiced.account.errors import (
    ConcurrencyExceededError,
    DatabaseError,
    InsufficientCreditError,
    LimitExceededError,
    RequestsExceededError,
)
from undiced.account.ledger_records import Outcome, Ticket, TopUp
from undiced.core.errors import InvalidRequestError


@pytest.fixture
def books(accounts: Accounts) -> Books:
    return Books.open(accounts)


def admitted(books: Books, *asks: object) -> list[Ticket]:
    tickets = books.ledger.run(list(asks))  # type: ignore[arg-type]
    for ticket in tickets:
        assert isinstance(ticket, Ticket), ticket
    return tickets  # type: ignore[return-value]


def refusal(books: Books, ask: object) -> Exception:
    (error,) = books.ledger.run([ask])  # type: ignore[list-item]
    assert isinstance(error, Exception)
    return error


def limits(books: Books, **capacities: int | None) -> None:
    books.accounts.limits.set(OPERATOR, books.org, capacities)


def used(books: Books, metric: str, window_s: int = 60) -> int:
    level, _ = books.levels()["organization", metric, window_s]
    (limit,) = [one for one in books.accounts.limits.list(OPERATOR, books.org) if one.metric == metric]
    return limit.capacity - level // (window_s * 1000)


def test_a_request_is_charged_what_it_may_need_and_what_it_did_not_use_is_given_back(books: Books) -> None:
    limits(books, tpm=1000, utpm=500, rpm=10)
    (ticket,) = admitted(books, books.ask(prompt=10, expected=90))
    assert (used(books, "tokens"), used(books, "uncached_tokens"), used(books, "requests")) == (100, 100, 1)
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 10, 8, 30)])
    assert (used(books, "tokens"), used(books, "uncached_tokens"), used(books, "requests")) == (40, 32, 1)
    books.see_that_it_adds_up()


def test_an_outcome_counts_once_whoever_brings_it(books: Books) -> None:
    limits(books, tpm=1000)
    books.price()
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    (ticket,) = admitted(books, books.ask())
    outcome = Outcome(ticket.id, "settled", "stop", 10, 0, 5)
    books.ledger.run([outcome, outcome])
    after = (books.levels(), books.balance(), books.row(ticket.id))
    books.ledger.run([outcome])
    books.ledger.run([Outcome(ticket.id, "released", "error")])
    assert (books.levels(), books.balance(), books.row(ticket.id)) == after
    books.see_that_it_adds_up()


def test_a_request_that_never_ran_takes_nothing(books: Books) -> None:
    limits(books, rpm=1, tpm=1000, concurrency=1)
    books.price()
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    (ticket,) = admitted(books, books.ask())
    books.ledger.run([Outcome(ticket.id, "released", "error")])
    admitted(books, books.ask())
    assert books.balance()[0] == 10**9
    books.see_that_it_adds_up()


def test_a_stream_that_runs_longer_goes_into_debt_and_is_not_cut(books: Books) -> None:
    limits(books, tpm=100)
    (ticket,) = admitted(books, books.ask(prompt=10, expected=20))
    books.ledger.run([TopUp(ticket.id, 500)])
    assert used(books, "tokens") == 530
    error = refusal(books, books.ask(prompt=1, expected=1))
    assert isinstance(error, LimitExceededError)
    assert error.limit["used"] == 530
    assert error.retry_after_s == pytest.approx((530 - 98) * 0.6)
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 10, 0, 520)])
    assert used(books, "tokens") == 530


def test_what_was_topped_up_and_not_used_is_given_back(books: Books) -> None:
    limits(books, tpm=1000)
    (ticket,) = admitted(books, books.ask(prompt=10, expected=20))
    books.ledger.run([TopUp(ticket.id, 256), TopUp(ticket.id, 256)])
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 10, 0, 300)])
    assert used(books, "tokens") == 310


def test_a_refusal_names_the_limit_and_the_time(books: Books) -> None:
    limits(books, rpm=2, tpm=10_000)
    admitted(books, books.ask(), books.ask())
    error = refusal(books, books.ask())
    assert isinstance(error, RequestsExceededError)
    assert (error.status, error.code) == (429, "request_quota_exceeded")
    assert dict(error.limit) == {
        "scope": "organization", "metric": "requests", "model": None, "window_s": 60, "capacity": 2, "used": 2,
        "reset_s": 30.0,
    }  # fmt: skip
    books.clock.now_ms += 29_999
    refusal(books, books.ask())
    books.clock.now_ms += 1
    admitted(books, books.ask())


def test_a_refused_request_takes_nothing_of_the_other_limits(books: Books) -> None:
    limits(books, rpm=1, tpm=1000)
    admitted(books, books.ask())
    before = books.levels()
    refusal(books, books.ask())
    assert books.levels() == before


def test_more_than_a_limit_ever_holds_is_refused_at_once(books: Books) -> None:
    limits(books, tpm=100)
    error = refusal(books, books.ask(prompt=90, expected=11))
    assert isinstance(error, InvalidRequestError)
    assert (error.status, error.param) == (400, "max_tokens")
    admitted(books, books.ask(prompt=90, expected=10))


def test_so_many_run_at_once_and_no_more(books: Books) -> None:
    limits(books, concurrency=2)
    first, _ = admitted(books, books.ask(), books.ask())
    assert isinstance(refusal(books, books.ask()), ConcurrencyExceededError)
    books.ledger.run([Outcome(first.id, "settled", "stop", 10, 0, 5)])
    admitted(books, books.ask())
    refusal(books, books.ask())


def test_outcomes_make_room_for_asks_of_the_same_transaction(books: Books) -> None:
    limits(books, concurrency=1)
    (first,) = admitted(books, books.ask())
    _, ticket = books.ledger.run([Outcome(first.id, "settled", "stop", 10, 0, 5), books.ask()])
    assert isinstance(ticket, Ticket)


def test_limits_of_organization_project_and_key_all_bind(books: Books) -> None:
    limits(books, rpm=3)
    books.accounts.limits.set(OPERATOR, books.org, {"rpm": 2}, project="default")
    books.accounts.limits.set(OPERATOR, books.org, {"rpm": 1}, key=books.key)
    (ticket,) = admitted(books, books.ask())
    assert sorted(one.subject for one in ticket.standings or ()) == ["key", "organization", "project"]
    assert refusal(books, books.ask()).limit["scope"] == "key"  # type: ignore[attr-defined]
    books.accounts.limits.set(OPERATOR, books.org, {"rpm": None}, key=books.key)
    admitted(books, books.ask())
    assert refusal(books, books.ask()).limit["scope"] == "project"  # type: ignore[attr-defined]


def test_a_limit_of_another_model_does_not_bind(books: Books) -> None:
    books.accounts.limits.set(OPERATOR, books.org, {"rpm": 1}, model="another")
    admitted(books, books.ask(), books.ask())
    books.accounts.limits.set(OPERATOR, books.org, {"rpm": 1}, model=MODEL)
    admitted(books, books.ask())
    assert refusal(books, books.ask()).limit["model"] == MODEL  # type: ignore[attr-defined]


def test_a_limit_that_is_changed_keeps_what_was_used(books: Books) -> None:
    limits(books, rpm=2)
    admitted(books, books.ask(), books.ask())
    limits(books, rpm=3)
    admitted(books, books.ask())
    refusal(books, books.ask())
    limits(books, rpm=1)
    assert used(books, "requests") == 3


def test_a_limit_that_was_taken_away_meanwhile_needs_nothing(books: Books) -> None:
    limits(books, tpm=1000, rpm=5)
    (ticket,) = admitted(books, books.ask())
    limits(books, tpm=None)
    books.ledger.run([TopUp(ticket.id, 10), Outcome(ticket.id, "settled", "stop", 10, 0, 5)])
    assert books.row(ticket.id)["state"] == "settled"


def test_the_worst_case_is_reserved_and_the_charge_is_what_was_used(books: Books) -> None:
    books.price()
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    (ticket,) = admitted(books, books.ask(prompt=1000, most=400, choices=2))
    assert books.balance() == (10**9, RATES.charge(1000, 0, 800))
    books.see_that_it_adds_up()
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 1000, 900, 100, 60)])
    assert books.balance() == (10**9 - RATES.charge(1000, 900, 100), 0)
    books.see_that_it_adds_up()


def test_an_answer_is_no_longer_than_what_the_balance_covers(books: Books) -> None:
    books.price()
    books.accounts.credits.add(OPERATOR, books.org, RATES.charge(1000, 0, 50))
    (ticket,) = admitted(books, books.ask(prompt=1000, most=400, expected=300))
    assert ticket.max_tokens == 50
    error = refusal(books, books.ask(prompt=1, most=1))
    assert isinstance(error, InsufficientCreditError)
    assert (error.status, error.code) == (402, "insufficient_credit")
    books.ledger.run([Outcome(ticket.id, "settled", "length", 1000, 0, 50)])
    assert books.balance() == (0, 0)
    books.see_that_it_adds_up()


def test_several_answers_share_what_the_balance_covers(books: Books) -> None:
    books.price()
    books.accounts.credits.add(OPERATOR, books.org, RATES.charge(0, 0, 100))
    (ticket,) = admitted(books, books.ask(prompt=0, most=400, choices=3))
    assert ticket.max_tokens == 33


def test_a_model_without_a_price_costs_nothing_even_with_an_empty_balance(books: Books) -> None:
    books.accounts.credits.set_prepaid(OPERATOR, books.org, True)
    (ticket,) = admitted(books, books.ask(most=400))
    assert ticket.max_tokens == 400


def test_an_embedding_needs_credit_for_its_prompt_alone(books: Books) -> None:
    books.price()
    books.accounts.credits.add(OPERATOR, books.org, RATES.charge(1000, 0, 0))
    (ticket,) = admitted(books, books.ask(prompt=1000, most=0, expected=0))
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 1000)])
    assert books.balance() == (0, 0)
    assert isinstance(refusal(books, books.ask(prompt=1000, most=0, expected=0)), InsufficientCreditError)


def test_a_postpaid_balance_may_be_owed(books: Books) -> None:
    books.price()
    books.accounts.credits.set_prepaid(OPERATOR, books.org, False)
    (ticket,) = admitted(books, books.ask(most=400))
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 10, 0, 400)])
    assert books.balance() == (-RATES.charge(10, 0, 400), 0)
    with pytest.raises(InvalidRequestError):
        books.accounts.credits.set_prepaid(OPERATOR, books.org, True)
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    books.see_that_it_adds_up()


def test_what_began_before_there_was_a_balance_frees_nothing_that_others_reserved(books: Books) -> None:
    books.price()
    (before,) = admitted(books, books.ask(prompt=0, most=100))
    books.accounts.credits.add(OPERATOR, books.org, RATES.charge(0, 0, 100))
    admitted(books, books.ask(prompt=0, most=100))
    books.ledger.run([Outcome(before.id, "released", "error")])
    books.see_that_it_adds_up()
    refusal(books, books.ask(prompt=0, most=1))


def test_a_cached_token_that_costs_more_than_another_is_reserved_for(books: Books) -> None:
    books.accounts.prices.set(OPERATOR, MODEL, type(RATES)(10**9, 2 * 10**9, 0))
    books.accounts.credits.add(OPERATOR, books.org, 2 * 10**6)
    (ticket,) = admitted(books, books.ask(prompt=1000, most=0, expected=0))
    assert books.balance() == (2 * 10**6, 2 * 10**6)
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 1000, 1000)])
    assert books.balance() == (0, 0)


def test_what_is_set_anew_counts_from_the_next_request_on(books: Books) -> None:
    """Though the ledger remembers that there was nothing."""
    admitted(books, books.ask())
    limits(books, rpm=2)
    admitted(books, books.ask(), books.ask())
    refusal(books, books.ask())
    limits(books, rpm=None)
    admitted(books, books.ask())
    books.price()
    (ticket,) = admitted(books, books.ask())
    assert books.row(ticket.id)["price_id"] is not None
    books.accounts.budgets.set(OPERATOR, books.org, 1, project="default")
    refusal(books, books.ask())
    books.accounts.budgets.remove(OPERATOR, books.org, project="default")
    books.accounts.credits.set_prepaid(OPERATOR, books.org, True)
    refusal(books, books.ask())


def test_a_price_that_is_taken_back_never_holds_though_it_was_seen(books: Books) -> None:
    books.price()
    later = books.clock.now_ms // 1000 + 60
    books.accounts.prices.set(OPERATOR, MODEL, type(RATES)(10**12, 10**12, 10**12), valid_from=later)
    (first,) = admitted(books, books.ask())
    books.accounts.prices.cancel(OPERATOR, MODEL)
    books.clock.now_ms += 61_000
    (second,) = admitted(books, books.ask())
    assert books.row(second.id)["price_id"] == books.row(first.id)["price_id"]


def test_a_limit_gains_as_it_was_until_it_is_changed(books: Books) -> None:
    limits(books, tpm=600)
    admitted(books, books.ask(prompt=600, expected=0))
    books.clock.now_ms += 1000
    limits(books, tpm=6000)
    assert used(books, "tokens") == 590


def test_a_request_is_charged_the_price_that_it_began_under(books: Books) -> None:
    books.price()
    (ticket,) = admitted(books, books.ask())
    books.clock.now_ms += 60_000
    books.accounts.prices.set(OPERATOR, MODEL, type(RATES)(10**12, 10**12, 10**12))
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 10, 0, 5)])
    assert books.row(ticket.id)["charge"] == RATES.charge(10, 0, 5)
    (dear,) = admitted(books, books.ask())
    books.ledger.run([Outcome(dear.id, "settled", "stop", 10, 0, 5)])
    assert books.row(dear.id)["charge"] == 15 * 10**6


def test_the_class_of_service_changes_the_charge(books: Books) -> None:
    books.price()
    (ticket,) = admitted(books, books.ask(service_class="flex"))
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 1000, 0, 500)])
    assert books.row(ticket.id)["charge"] == RATES.charge(1000, 0, 500) // 2


def test_the_credit_that_ends_first_is_spent_first_and_what_is_left_of_it_expires(books: Books) -> None:
    books.price()
    now = books.clock.now_ms // 1000
    late, _ = books.accounts.credits.add(OPERATOR, books.org, 10**9)
    soon, _ = books.accounts.credits.add(OPERATOR, books.org, 10**9, expires=now + 60)
    (ticket,) = admitted(books, books.ask())
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 1000, 0, 0)])
    left = {one.id: one.remaining for one in books.accounts.credits.list(OPERATOR, books.org)}
    assert left == {late.id: 10**9, soon.id: 10**9 - 350_000}
    books.clock.now_ms += 61_000
    admitted(books, books.ask())
    left = {one.id: one.remaining for one in books.accounts.credits.list(OPERATOR, books.org)}
    assert left == {late.id: 10**9, soon.id: 0}
    assert books.balance()[0] == 10**9
    books.see_that_it_adds_up()


def test_credit_that_a_running_answer_counts_on_expires_when_it_has_ended(books: Books) -> None:
    books.price()
    now = books.clock.now_ms // 1000
    books.accounts.credits.add(OPERATOR, books.org, RATES.charge(0, 0, 100), expires=now + 60)
    (ticket,) = admitted(books, books.ask(prompt=0, most=60))
    books.clock.now_ms += 61_000
    refusal(books, books.ask(prompt=0, most=1))
    assert books.balance() == (RATES.charge(0, 0, 60), RATES.charge(0, 0, 60))
    books.see_that_it_adds_up()
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 0, 0, 50)])
    refusal(books, books.ask(prompt=0, most=1))
    assert books.balance() == (0, 0)
    books.see_that_it_adds_up()


def test_a_budget_that_stops_refuses_what_goes_beyond_and_one_that_warns_says_so(books: Books) -> None:
    books.price()
    books.accounts.budgets.set(OPERATOR, books.org, RATES.charge(0, 0, 100), key=books.key)
    books.accounts.budgets.set(OPERATOR, books.org, RATES.charge(0, 0, 10), stops=False)
    (ticket,) = admitted(books, books.ask(prompt=0, most=60))
    assert ticket.over_budget == ("organization",)
    assert isinstance(refusal(books, books.ask(prompt=0, most=41)), InsufficientCreditError)
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 0, 0, 10)])
    admitted(books, books.ask(prompt=0, most=90))
    refusal(books, books.ask(prompt=0, most=1))


def test_a_budget_begins_anew_with_the_month(books: Books) -> None:
    books.price()
    books.accounts.budgets.set(OPERATOR, books.org, RATES.charge(0, 0, 100))
    (ticket,) = admitted(books, books.ask(prompt=0, most=100))
    books.ledger.run([Outcome(ticket.id, "settled", "stop", 0, 0, 100)])
    refusal(books, books.ask(prompt=0, most=1))
    books.clock.now_ms += 32 * 86_400_000
    admitted(books, books.ask(prompt=0, most=100))


@pytest.mark.parametrize("change", ["balance = balance - 1000000001", "reserved = reserved - 1"])
def test_no_balance_falls_below_nothing_whatever_program_writes_it(books: Books, change: str) -> None:
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    with pytest.raises((DBAPIError, DatabaseError)), books.accounts.database.write() as transaction:
        transaction.connection.execute(text(f"UPDATE wallets SET {change}"))
    assert books.balance() == (10**9, 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET amount = 0",
        "DELETE FROM entries",
        "REPLACE INTO entries (seq, org_id, at, kind, amount, ref) SELECT seq, org_id, at, kind, 0, ref FROM entries",
        "REPLACE INTO entries (org_id, at, kind, amount, ref) SELECT org_id, at, kind, 0, ref FROM entries",
        "TRUNCATE entries",
    ],
)
def test_nothing_changes_what_a_balance_is_the_sum_of(books: Books, change: str) -> None:
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    with pytest.raises((DBAPIError, DatabaseError)), books.accounts.database.write() as transaction:
        transaction.connection.execute(text(change))
    books.see_that_it_adds_up()
    assert books.balance() == (10**9, 0)


def test_more_at_once_than_a_connection_takes_at_one_time(books: Books) -> None:
    long = "r" * 2_000_000
    tickets = admitted(books, *(replace(books.ask(prompt=at), request_id=f"{long}{at}") for at in range(4)))
    books.ledger.run([Outcome(ticket.id, "settled", "stop", at, 0, at) for at, ticket in enumerate(tickets)])
    found = {(row["request_id"], row["completion_tokens"]) for row in books.rows().values()}
    assert found == {(f"{long}{at}", at) for at in range(4)}
    books.see_that_it_adds_up()


def test_what_breaks_a_rule_of_the_tables_leaves_nothing_and_hinders_nobody(books: Books, dialect: str) -> None:
    limits(books, rpm=10)
    ask = books.ask()
    broken = "UNIQUE constraint failed" if dialect == "sqlite" else "duplicate key value"
    with pytest.raises(Exception, match=broken):
        books.ledger.run([ask, ask])
    assert books.rows() == {}
    assert used(books, "requests") == 0
    admitted(books, ask)


def test_names_of_models_may_hold_whatever_names_may(books: Books) -> None:
    for model in ('a"b', "a'b", "a\\b", "{a,b}", "%s", ":a", "$1", "NULL", "[1]"):
        books.accounts.limits.set(OPERATOR, books.org, {"rpm": 1}, model=model)
        books.accounts.prices.set(OPERATOR, model, RATES)
        ask = replace(books.ask(), model=model)
        (ticket,) = admitted(books, ask)
        assert books.row(ticket.id)["price_id"] is not None
        assert isinstance(refusal(books, replace(ask, id="another")), RequestsExceededError)
