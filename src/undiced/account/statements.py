"""Statements that a ledger runs for every request: put into words once per database, and handed to its driver as they
are. SQLAlchemy looks at a statement anew each time, and takes longer for that than SQLite takes to do it.

Only for numbers and texts: what a driver takes and gives needs no change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, false

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, CursorResult
    from sqlalchemy.engine import Connection, Dialect
    from sqlalchemy.sql.expression import ClauseElement

_SIZES_MOST = 256  # of lists, for which the words are remembered
Row = Mapping[str, object]


class Statement:
    """One statement. `columns`: those that an INSERT sets, by name."""

    def __init__(self, clause: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._clause, self._columns = clause, columns
        self._words: dict[str, tuple[str, Sequence[str] | None]] = {}

    def one(self, connection: Connection, values: Row) -> CursorResult[tuple[object, ...]]:
        """Run it once."""
        text, order = self._in_words(connection.dialect)
        return connection.exec_driver_sql(text, _given(values, order))

    def each(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run it for each of some rows, at least one."""
        text, order = self._in_words(connection.dialect)
        given = [_given(row, order) for row in rows]
        connection.exec_driver_sql(text, given[0] if len(given) == 1 else given)  # drivers make much ado about lists

    def _in_words(self, dialect: Dialect) -> tuple[str, Sequence[str] | None]:
        """Its text, and the order of its values; None where they have names."""
        found = self._words.get(dialect.name)
        if found is None:
            made = self._clause.compile(dialect=dialect, column_keys=self._columns)
            found = self._words[dialect.name] = (str(made), getattr(made, "positiontup", None))
        return found


class ListStatement:
    """A statement about lists of values. `make`: it for lists of such sizes; see `among`."""

    def __init__(self, make: Callable[..., ClauseElement]) -> None:
        self._make = make
        self._made: dict[tuple[int, ...], Statement] = {}

    def run(
        self, connection: Connection, *lists: Sequence[object], **values: object
    ) -> CursorResult[tuple[object, ...]]:
        """Run it."""
        sizes = tuple(map(len, lists))
        statement = self._made.get(sizes)
        if statement is None:
            if len(self._made) >= _SIZES_MOST:
                self._made.clear()
            statement = self._made[sizes] = Statement(self._make(*sizes))
        given = {f"{at}_{place}": value for at, some in enumerate(lists) for place, value in enumerate(some)}
        return statement.one(connection, given | values)


def among(column: ColumnElement[str], at: int, size: int) -> ColumnElement[bool]:
    """Whether a column has one of the values of the list at a place."""
    return column.in_([bindparam(f"{at}_{place}") for place in range(size)]) if size else false()


def _given(values: Row, order: Sequence[str] | None) -> tuple[object, ...] | dict[str, object]:
    return dict(values) if order is None else tuple(values[name] for name in order)
