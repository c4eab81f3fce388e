"""Database: the connection to SQLite or PostgreSQL, its transactions and its clock. Knows no tables.

A write transaction of SQLite begins with the lock, so that two of them never find out at the end that one must fail.
Every commit is on the disk before it is believed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from undiced.account.errors import DatabaseAwayError, DatabaseError

_BUSY_MS = 5000
_CONNECT_S = 5
_POOL = 4
_PSYCOPG = "postgresql+psycopg"
_FORMS = "Give a file, as accounts.db, or postgresql://USER@HOST/NAME."
_CLOCKS = {  # Unix milliseconds
    "sqlite": "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
    "postgresql": "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
}


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction. `now_ms`: the database's clock when it began, in Unix milliseconds."""

    connection: Connection
    now_ms: int

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
        return str(self.file) if self.file else self.url.render_as_string(hide_password=True)

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
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield self._begun(connection)
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
            yield self._begun(connection)
            connection.commit()

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        self.engine.dispose()

    def _begun(self, connection: Connection) -> Transaction:
        return Transaction(connection, int(connection.exec_driver_sql(_CLOCKS[self.dialect]).scalar_one()))

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """The driver's errors as ours. What breaks a rule of a table is a bug of ours, or the caller's to catch."""
        try:
            yield
        except OperationalError as error:
            raise self._told(error) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise self._away(error) from error
            raise

    def _told(self, error: OperationalError) -> DatabaseError | DatabaseAwayError:
        words = str(error.orig).strip().partition("\n")[0]
        place = self.file
        if place is None:
            return self._away(error)
        if "locked" in words or "busy" in words:
            return DatabaseAwayError(
                f"Another process holds the lock of {self.shown}.", remedy="Try again.", retry_after_s=1.0
            )
        if "readonly" in words or "read-only" in words:
            return DatabaseError(
                f"{self.shown} can't be written.", remedy="Give this user the right to write it and its folder."
            )
        if "unable to open" in words:
            why = (
                "is a folder"
                if place.is_dir()
                else "can't be opened"
                if place.parent.is_dir()
                else "has no folder to be in"
            )
            return DatabaseError(f"{self.shown} {why}.", remedy="Give another file with --db.")
        if "full" in words:
            return DatabaseError(f"The disk of {self.shown} is full.", remedy="Make room on it.")
        return DatabaseError(f"{self.shown} can't be used: {words[:200]}.", remedy="See: undiced db check.")

    def _away(self, error: DBAPIError) -> DatabaseAwayError:
        words = str(error.orig).strip().partition("\n")[0]
        remedy = "See that the server runs and that --db names it."
        return DatabaseAwayError(f"{self.shown} does not answer: {words[:200]}.", remedy=remedy, retry_after_s=1.0)


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


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return sqlalchemy.create_engine(
            url, pool_size=_POOL, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_S}, hide_parameters=True
        )
    options = {"timeout": _BUSY_MS / 1000, "check_same_thread": False}
    engine = sqlalchemy.create_engine(url, pool_size=_POOL, connect_args=options, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepared(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun by us, not by the driver's guess
        for line in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {_BUSY_MS}"):
            connection.execute(f"PRAGMA {line}")

    return engine
