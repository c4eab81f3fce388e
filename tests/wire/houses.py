"""A house: a server on real books that is killed and started again, and what its books must say of its customers."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from folders import make_folder
from live import Server, engines, running
from sqlalchemy import select
from support.customers import Customers, Got
from support.forked import Forks
from support.ledgers import OPERATOR, RATES, Books

from undiced.account.accounts import Accounts
from undiced.account.keys import KeyOrder
from undiced.account.ledger_tables import LIMITS, REQUESTS

CAPACITY, DAY_MS = 1_000_000, 86_400_000  # tokens a day: a bucket that gains 12 a second
_ENGINES_MOST = 4


@dataclass
class House:
    """A server that is started again whenever it was killed, and its books. `forks`: what starts it, if anything does
    but Python. `kills`: how many of its processes were.
    """

    folder: Path
    url: str
    books: Books
    key: str
    forks: Forks | None = None
    options: tuple[str, ...] = ()
    held: ExitStack = field(default_factory=ExitStack)
    server: Server | None = None
    engines_killed: int = 0  # of this server
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def words(self) -> tuple[str, ...]:
        """What the server is told."""
        options = ("--auth", "--db", self.url, "--admin-port", "0", "--max-batch", "4", "--log-level", "error")
        return (*options, *self.options)

    def serve(self) -> str:
        """Start the server; where it is."""
        self.held, self.engines_killed = ExitStack(), 0
        started = running(*self.words, model=str(self.folder), forks=self.forks)
        self.server = self.held.enter_context(started)
        return self.server.url

    def kill(self) -> None:
        """Kill the server."""
        assert self.server is not None
        self.server.process.send_signal(signal.SIGKILL)
        assert self.server.process.wait() == -signal.SIGKILL
        self.held.close()
        self.kills["server"] += 1

    def kill_while_it_starts(self, after_s: float) -> None:
        """Start a server, and kill it so soon, unless it has given up: a database that restarts takes nobody in."""
        assert self.forks is not None
        process = self.forks.start("serve", str(self.folder), "--port", "0", "--json", *self.words)
        with process.stdout:
            time.sleep(after_s)
            process.kill()
            killed = process.wait() == -signal.SIGKILL
        assert killed or (process.returncode == 1 and "postgresql" in self.url), process.returncode
        self.kills["starting server"] += killed

    def kill_engine(self) -> bool:
        """False where there is none just now, or the server would give it up: it starts one again only so often."""
        assert self.server is not None
        found = engines(self.server.process.pid)
        if self.engines_killed == _ENGINES_MOST or not found:
            return False
        self.engines_killed += 1
        for process in found:
            os.kill(process, signal.SIGKILL)
        self.kills["engine"] += 1
        return True

    def stop(self) -> None:
        self.held.close()


@contextmanager
def house(url: str, place: Path, forks: Forks | None = None, context: int | None = None) -> Iterator[House]:
    folder = make_folder(place / "tiny", context=context)
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
        yield House(folder, url, books, text.reveal(), forks)
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
    write = max((got.step for got in customers.got.values() if got.stream), default=0)
    for name, got in customers.got.items():
        found = rows.get(name, [])
        assert len(found) <= 1, found
        if not found:
            assert not got.tokens, (name, got)
            continue
        (row,) = found
        seen[str(row["state"])] += 1
        (see_stream if got.stream else see_whole)(name, got, row, write)
    return seen


def see_whole(name: str, got: Got, row: dict[str, object], _: int) -> None:
    """Who gets nothing pays nothing, unless he left; who gets it pays for it, or nothing if the server then died."""
    counted = int(str(row["completion_tokens"]))
    assert got.left or counted in (0, got.tokens), (name, got, row)
    assert row["state"] in (("settled", "recovered") if counted else ("released",)), (name, got, row)


def see_stream(name: str, got: Got, row: dict[str, object], write: int) -> None:
    """He pays for what he got, up to a write if the server died, and for what was sent after him if he left."""
    counted = int(str(row["completion_tokens"]))
    assert row["state"] in ("settled", "released", "recovered"), (name, row)
    if got.whole:
        assert (row["state"], counted) == ("settled", got.tokens) or row["state"] == "recovered", (name, got, row)
    broken = row["state"] == "recovered" or row["finish_reason"] == "error"
    if broken and not got.left:
        assert abs(counted - got.tokens) <= max(write, 2), (name, got, row)
    assert counted >= got.tokens - write, (name, got, row)


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
