"""Sets of cores as a kernel's author names them: columns first, then rows, as slices, numbers or lists.

Knows the size of a mesh and nothing of what its cores do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import KernelError
from undiced.sim.fabric.roles import Places, Role, progressions

Index = int | slice | Sequence[int]
_ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores of a mesh: every place of `x` with every place of `y`.

    Attributes:
        x, y: ascending columns and rows. x grows to the east, y to the south.
        single: along x, along y: whether a number chose it, so that results lose that axis as in numpy.
    """

    x: tuple[int, ...]
    y: tuple[int, ...]
    single: tuple[bool, bool] = (False, False)

    def __len__(self) -> int:
        return len(self.x) * len(self.y)

    def __str__(self) -> str:
        return f"[{_spelled(self.x)}, {_spelled(self.y)}]"

    @property
    def role(self) -> Role:
        """The same for a fabric program."""
        return Role(progressions(list(self.x)), progressions(list(self.y)))

    @property
    def at(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Subscripts of an array [height, width]."""
        return np.array(self.y, np.intp)[:, None], np.array(self.x, np.intp)[None, :]


class Area:
    """Cores of a mesh as they are gathered from several sets."""

    def __init__(self, width: int, height: int) -> None:
        self._there = np.zeros((height, width), bool)

    def add(self, cores: Cores) -> None:
        """These belong to it, too."""
        self._there[cores.at] = True

    def meets(self, cores: Cores) -> tuple[int, int] | None:
        """The first of these that belongs to it."""
        found = np.argwhere(self._there[cores.at])
        return (cores.x[found[0][1]], cores.y[found[0][0]]) if len(found) else None

    def overlaps(self, other: Area) -> bool:
        """Whether a core belongs to both."""
        return bool((self._there & other._there).any())

    def without(self, cores: Cores) -> tuple[int, int] | None:
        """The first of these that does not belong to it."""
        found = np.argwhere(~self._there[cores.at])
        return (cores.x[found[0][1]], cores.y[found[0][0]]) if len(found) else None


def chosen(index: Index | tuple[Index, Index], width: int, height: int) -> Cores:
    """The cores that `kernel[x, y]` names; without y, all rows.

    Raises:
        KernelError: a number that lies off the mesh.
    """
    x, y = index if isinstance(index, tuple) else (index, _ALL)
    single = isinstance(x, int | np.integer), isinstance(y, int | np.integer)
    mesh = f"a mesh of {width} x {height} cores"
    return Cores(_places(x, width, "Column", mesh), _places(y, height, "Row", mesh), single)


def _places(index: Index, size: int, axis: str, mesh: str) -> tuple[int, ...]:
    if isinstance(index, slice):
        return tuple(sorted(range(*index.indices(size))))
    given = [int(index)] if isinstance(index, int | np.integer) else [int(at) for at in index]
    for at in given:
        if not -size <= at < size:
            raise KernelError(
                f"{axis} {at} lies off {mesh}.",
                remedy=f"{axis}s are 0 to {size - 1}, or -{size} to -1 counted from the end.",
            )
    return tuple(sorted({at % size for at in given}))


def _spelled(places: tuple[int, ...]) -> str:
    return ",".join(_run(run) for run in progressions(list(places))) or "none"


def _run(run: Places) -> str:
    if run.stop == run.start + 1:
        return str(run.start)
    return f"{run.start}:{run.stop}" + (f":{run.step}" if run.step > 1 else "")
