"""Database: the connection to SQLite or PostgreSQL, its transactions and its clock. Knows no tables.

A write transaction of SQLite begins with the lock, so that two of them never find out at the end that one must fail.
Every commit is on the disk before it is believed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from undiced.account.errors import DatabaseAwayError, DatabaseError

_BUSY_MS = 5000
_POOL = 4
_WAIT_S = 5  # for a connection of the pool
_PSYCOPG = "postgresql+psycopg"
_FORMS = "Give a file, as accounts.db, or postgresql://USER@HOST/NAME."
_CLOCKS = {  # Unix milliseconds
    "sqlite": "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
    "postgresql": "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
}
_PATIENCE = f", set_config('lock_timeout', '{_BUSY_MS}', true)"  # with the clock: a question less
_ALIVE = {  # libpq's: a server that is gone without a word is noticed
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_LOCKED = ("locked", "busy", "lock timeout")


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction. `now_ms`: the database's clock when it began, in Unix milliseconds. `writes`: it may change
    rows.
    """

    connection: Connection
    now_ms: int
    writes: bool

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
        self.dialect = self.url.get_backend_name()
        try:
            self.engine = _engine(self.url)
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
        with self._failing(), self.engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield self._begun(connection, writes=False)
            connection.rollback()

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end of the block, or rolled back by an error.

        Raises:
            DatabaseAwayError: it does not answer, or another process holds its lock too long.
            DatabaseError: it can't be written.
        """
        with self._failing(), self.engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield self._begun(connection, writes=True)
            self._commit(connection)

    def _commit(self, connection: Connection) -> None:
        """Commit. Who loses the connection meanwhile does not know whether it was done, and is told so."""
        try:
            with self._failing():
                connection.commit()
        except (DatabaseAwayError, DatabaseError) as error:
            error.unsure = True
            raise

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        self.engine.dispose()

    def _begun(self, connection: Connection, *, writes: bool) -> Transaction:
        words = _CLOCKS[self.dialect] + (_PATIENCE if writes and self.dialect == "postgresql" else "")
        now_ms = int(connection.exec_driver_sql(words).scalar_one())
        return Transaction(connection, now_ms, writes)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """The driver's errors as ours. What breaks a rule of a table, or is no value, is the caller's to catch."""
        try:
            yield
        except (IntegrityError, DataError):
            raise
        except DBAPIError as error:
            raise self._told(str(error.orig), away=error.connection_invalidated or _unreached(error)) from error
        except sqlite3.Error as error:  # while a connection is prepared
            raise self._told(str(error), away=False) from error
        except PoolTimeoutError as error:
            words = "all connections are in use"
            raise DatabaseAwayError(f"{self.shown}: {words}.", remedy="Try again.", retry_after_s=1.0) from error

    def _told(self, words: str, *, away: bool) -> DatabaseError | DatabaseAwayError:
        words = words.strip().partition("\n")[0][:200].removesuffix(".")
        if any(sign in words for sign in _LOCKED):
            message = f"Another process holds a lock of {self.shown}."
            return DatabaseAwayError(message, remedy="Try again.", retry_after_s=1.0)
        if away:
            remedy = "See that the server runs and that --db names it."
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


def _unreached(error: DBAPIError) -> bool:
    """Whether a server failed, and not what was asked of it."""
    return isinstance(error, OperationalError) and not isinstance(error.orig, sqlite3.Error)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return sqlalchemy.create_engine(
            url,
            pool_size=_POOL,
            pool_timeout=_WAIT_S,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            connect_args=_ALIVE,
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
        for line in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {_BUSY_MS}"):
            connection.execute(f"PRAGMA {line}")

    return engine
