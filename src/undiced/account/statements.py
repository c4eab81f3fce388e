"""Statements that are run for every request: put into words once per database, for its driver and not for SQLAlchemy,
which takes longer to look at a statement than SQLite takes to do it.

Only for numbers, texts and lists of texts: what a driver takes and gives needs no change. `exchange` runs them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Integer, Text, bindparam
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine.result import result_tuple
from sqlalchemy.ext.compiler import compiles

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.expression import ClauseElement

Value = int | str | None
_DIALECTS = {"sqlite": sqlite_dialect(), "postgresql": PGDialect(paramstyle="numeric_dollar")}  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Words:
    """A statement in the words of one database.

    Attributes:
        name: made of the text, so that where connections are shared nobody runs another one under it. order: of its
            values, by name.
        readers: of the columns of its rows, from text; none if it has no rows. row: makes a row of its columns.
    """

    name: str
    text: str
    order: tuple[str, ...]
    readers: Sequence[Callable[[bytes], Value]]
    row: Callable[[tuple[object, ...]], Row[tuple[object, ...]]]


class Statement:
    """One statement. `columns`: those that an INSERT sets, by name."""

    def __init__(self, clause: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._clause, self._columns = clause, columns
        self._words: dict[str, Words] = {}

    def of(self, **values: Value | list[str]) -> Order:
        """To be run once. A list is one of those that `among` takes."""
        given = {name: json.dumps(value) if isinstance(value, list) else value for name, value in values.items()}
        return Order(self, (given,))

    def each(self, rows: Sequence[Mapping[str, object]]) -> list[Order]:
        """To be run for each of some rows; nothing if there are none."""
        return [Order(self, rows)] if rows else []

    def words(self, kind: str) -> Words:
        """It in the words of a database."""
        found = self._words.get(kind)
        if found is None:
            made = self._clause.compile(dialect=_DIALECTS[kind], column_keys=self._columns)
            order = tuple(getattr(made, "positiontup", None) or ())
            columns = list(getattr(self._clause, "selected_columns", ()))
            row = result_tuple([column.name for column in columns])
            words, readers = str(made), [_reader(one) for one in columns]
            found = self._words[kind] = Words(_named(words), words, order, readers, row)
        return found


@dataclass(frozen=True, slots=True)
class Order:
    """A statement with its values; one that has rows has one set of values."""

    statement: Statement
    rows: Sequence[Mapping[str, object]]

    def values(self, words: Words) -> list[tuple[object, ...]]:
        """They, in the order of its words."""
        return [tuple([row[name] for name in words.order]) for row in self.rows]


Step = tuple[Words, list[tuple[object, ...]]]  # an order as a driver takes it


class among(ColumnElement[bool]):
    """Whether a column has one of the values of a list, which is given under a name."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[str], name: str) -> None:
        self.column, self.values = column, bindparam(name, type_=Text())


@compiles(among, "sqlite")
def _in_sqlite(element: among, compiler: SQLCompiler, **how: object) -> str:
    column, values = compiler.process(element.column, **how), compiler.process(element.values, **how)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(among, "postgresql")
def _in_postgresql(element: among, compiler: SQLCompiler, **how: object) -> str:
    column, values = compiler.process(element.column, **how), compiler.process(element.values, **how)
    return f"{column} = ANY (ARRAY(SELECT json_array_elements_text({values})))"


def _named(words: str) -> str:
    return f"undiced_{hashlib.sha256(words.encode()).hexdigest()[:32]}"


def _reader(column: ColumnElement[object]) -> Callable[[bytes], Value]:
    return int if isinstance(column.type, Integer) else bytes.decode
