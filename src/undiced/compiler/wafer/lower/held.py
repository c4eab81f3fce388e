"""Where the values of the graph are while its nodes are lowered, what is still to be done to them, and what they need
by position. Data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from undiced.program.wafer.layout import Axis, Dim, Spread
from undiced.program.wafer.value import Rotation, Table

Side = Literal["rows", "columns"]


class PendingNorm(Struct, frozen=True):
    """A root mean square norm that is not applied yet: its inverse root, which scales what products make of it.

    Attributes:
        source: the value that is normed; scaled: the same times the norm's weights (or itself).
    """

    source: str
    scaled: str
    eps: float
    width: int


class Held(Struct, frozen=True):
    """A value of the graph in a stream.

    Attributes:
        name: the stream's value.
        side: the axis that shares it out; on the other it is repeated.
        dims: its dimensions.
        norm: set while a norm waits for the product that takes it along.
    """

    name: str
    side: Side
    dims: tuple[Dim, ...]
    norm: PendingNorm | None = None


class Chosen(Struct, frozen=True):
    """The experts that a token visits.

    Attributes:
        ids, weights: (choice,) on every core.
    """

    ids: str
    weights: str


@dataclass(frozen=True, slots=True)
class ByPosition:
    """What every token needs of a table by its position: a row, laid out as `rows` and `columns` say.

    Positions are shared out over the axis that the row's dimensions leave free.
    """

    table: Table
    dims: tuple[Dim, ...]
    rows: Spread = ()
    columns: Spread = ()

    @property
    def axis(self) -> Axis:
        """The axis that shares out positions."""
        return Axis.COLUMNS if self.rows else Axis.ROWS

    @property
    def name(self) -> str:
        """Of the state that holds the row: equal names mean equal tables and layouts."""
        return _named(self)


@lru_cache(maxsize=256)
def _named(row: ByPosition) -> str:
    kind = row.table.part if isinstance(row.table, Rotation) else "growth"
    text = repr((row.table, row.dims, row.rows, row.columns))
    return f"{kind}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"
