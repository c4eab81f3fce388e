"""The server, its engine and its database are killed while customers are served: each request is counted once, with
what its customer got.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from houses import House, house, see_that_each_was_counted_once, see_that_the_bucket_is_right
from support import postgres
from support.customers import Customers
from support.databases import PEPPER

from undiced.account.accounts import ledger_folder
from undiced.account.errors import DatabaseAwayError
from undiced.account.recovery import recover

pytestmark = pytest.mark.wire
KILLS = int(os.environ.get("UNDICED_TESTS_KILLS", "100"))
CUSTOMERS = 4


def play(
    home: House, kills: list[str], kill_database: object = None, pause_s: tuple[float, float] = (0.3, 1.2)
) -> None:
    """Serve customers while what is named is killed, and see the books afterwards."""
    draw = random.Random(1)
    customers = Customers(home.serve(), home.key, "tiny")
    customers.come(CUSTOMERS)
    for what in kills:
        time.sleep(draw.uniform(*pause_s))
        if what == "database":
            kill_database()  # type: ignore[operator]
        elif what == "server" or not home.kill_engine():
            home.kill()
            customers.url = home.serve()
    time.sleep(pause_s[1])
    customers.leave()
    home.stop()
    recover(home.books.accounts.database, ledger_folder(home.books.accounts.database))
    assert customers.failures == []
    seen = see_that_each_was_counted_once(home.books, customers)
    assert seen["settled"] > len(kills), seen
    home.books.see_that_it_adds_up()
    see_that_the_bucket_is_right(home.books)
    assert list(ledger_folder(home.books.accounts.database).iterdir()) == []


def test_killed_servers_and_engines_leave_each_request_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    with house(str(tmp_path / "accounts.db"), tmp_path) as home:
        play(home, ["server", "engine"], pause_s=(0.3, 0.8))


@pytest.mark.slow
@pytest.mark.timeout(20_000)
def test_many_kills_of_server_and_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    draw = random.Random(2)
    with house(str(tmp_path / "accounts.db"), tmp_path) as home:
        play(home, [draw.choice(("server", "engine")) for _ in range(KILLS)])


@pytest.mark.slow
@pytest.mark.timeout(20_000)
@pytest.mark.parametrize("outage", ["refuse", "allow"])
def test_many_kills_of_server_engine_and_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outage: str
) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    draw = random.Random(3)
    with postgres.own() as server, house(server.url, tmp_path) as home:
        home.options = ("--on-outage", outage)

        def kill_database() -> None:
            server.kill()
            time.sleep(draw.uniform(0.2, 1.5))
            server.start()
            for _ in range(100):
                try:
                    with home.books.accounts.database.read():
                        return
                except DatabaseAwayError:
                    time.sleep(0.1)

        play(home, [draw.choice(("server", "engine", "database")) for _ in range(KILLS)], kill_database)
