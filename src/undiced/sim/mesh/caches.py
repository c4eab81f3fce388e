"""The caches of one run of a stream: an array a value and sequence, which grows with what the sequence has filled."""

from __future__ import annotations

import numpy as np

from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.value import local_shape
from undiced.sim.mesh.declarations import Declarations
from undiced.sim.mesh.rounding import F32

_AT_LEAST = 32  # positions that a new cache has room for: growing copies it


class Caches:
    """Arrays [rows, columns, *share] by value and sequence; what nobody has appended is 0."""

    def __init__(self, rows: int, columns: int, values: Declarations) -> None:
        self._grid, self._values = (rows, columns), values
        self._arrays: dict[tuple[str, int], F32] = {}

    def array(self, name: str, sequence: int, filled: int) -> F32:
        """A sequence's, with room for `filled` positions at least."""
        found = self._arrays.get((name, sequence))
        wanted = self._values.shape(name, filled)
        if found is not None and all(have >= want for have, want in zip(found.shape[2:], wanted, strict=True)):
            return found
        shape = local_shape(self._values[name], max(2 * filled, _AT_LEAST))
        grown = np.zeros((*self._grid, *shape), dtype=np.float32)
        if found is not None:
            axis = 2 + self._values.dims(name).index(POSITION)
            np.moveaxis(grown, axis, 0)[: found.shape[axis]] = np.moveaxis(found, axis, 0)
        self._arrays[name, sequence] = grown
        return grown

    def forget(self, sequence: int) -> None:
        """Drop what a sequence has."""
        self._arrays = {key: array for key, array in self._arrays.items() if key[1] != sequence}
