"""The server, its engine and its database are killed, or the server is replaced, while customers are served: each
request is counted once, with what its customer got.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from houses import House, house, see_that_each_was_counted_once, see_that_the_bucket_is_right
from support import postgres
from support.customers import Customers
from support.databases import PEPPER
from support.forked import Forks, forks

from undiced.account.accounts import ledger_folder
from undiced.account.errors import DatabaseAwayError
from undiced.account.recovery import recover

pytestmark = pytest.mark.wire
KILLS = int(os.environ.get("UNDICED_TESTS_KILLS", "1000"))
FEW, MANY = 20, 100
CUSTOMERS = 6
LONG = (pytest.mark.slow, pytest.mark.timeout(20_000))
SERVED_S = 60.0  # the longest until customers are served again


@pytest.fixture(scope="module")
def forked() -> Iterator[Forks]:
    with forks() as made:
        yield made


def wait_until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + SERVED_S
    while not happens():
        assert time.monotonic() < end, "nobody is served"
        time.sleep(0.002)


@dataclass
class Night:
    """Customers are served, and now and then something of a house is killed. `database`: what may be, too."""

    home: House
    draw: random.Random
    database: postgres.Own | None = None
    customers: Customers = field(init=False)

    def __post_init__(self) -> None:
        self.customers = Customers(self.home.serve(), self.home.key, "tiny")

    def pass_by(self, kills: int) -> None:
        """Kill at least so many, see the books afterwards."""
        self.customers.come(CUSTOMERS)
        acts: list[Callable[[], None]] = [self.server, self.engine, self.server_twice]
        if self.database is not None:
            acts += [self.database_alone, self.connection, self.database_and_engine, self.database_and_server]
        while self.home.kills.total() < kills:
            self.wait_for_load()
            self.draw.choice(acts)()
        self.wait_for_load()
        self.customers.leave()
        self.home.stop()
        self.see()

    def wait_for_load(self) -> None:
        """Until customers are served again, and a bit longer; or until one is in the middle of an answer."""
        wanted = len(self.customers.admitted) + self.draw.randrange(1, 12)
        wait_until(lambda: len(self.customers.admitted) >= wanted)
        if self.draw.random() < 0.5:
            time.sleep(self.draw.uniform(0.0, 0.1))
        else:
            wait_until(lambda: any(got.midway for got in list(self.customers.now.values())))

    def server(self) -> None:
        """The server is killed."""
        self.home.kill()
        self.customers.url = self.home.serve()

    def server_twice(self) -> None:
        """The server is killed, and the next one while it starts, or settles what the first one left."""
        self.home.kill()
        self.home.kill_while_it_starts(self.draw.uniform(0.0, 0.6))
        self.customers.url = self.home.serve()

    def engine(self) -> None:
        """An engine is killed; where there is none to be killed, the server is."""
        if not self.home.kill_engine():
            self.server()

    def database_alone(self) -> None:
        """The database is killed, and is away for a while."""
        self.lose_database()
        time.sleep(self.draw.uniform(0.0, 0.8))
        self.find_database()

    def connection(self) -> None:
        """A process of the database that serves a connection is killed, perhaps while it commits."""
        assert self.database is not None
        if found := self.database.connections():
            os.kill(self.draw.choice(found), signal.SIGKILL)
            self.home.kills["connection"] += 1
            database = self.database
            wait_until(lambda: not set(found) & set(database.connections()))  # it has noticed, and ended the others
            self.await_database()

    def database_and_engine(self) -> None:
        """An engine is killed while the database is away."""
        self.lose_database()
        time.sleep(self.draw.uniform(0.0, 0.3))
        self.home.kill_engine()
        time.sleep(self.draw.uniform(0.0, 0.3))
        self.find_database()

    def database_and_server(self) -> None:
        """The server is killed while the database is away: what it has settled meanwhile is in its journal."""
        self.lose_database()
        time.sleep(self.draw.uniform(0.0, 0.5))
        self.home.kill()
        self.find_database()
        self.customers.url = self.home.serve()

    def lose_database(self) -> None:
        assert self.database is not None
        self.database.kill()
        self.home.kills["database"] += 1

    def find_database(self) -> None:
        """Start it."""
        assert self.database is not None
        self.database.start()
        self.await_database()

    def await_database(self) -> None:
        for _ in range(200):
            try:
                with self.home.books.accounts.database.read():
                    return
            except DatabaseAwayError:
                time.sleep(0.05)
        raise AssertionError("the database does not come back")

    def see(self) -> None:
        """What the books say."""
        database, kills = self.home.books.accounts.database, self.home.kills
        recover(database, ledger_folder(database))
        assert self.customers.failures == []
        seen = see_that_each_was_counted_once(self.home.books, self.customers)
        assert seen["settled"] > kills.total(), (seen, kills)
        assert kills.total() < MANY or seen["recovered"] > kills.total() // 4, (seen, kills)
        self.home.books.see_that_it_adds_up()
        see_that_the_bucket_is_right(self.home.books)
        assert list(ledger_folder(database).iterdir()) == []
        print(f"kills: {dict(kills)}; requests: {dict(seen)}")


@pytest.mark.parametrize("kills", [FEW * 3 // 10, pytest.param(KILLS * 3 // 10, marks=LONG)])
def test_killed_servers_and_engines_leave_each_request_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked: Forks, kills: int
) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    with house(str(tmp_path / "accounts.db"), tmp_path, forked) as home:
        Night(home, random.Random(kills)).pass_by(kills)


@pytest.mark.parametrize("outage", ["refuse", "allow"])
@pytest.mark.parametrize("kills", [FEW * 7 // 20, pytest.param(KILLS * 7 // 20, marks=LONG)])
def test_killed_servers_engines_and_databases_leave_each_request_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked: Forks, outage: str, kills: int
) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with postgres.own() as server, house(server.url, tmp_path, forked) as home:
        home.options = ("--on-outage", outage)
        Night(home, random.Random(kills), server).pass_by(kills)


def test_a_server_that_another_one_replaces_finishes_what_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked: Forks
) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    with house(str(tmp_path / "accounts.db"), tmp_path, forked, context=1024) as home:
        customers = Customers(home.serve(), home.key, "tiny", most_tokens=800)
        old = home.held
        customers.come(CUSTOMERS)
        new = home.serve()
        wait_until(lambda: sum(got.midway for got in list(customers.now.values())) > 1)
        running = [got for got in list(customers.now.values()) if got.midway]
        customers.url = new
        old.close()  # SIGTERM, and a clean end
        wanted = len(customers.admitted) + CUSTOMERS
        wait_until(lambda: len(customers.admitted) >= wanted)
        customers.leave()
        home.stop()
        assert running and all(got.whole or got.left for got in customers.got.values() if got.status == 200)
        assert customers.failures == []
        seen = see_that_each_was_counted_once(home.books, customers)
        assert seen["settled"] == len(customers.admitted)
        home.books.see_that_it_adds_up()
        see_that_the_bucket_is_right(home.books)
