"""Exchange: hands statements to the driver of a connection, past SQLAlchemy, and reads their rows. All of one call go
to PostgreSQL in one trip. Knows no tables, and leaves the driver's errors as they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping

from undiced.account.statements import Order, Step, Words

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

Rows = Sequence[RowMapping]


def exchange(connection: Connection, orders: Sequence[Order]) -> list[Rows]:
    """Run statements, one after another; returns the rows of each. After one that fails none is run."""
    driver, kind = connection.connection.driver_connection, connection.dialect.name
    assert driver is not None
    steps: list[Step] = [(words := order.statement.words(kind), order.values(words)) for order in orders]
    if isinstance(driver, sqlite3.Connection):
        found = [_of_sqlite(driver, *step) for step in steps]
    else:
        from undiced.account.pipeline import trip  # its driver need not be installed

        found = trip(driver, connection.info.setdefault("prepared", set()), steps)
    return [[words.row(row)._mapping for row in rows] for (words, _), rows in zip(steps, found, strict=True)]


def _of_sqlite(
    driver: sqlite3.Connection, words: Words, values: Sequence[tuple[object, ...]]
) -> list[tuple[object, ...]]:
    if len(values) == 1:
        return driver.execute(words.text, values[0]).fetchall()
    driver.executemany(words.text, values)
    return []
