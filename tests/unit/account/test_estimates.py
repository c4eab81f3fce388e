"""How long an answer will be, as far as limits are concerned."""

from __future__ import annotations

import pytest
from support.ledgers import MODEL, Books

from undiced.account.accounts import Accounts
from undiced.account.estimates import Estimates
from undiced.account.ledger_records import Outcome, Ticket

KEY = ("key", "model")


@pytest.fixture
def estimates(accounts: Accounts) -> Estimates:
    made = Estimates(accounts.database)
    made.keep(*KEY, [])
    return made


def test_until_ten_answers_are_known_a_thousand_tokens_are_assumed_and_never_more_than_asked(
    estimates: Estimates,
) -> None:
    for tokens in range(9):
        estimates.learn(*KEY, tokens)
        assert (estimates.expected(*KEY, 5000), estimates.expected(*KEY, 70)) == (1000, 70)
    estimates.learn(*KEY, 9)
    assert (estimates.expected(*KEY, 5000), estimates.expected(*KEY, 7)) == (8, 7)
    assert estimates.expected("another key", "model", 5000) == 1000


def test_nine_in_ten_of_the_last_hundred_are_no_longer(estimates: Estimates) -> None:
    for tokens in [*range(10_000, 10_200), *range(100)]:
        estimates.learn(*KEY, tokens)
    expected = estimates.expected(*KEY, 5000)
    assert sum(tokens <= expected for tokens in range(100)) in (90, 91)


def test_a_process_that_begins_knows_what_others_have_settled(accounts: Accounts) -> None:
    books = Books.open(accounts)
    for tokens in range(1, 13):
        (ticket,) = books.ledger.run([books.ask(expected=0)])
        assert isinstance(ticket, Ticket)
        state, books.clock.now_ms = "released" if tokens > 10 else "settled", books.clock.now_ms + 1
        books.ledger.run([Outcome(ticket.id, state, "stop", 10, 0, tokens)])  # type: ignore[arg-type]
    new = Estimates(accounts.database)
    assert new.fetch(books.key, MODEL) == [*range(1, 11)]
    new.keep(books.key, MODEL, new.fetch(books.key, MODEL))
    assert new.knows(books.key, MODEL) and new.expected(books.key, MODEL, 5000) == 9
