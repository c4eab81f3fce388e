"""Database: the connection to SQLite or PostgreSQL, its transactions and its clock. Knows no tables.

A write transaction of SQLite begins with the lock, so that two of them never find out at the end that one must fail.
Every commit is on the disk before it is believed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy
from sqlalchemy import BigInteger, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from undiced.account.errors import DatabaseAwayError, DatabaseError
from undiced.account.exchange import Rows, exchange
from undiced.account.statements import Order, Statement

_BUSY_MS = 5000  # for a lock
_PAUSE_S = 0.01  # until a lock is tried again that SQLite does not wait for
_LAST_MS = 250  # for one of SQLite when this process ends
_POOL = 4
_WAIT_S = 5  # for a connection of the pool
_PSYCOPG = "postgresql+psycopg"
_FORMS = "Give a file, as accounts.db, or postgresql://USER@HOST/NAME."
_CLOCKS = {  # Unix milliseconds; with PostgreSQL's also how long a lock is waited for: a question less
    "sqlite": "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) AS now_ms",
    "postgresql": "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint) AS now_ms, "
    f"set_config('lock_timeout', '{_BUSY_MS}', true)",
}
_CLOCK = {
    kind: Statement(sqlalchemy.text(f"SELECT {words}").columns(now_ms=BigInteger)).of()
    for kind, words in _CLOCKS.items()
}
_READ, _WRITE = (
    {kind: Statement(sqlalchemy.text(f"BEGIN {how}")).of() for kind, how in hows.items()}
    for hows in (
        {"sqlite": "", "postgresql": "ISOLATION LEVEL REPEATABLE READ READ ONLY"},
        {"sqlite": "IMMEDIATE", "postgresql": "ISOLATION LEVEL READ COMMITTED"},
    )
)
_COMMIT = Statement(sqlalchemy.text("COMMIT")).of()
_PSYCOPGS = {
    "prepare_threshold": None,  # at each rollback it would have the server forget all, and ours, too
    "client_encoding": "utf8",
    "connect_timeout": 5,  # and a server that is gone without a word is noticed
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_POOLED = "Have the pooler in front of it keep a connection per client, as pool_mode = session does."
_LOCKED = ("locked", "busy", "lock timeout")


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction. `now_ms`: the database's clock when it began, in Unix milliseconds. `writes`: it may change
    rows. `first`: the rows of what was run with its beginning; `last`: what is run with its commit.
    """

    connection: Connection
    now_ms: int
    writes: bool
    first: list[Rows]
    last: list[Order] = field(default_factory=list)

    def run(self, *orders: Order) -> list[Rows]:
        """Run statements, one after another and in one trip; returns the rows of each."""
        return exchange(self.connection, orders)

    def leave(self, *orders: Order) -> None:
        """Have statements run at the end, in one trip with the commit."""
        self.last.extend(orders)

    @property
    def now(self) -> int:
        """The same in Unix seconds."""
        return self.now_ms // 1000


class Database:
    """See the file's head. Opens nothing until it is used.

    Args:
        url: a path, `sqlite:///PATH`, or `postgresql://...`.

    Raises:
        DatabaseError: the URL is none of these, or PostgreSQL's driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = _read(url)
        self._ends = threading.Event()
        self.dialect = self.url.get_backend_name()
        try:
            self.engine = _engine(self.url)
            self._driver = self.engine.dialect.loaded_dbapi
        except ModuleNotFoundError:
            raise DatabaseError(
                "PostgreSQL needs a driver that is not installed.", remedy="Run: pip install 'undiced[postgres]'."
            ) from None

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database."""
        return Path(self.url.database or "").absolute() if self.dialect == "sqlite" else None

    @property
    def shown(self) -> str:
        """What it is called in messages: without a password."""
        if self.file is not None:
            return str(self.file)
        bare = self.url.set(drivername="postgresql", query={})  # there may be a password in the query
        return bare.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that sees one state and changes nothing.

        Raises:
            DatabaseAwayError: it does not answer. DatabaseError: it can't be used as it is.
        """
        with self._connected() as connection:
            yield self._begun(connection, writes=False)
            connection.rollback()

    @contextlib.contextmanager
    def write(self, *first: Order) -> Iterator[Transaction]:
        """A transaction that is committed at the end of the block, or rolled back by an error.

        Args:
            first: what is run in one trip with its beginning.

        Raises:
            DatabaseAwayError: it does not answer, or another process holds its lock too long.
            DatabaseError: it can't be written.
        """
        with self._connected() as connection:
            transaction = self._begun(connection, *first, writes=True)
            yield transaction
            self._commit(transaction)

    def _commit(self, transaction: Transaction) -> None:
        """Run what was left, and commit. Who loses the connection meanwhile does not know whether it was done, and is
        told so.
        """
        try:
            with self._failing():
                exchange(transaction.connection, [*transaction.last, _COMMIT])
                transaction.connection.commit()
        except (DatabaseAwayError, DatabaseError) as error:
            error.unsure = True
            raise

    def hurry(self) -> None:
        """This process ends: who waits for a lock of SQLite gives up within a quarter of a second from now on."""
        self._ends.set()

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection. One that is lost meanwhile is not used again."""
        with self._failing(), self.engine.connect() as connection:
            try:
                yield connection
            except BaseException:
                if _lost(connection):
                    connection.invalidate()
                raise

    def _begun(self, connection: Connection, *first: Order, writes: bool) -> Transaction:
        """Begin a transaction. A connection that was idle may be lost: then on a new one, as nothing was done yet."""
        orders = ((_WRITE if writes else _READ)[self.dialect], _CLOCK[self.dialect], *first)
        try:
            _, (now,), *rows = self._locked(connection, orders, writes=writes)
        except self._driver.Error:
            if not _lost(connection):
                raise
            connection.invalidate()
            self.engine.dispose()  # the others are lost as well
            _, (now,), *rows = exchange(connection, orders)
        connection.begin()
        return Transaction(connection, now["now_ms"], writes, rows)

    def _locked(self, connection: Connection, orders: Sequence[Order], *, writes: bool) -> list[Rows]:
        """Run what begins a transaction. SQLite waits for its lock in short pieces, so that it can end between them."""
        if self.dialect != "sqlite":
            return exchange(connection, orders)
        _wait(connection, _LAST_MS if writes else _BUSY_MS)
        end_s = time.monotonic() + _BUSY_MS / 1000
        while True:
            try:
                return exchange(connection, orders)
            except sqlite3.OperationalError as error:
                if not (writes and _is_locked(str(error))) or self._ends.is_set() or time.monotonic() >= end_s:
                    raise

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """The driver's errors as ours. What breaks a rule of a table, or is no value, is the caller's to catch."""
        driver = self._driver
        try:
            yield
        except (IntegrityError, DataError, driver.IntegrityError, driver.DataError):
            raise
        except DBAPIError as error:
            raise self._told(error.orig, lost=error.connection_invalidated) from error
        except driver.Error as error:
            raise self._told(error) from error
        except PoolTimeoutError as error:
            words = "all connections are in use"
            raise DatabaseAwayError(f"{self.shown}: {words}.", remedy="Try again.", retry_after_s=1.0) from error

    def _told(self, error: BaseException | None, *, lost: bool = False) -> DatabaseError | DatabaseAwayError:
        away = lost or (self.dialect == "postgresql" and isinstance(error, self._driver.OperationalError))
        words = str(error).strip().partition("\n")[0][:200].removesuffix(".")
        if _is_locked(words):
            message = f"Another process holds a lock of {self.shown}."
            return DatabaseAwayError(message, remedy="Try again.", retry_after_s=1.0)
        if away:
            remedy = _POOLED if "prepared statement" in words else "See that the server runs and that --db names it."
            return DatabaseAwayError(f"{self.shown} does not answer: {words}.", remedy=remedy, retry_after_s=1.0)
        if "readonly" in words or "read-only" in words or "permission denied" in words:
            remedy = "Give this user the right to write it, and the folder of a file."
            return DatabaseError(f"{self.shown} can't be written.", remedy=remedy)
        if "unable to open" in words:
            return DatabaseError(f"{self.shown} {self._closed()}.", remedy="Give another file with --db.")
        if "not a database" in words:
            return DatabaseError(f"{self.shown} is no SQLite database.", remedy="Give another file with --db.")
        if "malformed" in words:
            remedy = "Restore a copy that undiced db backup made."
            return DatabaseError(f"{self.shown} is damaged.", remedy=remedy)
        if "full" in words or "No space" in words:
            return DatabaseError(f"The disk of {self.shown} is full.", remedy="Make room on it.")
        return DatabaseError(f"{self.shown} can't be used: {words}.", remedy="See: undiced db check.")

    def _closed(self) -> str:
        """Why a file can't be opened."""
        place = self.file or Path()
        if place.is_dir():
            return "is a folder"
        return "can't be opened" if place.parent.is_dir() else "has no folder to be in"


def _read(text: str) -> URL:
    """What a URL or a path says."""
    if not text.strip():
        raise DatabaseError("The database has no name.", remedy=_FORMS)
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseError("The database's URL can't be read.", remedy=_FORMS) from None
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    if url.drivername in ("postgresql", "postgres", _PSYCOPG):
        return url.set(drivername=_PSYCOPG)
    raise DatabaseError(f"{url.drivername[:40]!r} is no database of ours.", remedy=_FORMS)


def _lost(connection: Connection) -> bool:
    """Whether a connection was closed under our hands."""
    return not connection.invalidated and bool(getattr(connection.connection.driver_connection, "closed", False))


def _is_locked(words: str) -> bool:
    return any(sign in words for sign in _LOCKED)


def _wait(connection: Connection, milliseconds: int) -> None:
    """Let statements of a connection to SQLite wait so long for a lock."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _begin_log(connection: sqlite3.Connection) -> None:
    """Let a file have a log. Where several make a new one's at once SQLite refuses all but one, without waiting."""
    end = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_locked(str(error)) or time.monotonic() > end:
                raise
        time.sleep(_PAUSE_S)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return sqlalchemy.create_engine(
            url,
            pool_size=_POOL,
            pool_timeout=_WAIT_S,
            connect_args=_PSYCOPGS,
            hide_parameters=True,
        )
    options, making = {"timeout": _BUSY_MS / 1000, "check_same_thread": False}, threading.Lock()
    engine = sqlalchemy.create_engine(
        url, pool_size=_POOL, pool_timeout=_WAIT_S, connect_args=options, hide_parameters=True
    )

    @event.listens_for(engine, "do_connect")
    def private(*_: object) -> None:
        """A new file is for its owner alone; SQLite gives what it puts beside it the same mode.

        One that is there is never touched: to close a file takes all of this process's locks from it, those of its
        other connections too (fcntl(2)). Other processes would take the database for unused, and delete its log.
        """
        with making, contextlib.suppress(OSError):  # nobody connects to a new one before it is closed
            os.close(os.open(str(url.database), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    @event.listens_for(engine, "connect")
    def prepared(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun by us, not by the driver's guess
        _begin_log(connection)
        for line in ("synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {_BUSY_MS}"):
            connection.execute(f"PRAGMA {line}")

    return engine
