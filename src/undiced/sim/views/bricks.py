"""Bricks: what a region holds, a layer a row, each block as far as it lies there. Knows no wafer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from undiced.draw.canvas import Canvas
from undiced.draw.lettering import SIZES, Box, text_width
from undiced.sim.atlas.contents import Role
from undiced.sim.views.roles import PAINT

_GAP, _PAD, _GUTTER = 2.0, 3.0, 5.0  # pixels between rows, around them, and beside their names
_ROW_LEAST, _WIDE_LEAST, _COLUMNS_MOST = 10.1, 34.0, 4  # a row with a name beside it; so wide; columns of rows
_ROW_MOST = 38.0
_BESIDE, _ABOVE = 1.12, 2.1  # of a name's letters, the least height of a row that has its name there
_GUTTER_MOST = 1 / 2.4  # of a row


@dataclass(frozen=True, slots=True)
class Cell:
    """A stretch of a row, in shares of its length."""

    role: Role
    start: Fraction
    length: Fraction


@dataclass(frozen=True, slots=True)
class Row:
    """A layer, or an end of the model."""

    name: str
    cells: tuple[Cell, ...]


def row(name: str, roles: Sequence[Role], held: Sequence[tuple[Role, Fraction, Fraction]]) -> Row:
    """A layer of so many blocks of equal length, of which some lie here: each from a share of it on, and how much."""
    each = Fraction(1, max(len(roles), 1))
    return Row(name, tuple(Cell(role, (roles.index(role) + start) * each, share * each) for role, start, share in held))


@dataclass(frozen=True, slots=True)
class Grid:
    """How rows lie in a box: in columns, `height` pixels each."""

    rows: int
    columns: int
    height: float

    @classmethod
    def of(cls, count: int, box: Box) -> Grid:
        """For `count` rows: the fewest columns in which they are high enough, if any are."""
        most = max(min(_COLUMNS_MOST, int(box.width // _WIDE_LEAST)), 1)
        for columns in range(1, most + 1):
            rows = max(ceil(count / columns), 1)
            height = box.height / rows
            if height >= _ROW_LEAST + _GAP or columns == most:
                return cls(rows, columns, min(height, _ROW_MOST))
        raise AssertionError("there is at least one column")

    def boxes(self, count: int, box: Box) -> Iterator[Box]:
        """Where each row lies, without the gap to the next."""
        gap = min(_GAP, self.height / 4)
        wide = box.width / self.columns
        for number in range(count):
            column, line = divmod(number, self.rows)
            aside = _PAD if column < self.columns - 1 else 0.0
            yield Box(box.x + column * wide, box.y + line * self.height, wide - aside, self.height - gap)


@dataclass(frozen=True, slots=True)
class Names:
    """Where the names of all rows stand: beside them in a gutter of some pixels, or above them (0)."""

    size: float
    gutter: float


def names(found: Sequence[tuple[Sequence[Row], Box]], usual: int) -> Names | None:
    """How the names of all rows of all regions fit, the same everywhere; None if they don't.

    Args:
        usual: rows that a region has room for, though it may have fewer.
    """
    grids = ((rows, where, Grid.of(max(usual, len(rows)), where)) for rows, where in found)
    boxes = [box for rows, where, grid in grids for box in grid.boxes(len(rows), where)]
    wide, high = (min((getattr(box, side) for box in boxes), default=0.0) for side in ("width", "height"))
    for least, above in ((_BESIDE, False), (_ABOVE, True)):
        for size in SIZES:
            longest = max((text_width(each.name, size) for rows, _ in found for each in rows), default=0.0)
            room = wide if above else wide * _GUTTER_MOST - _GUTTER
            if high >= size * least and longest <= room:
                return Names(size, 0.0 if above else longest + _GUTTER)
    return None


def draw(canvas: Canvas, rows: Sequence[Row], where: Box, most: int, named: Names | None) -> None:
    """Rows from the top of a box on, as high as `most` of them would be."""
    for each, whole in zip(rows, Grid.of(most, where).boxes(len(rows), where), strict=True):
        box = whole if named is None else _named(canvas, each.name, whole, named)
        canvas.rect(box, "face", radius=1.5)
        for cell in each.cells:
            x = box.x + box.width * float(cell.start)
            canvas.rect(Box(x, box.y, box.width * float(cell.length), box.height), PAINT[cell.role], radius=1.5)


def _named(canvas: Canvas, name: str, box: Box, names: Names) -> Box:
    """Writes a row's name; returns what is left for the row."""
    if names.gutter:
        at = box.x + names.gutter - _GUTTER, box.y + box.height / 2 + names.size * 0.36
        canvas.text(at, name, names.size, "faint", "end")
        return Box(box.x + names.gutter, box.y, box.width - names.gutter, box.height)
    canvas.text((box.x, box.y + names.size * 0.86), name, names.size, "faint")
    return Box(box.x, box.y + names.size, box.width, box.height - names.size)
