"""Density: where on its wafers a token takes power, core by core, and the square centimeter that takes most.

What lines carry is spread evenly along them; what roots do lies with the roots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from undiced.machine.energy import COUNTS
from undiced.machine.wafer import Wafer
from undiced.program.wafer.program import Region
from undiced.sim.power.activity import Act

Numbers = NDArray[np.float64]
CM2_MM2 = 100.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a place does for one token: acts of each stream, and how often it runs it; `cycles` of the token's."""

    region: Region
    acts: tuple[tuple[int, tuple[Act, ...]], ...]
    cycles: float

    @property
    def total(self) -> Numbers:
        """Counts of all its cores."""
        found: Numbers = sum((act.total * times for times, acts in self.acts for act in acts), np.zeros(len(COUNTS)))
        return found

    def spread(self, joules: Numbers) -> Numbers:
        """Joules of each core by row and column of the region as it lies, at so many a count."""
        region = self.region
        found = np.zeros((region.rows, region.columns))
        for times, acts in self.acts:
            for act in acts:
                found += np.outer(act.rows, act.columns * float(act.each @ joules) * times)
        return found.T if region.turned else found

    def within(self, window: Window) -> Numbers:
        """Counts of the cores in a window of the wafer."""
        rect = self.region.rect
        down = slice(max(window.y - rect.y, 0), max(window.y + window.side - rect.y, 0))
        across = slice(max(window.x - rect.x, 0), max(window.x + window.side - rect.x, 0))
        rows, columns = (across, down) if self.region.turned else (down, across)
        found: Numbers = sum(
            (
                act.each * float(act.rows[rows].sum() * act.columns[columns].sum()) * times
                for times, acts in self.acts
                for act in acts
            ),
            np.zeros(len(COUNTS)),
        )
        return found


@dataclass(frozen=True, slots=True)
class Window:
    """A square of `side` cores of a wafer, from a corner on."""

    wafer: int
    x: int
    y: int
    side: int


def grids(places: tuple[Done, ...], wafer: Wafer, joules: Numbers, clock_hz: float, chips: int) -> Iterator[Numbers]:
    """Of each wafer, [rows, columns] of watts that each core takes while a token is in its region."""
    width, height = wafer.mesh.size
    for chip in range(chips):
        found = np.zeros((height, width))
        for place in places:
            if place.region.wafer == chip:
                rect = place.region.rect
                found[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] += (
                    place.spread(joules) * clock_hz / place.cycles
                )
        yield found


def side_of(wafer: Wafer) -> int:
    """Cores along a side of a square centimeter."""
    return max(1, round(sqrt(CM2_MM2 / wafer.mesh.core_mm2)))


def densest(grid: Numbers, chip: int, side: int) -> tuple[Window, float]:
    """The square of cores that takes most of a grid, and what it takes; a smaller grid is one whole square."""
    down, across = (min(side, length) for length in grid.shape)
    sums = np.pad(grid.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    y, x = (int(n) for n in np.unravel_index(int(np.argmax(inside)), inside.shape))
    return Window(chip, x, y, side), float(inside[y, x])


def coarse(grid: Numbers, most: int) -> Numbers:
    """Means over equal squares, at most so many along a side; edges that fill no square are means of what there is."""
    block = max(1, -(-max(grid.shape) // most))
    rows, columns = (np.arange(0, length, block) for length in grid.shape)
    sums = np.add.reduceat(np.add.reduceat(grid, rows, axis=0), columns, axis=1)
    sizes = np.add.reduceat(np.add.reduceat(np.ones_like(grid), rows, axis=0), columns, axis=1)
    found: Numbers = sums / sizes
    return found
