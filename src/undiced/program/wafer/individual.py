"""One wafer as it came out of the fab: what is dead on it, and where a program's cores lie around that.

Programs speak of logical cores. A row of the wafer has spare cores at places of its own; a logical core lies, without
defects, at the place of its number among the others, and is moved on to the right where defects want it. Neighbors in a
row are then one core apart, or two with a skip link; neighbors in a column are straight below each other, or diagonal.
Knows no machine: places of spares and the moves are data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct

from undiced.program.rect import Rect

# Where a link leads from the core that it is named after: columns to the right, rows down.
WAYS = MappingProxyType({"east": (1, 0), "skip": (2, 0), "south": (0, 1), "south-east": (1, 1), "south-west": (-1, 1)})


class Cut(NamedTuple):
    """A broken link: from the core at x, y on its `way`."""

    x: int
    y: int
    way: str


class Shift(Struct, frozen=True):
    """Logical columns from `start` to `stop` (left out) of a row lie `by` cores to the right of where they would."""

    row: int
    start: int
    stop: int
    by: int


class Individual(Struct, frozen=True):
    """One wafer of a program.

    Attributes:
        wafer: its number in the program.
        map: the name of its defect map; digest: of the map.
        width: logical cores of a row; rows: of the wafer.
        spares: physical columns that are spares, in order.
        dead: (x, y) of cores that hold nothing; cuts: links that carry nothing.
        shifts: of all rows that a program may use, in order.
        first, last: logical rows that are whole.
    """

    wafer: int
    map: str
    digest: str
    width: int
    rows: int
    spares: tuple[int, ...]
    dead: tuple[tuple[int, int], ...]
    cuts: tuple[Cut, ...]
    shifts: tuple[Shift, ...]
    first: int
    last: int

    @property
    def columns(self) -> int:
        """Cores of a row, spares included."""
        return self.width + len(self.spares)

    def moved(self, row: int) -> list[int]:
        """How far each logical core of a row lies to the right of where it would."""
        found = [0] * self.width
        for shift in _by_row(self).get(row, ()):
            found[shift.start : shift.stop] = [shift.by] * (shift.stop - shift.start)
        return found

    def row(self, row: int) -> list[int]:
        """The physical column of each logical core of a row."""
        return [home + by for home, by in zip(homes(self.width, self.spares), self.moved(row), strict=True)]

    def longer(self, rect: Rect, along_x: bool, span: int) -> tuple[int, int]:
        """Links past dead cores and diagonal links, beyond those of a wafer without defects, of the worst line of
        `span` cores, side by side in a rectangle, from its first core to its last."""
        return (_past(self, rect, span), 0) if along_x else (0, _diagonal(self, rect, span))


@lru_cache(maxsize=64)
def homes(width: int, spares: tuple[int, ...]) -> tuple[int, ...]:
    """The physical column of each logical core of a row without defects."""
    taken = set(spares)
    return tuple(x for x in range(width + len(spares)) if x not in taken)[:width]


@lru_cache(maxsize=64)
def _by_row(one: Individual) -> dict[int, list[Shift]]:
    found: dict[int, list[Shift]] = defaultdict(list)
    for shift in one.shifts:
        found[shift.row].append(shift)
    return dict(found)


def touched(one: Individual, rect: Rect) -> Iterator[int]:
    """Rows of a rectangle in which something is moved."""
    return (row for row in sorted(_by_row(one)) if rect.y <= row < rect.y + rect.height)


def _past(one: Individual, rect: Rect, span: int) -> int:
    """A line is longer by as much as its last core is moved more than its first."""
    worst = 0
    for row in touched(one, rect):
        moved = one.moved(row)
        ends = range(rect.x, rect.x + rect.width - span + 1, span)
        worst = max([worst, *(moved[at + span - 1] - moved[at] for at in ends)])
    return worst


def _diagonal(one: Individual, rect: Rect, span: int) -> int:
    """Every step between rows that are moved differently is a diagonal link."""
    crossed: dict[tuple[int, int], int] = defaultdict(int)  # by line and column
    near = {row + step for row in touched(one, rect) for step in (-1, 0)}
    for row in near:
        line = (row - rect.y) // span
        if row < rect.y or (row + 1 - rect.y) // span != line or (line + 1) * span > rect.height:
            continue
        for column, (here, below) in enumerate(zip(one.moved(row), one.moved(row + 1), strict=True)):
            if here != below and rect.x <= column < rect.x + rect.width:
                crossed[line, column] += abs(here - below)
    return max(crossed.values(), default=0)
