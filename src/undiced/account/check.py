"""Sees whether a database of accounts is whole: its schema, its pages, what rows refer to, its pepper. Changes nothing.

PostgreSQL sees to its own pages and references.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from undiced.account import schema
from undiced.account.accounts import fitting_pepper, known_pepper
from undiced.account.errors import DatabaseError
from undiced.account.instances import Instances
from undiced.account.tables import AUDIT, KEYS, MEMBERS, ORGANIZATIONS, PROJECTS

if TYPE_CHECKING:
    from undiced.account.database import Database, Transaction

_STEPS = 200_000  # of SQLite's machine, between two signs of life
_MOST_FAULTS = 10
_COUNTED = {
    "organizations": ORGANIZATIONS, "projects": PROJECTS, "members": MEMBERS, "keys": KEYS, "audit": AUDIT
}  # fmt: skip
Told = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what is so, in words; or what is wrong, and what to do about it."""

    what: str
    words: str
    remedy: str = ""

    @property
    def fine(self) -> bool:
        """Whether nothing has to be done."""
        return not self.remedy


def check(database: Database, pepper_file: Path | None, told: Told = lambda *_: None) -> Iterator[Finding]:
    """All findings, one after the other.

    Args:
        told: gets the share that is done and what is being done.

    Raises:
        DatabaseError: there are no accounts, or the database is of another program.
    """
    yield _schema(database)
    if database.dialect == "sqlite":
        told(0.1, "Checking pages")
        yield _sound(database, "pages", "integrity_check", lambda: told(0.1, ""))
        told(0.6, "Checking references")
        yield _sound(database, "references", "foreign_key_check", lambda: told(0.6, ""))
    told(0.9, "Checking the pepper")
    yield _pepper(database, pepper_file)


def _schema(database: Database) -> Finding:
    if (found := schema.present(database)) == schema.HEAD:
        return Finding("schema", f"{found}, the newest")
    try:
        schema.require(database, create=False)
    except DatabaseError as error:
        return Finding("schema", error.message, error.remedy)
    return Finding("schema", found)


def _sound(database: Database, what: str, pragma: str, alive: Callable[[], None]) -> Finding:
    """What SQLite says of itself."""
    with database.read() as transaction, _living(transaction, alive):
        rows = transaction.connection.exec_driver_sql(f"PRAGMA {pragma}").fetchmany(_MOST_FAULTS)
    faults = [" ".join(map(str, row)) for row in rows if tuple(row) != ("ok",)]
    if not faults:
        return Finding(what, "whole")
    remedy = "Restore a copy that undiced db backup made, or save what can be read: sqlite3 FILE .recover."
    return Finding(what, f"damaged: {'; '.join(faults)}.", remedy)


@contextmanager
def _living(transaction: Transaction, alive: Callable[[], None]) -> Iterator[None]:
    """Says that a long query goes on. Ctrl-C ends it: within the callback SQLite would swallow it."""
    driver = transaction.connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    interrupted = False

    def sign() -> int:
        nonlocal interrupted
        try:
            alive()
        except KeyboardInterrupt:
            interrupted = True
        return interrupted

    driver.set_progress_handler(sign, _STEPS)
    try:
        yield
    except DBAPIError as error:
        if interrupted or "interrupted" in str(error.orig):  # in the callback's own lines, too
            raise KeyboardInterrupt from None
        raise
    finally:
        driver.set_progress_handler(None, 0)


def _pepper(database: Database, pepper_file: Path | None) -> Finding:
    if known_pepper(database) is None:
        return Finding("pepper", "none yet, and no keys")
    try:
        fitting_pepper(database, pepper_file, create=False)
    except DatabaseError as error:
        return Finding("pepper", error.message, error.remedy)
    return Finding("pepper", "fits the keys")


def counts(database: Database) -> dict[str, int]:
    """How many there are of everything, and how many servers use it now."""
    servers = len(Instances(database).living())
    with database.read() as transaction:
        return {"servers": servers} | {
            name: transaction.connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in _COUNTED.items()
        }
