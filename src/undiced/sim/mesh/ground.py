"""Where the cores of a region lie on a wafer with defects: everything that they hold goes through its physical memory.

What would lie on a dead core comes back as no number, so that a repair that lies shows in the result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.individual import Individual
from undiced.program.wafer.program import Region
from undiced.sim.mesh.rounding import F32


class Ground:
    """Physical places of a region's cores.

    Attributes:
        x, y: of each logical core, [rows, columns].
        dead: which of them hold nothing, [rows, columns]; none where a repair is right.
    """

    def __init__(self, one: Individual, region: Region) -> None:
        rect = region.rect
        places = [one.row(row)[rect.x : rect.x + rect.width] for row in range(rect.y, rect.y + rect.height)]
        x = np.array(places, dtype=np.int64)
        y = np.broadcast_to(np.arange(rect.y, rect.y + rect.height)[:, None], x.shape)
        self.x, self.y = (x.T, y.T) if region.turned else (x, y)
        self._columns, self._first, self._rows = one.columns, rect.y, rect.height
        self._broken = np.zeros((rect.height, one.columns), dtype=bool)
        for dead_x, dead_y in one.dead:
            self.kill(dead_x, dead_y)

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Which logical cores hold nothing."""
        found: NDArray[np.bool_] = self._broken[self.y - self._first, self.x]
        return found

    def kill(self, x: int, y: int) -> None:
        """A physical core that holds nothing from now on."""
        if 0 <= y - self._first < self._rows:
            self._broken[y - self._first, x] = True

    def settled(self, array: F32) -> F32:
        """What all cores find again of an array [rows, columns, ...] that they put down."""
        grid = self.x.shape
        if array.shape[:2] != grid:
            if not self.dead.any():
                return array
            array = np.broadcast_to(array, (*grid, *array.shape[2:]))
        memory = np.full((self._rows, self._columns, *array.shape[2:]), np.nan, dtype=np.float32)
        memory[self.y - self._first, self.x] = array
        memory[self._broken] = np.nan
        return np.ascontiguousarray(memory[self.y - self._first, self.x])

    def logical(self, x: int, y: int) -> tuple[int, int] | None:
        """The row and column of the region's core that lies on a physical one; None: none does."""
        found = np.argwhere((self.x == x) & (self.y == y))
        return None if not len(found) else (int(found[0][0]), int(found[0][1]))
