"""The server, its engine and its database are killed while customers are served: each request is counted once, with
what its customer got.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from folders import make_folder
from live import Server, engines, running
from sqlalchemy import select
from support import postgres
from support.customers import Customers, Got
from support.databases import PEPPER
from support.ledgers import OPERATOR, RATES, Books

from undiced.account.accounts import Accounts, ledger_folder
from undiced.account.errors import DatabaseAwayError
from undiced.account.keys import KeyOrder
from undiced.account.ledger_tables import LIMITS, REQUESTS
from undiced.account.recovery import recover

pytestmark = pytest.mark.wire
KILLS = int(os.environ.get("UNDICED_TESTS_KILLS", "20"))
CAPACITY, DAY_MS = 1_000_000, 86_400_000  # tokens a day: a bucket that gains 12 a second
CUSTOMERS = 4
_ENGINES_MOST = 4


@dataclass
class House:
    """A server that is started again whenever it was killed, and its books."""

    folder: Path
    url: str
    books: Books
    key: str
    options: tuple[str, ...] = ()
    held: ExitStack = field(default_factory=ExitStack)
    server: Server | None = None
    engines_killed: int = 0  # of this server

    def serve(self) -> str:
        """Start the server; where it is."""
        options = ("--auth", "--db", self.url, "--admin-port", "0", "--max-batch", "4", "--log-level", "error")
        self.held, self.engines_killed = ExitStack(), 0
        self.server = self.held.enter_context(running(*options, *self.options, model=str(self.folder)))
        return self.server.url

    def kill(self) -> None:
        assert self.server is not None
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self.held.close()

    def kill_engine(self) -> bool:
        """False where the server would give it up: it starts one again only so often."""
        assert self.server is not None
        if self.engines_killed == _ENGINES_MOST:
            return False
        self.engines_killed += 1
        for process in engines(self.server.process.pid):
            os.kill(process, signal.SIGKILL)
        return True

    def stop(self) -> None:
        self.held.close()


@contextmanager
def house(url: str, place: Path) -> Iterator[House]:
    folder = make_folder(place / "tiny")
    accounts = Accounts(url)
    try:
        books = Books.open(accounts)
        books.clock.stop()
        project = accounts.projects.show(OPERATOR, books.org, books.project)
        key, text = accounts.keys.create(OPERATOR, KeyOrder("inference", books.org, project.name))
        books.key = key.id
        accounts.limits.set(OPERATOR, books.org, {"tpd": CAPACITY, "concurrency": 64})
        accounts.prices.set(OPERATOR, "tiny", RATES)
        accounts.credits.add(OPERATOR, books.org, 10**12)
        yield House(folder, url, books, text.reveal())
    finally:
        accounts.close()


def rows_by_name(books: Books) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for row in books.rows().values():
        found.setdefault(str(row["request_id"]), []).append(row)
    return found


def see_that_each_was_counted_once(books: Books, customers: Customers) -> Counter[str]:
    """Every request against what its customer got; returns how many rows ended in which way."""
    rows, seen = rows_by_name(books), Counter[str]()
    assert not rows.keys() - customers.got.keys()
    for name, got in customers.got.items():
        found = rows.get(name, [])
        assert len(found) <= 1, found
        if not found:
            assert not got.tokens, (name, got)
            continue
        (row,) = found
        seen[str(row["state"])] += 1
        see(name, got, row)
    return seen


def see(name: str, got: Got, row: dict[str, object]) -> None:
    counted = int(str(row["completion_tokens"]))
    assert row["state"] in ("settled", "released", "recovered"), (name, row)
    if got.whole:
        assert (row["state"], counted) == ("settled", got.tokens) or row["state"] == "recovered", (name, got, row)
    broken = row["state"] == "recovered" or row["finish_reason"] == "error"
    if broken and not got.left:  # what is written to one who has left is his
        assert abs(counted - got.tokens) <= max(got.step, 2), (name, got, row)
    assert counted >= got.tokens - got.step, (name, got, row)


def see_that_the_bucket_is_right(books: Books) -> None:
    """What is missing in it is what was charged, less what it may have gained meanwhile; and nothing runs."""
    columns = (LIMITS.c.metric, LIMITS.c.level, LIMITS.c.updated_ms)
    with books.accounts.database.read() as transaction:
        limits = {row.metric: row for row in transaction.connection.execute(select(*columns))}
        ended = transaction.connection.execute(select(REQUESTS).where(REQUESTS.c.state != "released")).mappings().all()
        begun = min(row["created_ms"] for row in ended)
    assert limits["concurrency"].level == 0
    charged = sum(row["prompt_tokens"] + row["completion_tokens"] for row in ended)
    missing = CAPACITY - limits["tokens"].level / DAY_MS
    gained = CAPACITY * (limits["tokens"].updated_ms - begun) / DAY_MS
    assert charged - gained - 1 <= missing <= charged, (charged, gained, missing)


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
