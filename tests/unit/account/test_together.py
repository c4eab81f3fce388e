"""Several processes on one database never admit more than a limit holds and gains, or a balance or a budget covers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select
from support.ledgers import OPERATOR, RATES, Books

from undiced.account.accounts import Accounts
from undiced.account.ledger_tables import REQUESTS

PROGRAM = Path(__file__).parents[2] / "support" / "ledger_rush.py"
CAPACITY = 200


MANY = pytest.param(8, marks=pytest.mark.slow)


def rush(books: Books, url: str, processes: int) -> int:
    """How many requests so many processes get together."""
    command = [sys.executable, str(PROGRAM), url, books.org, books.project, books.key]
    running = [
        subprocess.Popen([*command, str(2 + 3 * at)], stdout=subprocess.PIPE, text=True) for at in range(processes)
    ]
    return sum(int(process.communicate()[0]) for process in running)


@pytest.mark.parametrize("processes", [4, MANY])
def test_processes_admit_what_the_limit_holds_and_gains_and_no_more(
    accounts: Accounts, url: str, processes: int
) -> None:
    books = Books.open(accounts)
    books.clock.stop()
    books.accounts.limits.set(OPERATOR, books.org, {"tpm": CAPACITY * 10})
    got = rush(books, url, processes)
    with accounts.database.read() as transaction:
        first, last, count = transaction.connection.execute(
            select(func.min(REQUESTS.c.created_ms), func.max(REQUESTS.c.created_ms), func.count())
        ).one()
    assert count == got
    gained = CAPACITY * (last - first) / 60_000
    assert CAPACITY <= got <= CAPACITY + gained + 1
    ((level, updated_ms),) = books.levels().values()
    assert level / 60_000 >= CAPACITY * 10 + CAPACITY * 10 * (updated_ms - first) / 60_000 - 10 * got - 1


@pytest.mark.parametrize("processes", [2, MANY])
def test_processes_spend_what_a_balance_or_a_budget_covers_and_no_more(
    accounts: Accounts, url: str, processes: int
) -> None:
    books = Books.open(accounts)
    books.clock.stop()
    books.price()
    one = RATES.charge(7, 0, 3)
    books.accounts.budgets.set(OPERATOR, books.org, CAPACITY * one, key=books.key)
    assert rush(books, url, processes) == CAPACITY
    books.accounts.budgets.remove(OPERATOR, books.org, key=books.key)
    books.accounts.credits.add(OPERATOR, books.org, CAPACITY * one)
    assert rush(books, url, processes) == CAPACITY
    assert (books.balance(), books.balance_spent()) == ((0, 0), 2 * CAPACITY * one)
    books.see_that_it_adds_up()
