"""Sheet: where wafers and their regions lie on a picture: as large as they can be, in rows, each with its number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from undiced.draw.canvas import Canvas
from undiced.draw.lettering import Box, text_width
from undiced.sim.atlas.atlas import Atlas, Place

WIDTH = 1200.0  # of every picture: readable as it is on a small screen
MARGIN = 24.0
_RADIUS = 3.0  # of a wafer's corners
_GAP, _CAPTION = 14.0, 18.0
_HEIGHTS = ((1, 540.0), (12, 620.0))  # of all wafers, for so many of them
_MOST = 860.0


@dataclass(frozen=True, slots=True)
class Room:
    """What a view may take, in pixels; without a height as much as so many wafers need."""

    width: float
    height: float | None = None


PICTURE = Room(WIDTH)
PAGE = Room(900.0, 470.0)  # of a page that has words, a time line and figures around it
_EDGE = 0.75  # pixels that neighboring regions leave between them, on each side


@dataclass(frozen=True, slots=True)
class Sheet:
    """A grid of wafers.

    Attributes:
        order: where each wafer comes. scale: pixels a core.
    """

    atlas: Atlas
    room: Room
    order: dict[int, int]
    top: float
    columns: int
    scale: float

    @classmethod
    def of(cls, atlas: Atlas, room: Room, top: float) -> Sheet:
        """The grid in which wafers are largest."""
        order = {wafer: number for number, wafer in enumerate(atlas.drawn)}
        high = room.height or next((height for most, height in _HEIGHTS if len(order) <= most), _MOST)
        sizes = {
            columns: _scale(atlas, (columns, ceil(len(order) / columns)), (room.width, high))
            for columns in range(1, len(order) + 1)
        }
        best = max(sizes, key=lambda columns: (round(sizes[columns], 6), -columns))
        return cls(atlas, room, order, top, best, sizes[best])

    @property
    def right(self) -> float:
        """Where the widest row ends."""
        return MARGIN + self.columns * (self.atlas.mesh[0] * self.scale + _GAP)

    @property
    def bottom(self) -> float:
        """Where the last row ends."""
        return self.top + ceil(len(self.order) / self.columns) * self._pitch

    @property
    def _pitch(self) -> float:
        return self.atlas.mesh[1] * self.scale + _GAP + _CAPTION

    def wafer(self, number: int) -> Box:
        """Where a wafer lies."""
        row, column = divmod(self.order[number], self.columns)
        width, height = (side * self.scale for side in self.atlas.mesh)
        return Box(MARGIN + column * (width + _GAP), self.top + row * self._pitch + _CAPTION, width, height)

    def region(self, place: Place) -> Box:
        """Where a place lies, a hair smaller than it is."""
        chip, rect = self.wafer(place.wafer), place.rect
        whole = Box(
            chip.x + rect.x * self.scale,
            chip.y + rect.y * self.scale,
            rect.width * self.scale,
            rect.height * self.scale,
        )
        return whole.inset(_EDGE)

    def wafers(self, canvas: Canvas) -> Iterator[tuple[int, Place, Box]]:
        """Draws the wafers, and says where each of their regions is to be drawn."""
        for number in self.order:
            chip = self.wafer(number)
            caption = next((w for w in (f"wafer {number}", f"{number}") if text_width(w, 11) <= chip.width), "")
            canvas.text((chip.x, chip.y - 5), caption, 11, "faint")
            canvas.rect(Box(chip.x - 2, chip.y - 2, chip.width + 4, chip.height + 4), "face", radius=_RADIUS)
            for index, place in self.atlas.of_wafer(number):
                yield index, place, self.region(place)
            around = Box(chip.x - 2.5, chip.y - 2.5, chip.width + 5, chip.height + 5)
            canvas.frame(around, "edge", 0.8, radius=_RADIUS)


def _scale(atlas: Atlas, grid: tuple[int, int], room: tuple[float, float]) -> float:
    wide = (room[0] - 2 * MARGIN) / grid[0] - _GAP
    high = room[1] / grid[1] - _GAP - _CAPTION
    return max(min(wide / atlas.mesh[0], high / atlas.mesh[1]), 1e-4)


def title(place: Place) -> str:
    """A region and what it holds, in one line."""
    rect = place.rect
    where = f"region {place.name} on wafer {place.wafer}, {rect.width} x {rect.height} cores from ({rect.x}, {rect.y})"
    return f"{where}: {', '.join(place.contents.lines)}"
