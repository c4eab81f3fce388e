"""Lots: the share of many drawn wafers that can be repaired whole. Monte Carlo, all wafers of a piece at once.

Most defects have a spare to themselves, which is seen from sorted places alone. Where moves of a row might meet
something else, a window around it is solved as `shifting` does; what reaches a window's edge is solved by `repair`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import CompileError
from undiced.machine.defects import DefectMap
from undiced.machine.repair import UnrepairableError, repair
from undiced.machine.scatter import CORE, FIRST_LINK, Fallen, area_mm2, as_map, fall
from undiced.machine.shifting import FARTHEST, Broken, least
from undiced.machine.silicon import Process
from undiced.machine.spares import spare_places
from undiced.machine.wafer import Wafer
from undiced.program.wafer.individual import WAYS, homes

WAFERS_MAX = 1_000_000
_PIECE = 1_000_000  # defects that are held at once
_ABOVE = 4  # rows of a window on either side
_SEGMENTS = 8  # parts of a row, each with a spare, of a window
_WINDOWS = 2048  # that are solved at once
_AROUND = 24  # rows on either side of a window that is not solved by itself
_Z = 1.96  # of a normal distribution, for 95 %
_WAYS = tuple(WAYS)
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lot:
    """What became of a lot.

    Attributes:
        wafers: how many were drawn. good: those whose every logical core has a place.
        beside: with two dead cores side by side; fatal: with a defect that no spare helps; short: other bad ones.
        defects: of a wafer, on average.
        good_mm2: area of the enabled cores of a good wafer.
    """

    wafers: int
    good: int
    beside: int
    fatal: int
    short: int
    defects: float
    good_mm2: float

    @property
    def share(self) -> float:
        """Of the wafers that are good."""
        return self.good / self.wafers

    @property
    def interval(self) -> tuple[float, float]:
        """Where that share lies with 95 % for so many wafers (Wilson)."""
        return wilson(self.good, self.wafers)


def wilson(good: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    share, z2 = good / count, _Z * _Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def with_spares(wafer: Wafer, columns: int) -> Wafer:
    """`wafer` with another number of spare columns, of cores of the same size."""
    return replace(wafer, spares=replace(wafer.spares, columns=replace(wafer.spares.columns, value=columns)))


def check_lot(wafers: int) -> None:
    """So many wafers can be drawn.

    Raises:
        CompileError: none, or too many.
    """
    if not 1 <= wafers <= WAFERS_MAX:
        raise CompileError(f"A lot can't have {wafers} wafers.", remedy=f"Use 1 to {WAFERS_MAX:,}.")


def lot(
    process: Process, wafer: Wafer, wafers: int, seed: int = 0, progress: Callable[[float], None] | None = None
) -> Lot:
    """Draw a lot of wafers of one mask and repair each; `progress` hears the share that is done.

    Raises:
        CompileError: no wafers, or more than can be drawn.
    """
    check_lot(wafers)
    expected = process.density * area_mm2(wafer) + len(WAYS) + 84 * process.repeaters
    each = max(1, min(wafers, int(_PIECE / expected)))
    random = np.random.default_rng([seed, 1])
    sums = np.zeros(4, dtype=np.int64)
    count = done = 0
    while done < wafers:
        here = min(each, wafers - done)
        fallen = fall(process, wafer, here, random, np.random.default_rng([seed]))
        sums += _judged(fallen, wafer, here)
        count += len(fallen.wafer) + int(fallen.fatal.sum())
        done += here
        if progress is not None:
            progress(done / wafers)
    good, beside, fatal, short = map(int, sums)
    return Lot(wafers, good, beside, fatal, short, count / wafers, wafer.mesh.cores * wafer.mesh.core_mm2)


def _judged(fallen: Fallen, wafer: Wafer, wafers: int) -> Ints:
    """Wafers that are good, and those that are not by why."""
    grid = _Grid.of(wafer)
    fatal = fallen.fatal > 0
    keys = _Keys.of(fallen, grid)
    beside = _owners(grid, keys.dead[:-1][_side_by_side(keys.dead, grid)], wafers) & ~fatal
    left = ~fatal & ~beside
    short = np.zeros(wafers, dtype=bool)
    rows, columns = _hot(keys, grid)
    wanted = left[rows // grid.rows]
    lost, unsolved = _solved(keys, grid, rows[wanted], columns[wanted])
    short[lost] = True
    for number, row in unsolved:
        near = max(0, row - _AROUND), min(grid.rows - 1, row + _AROUND)
        short[number] |= not _repairable(as_map(fallen, wafer, number), wafer, near)
    good = left & ~short
    return np.array([good.sum(), beside.sum(), fatal.sum(), short.sum()])


def _repairable(found: DefectMap, wafer: Wafer, rows: tuple[int, int] | None = None) -> bool:
    try:
        repair(found, wafer, rows=rows)
    except UnrepairableError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Grid:
    """A kind of wafer: rows, physical columns, which are spares, the next spare from each, all spares, cores' homes."""

    rows: int
    columns: int
    spare: Flags
    following: Ints
    ends: Ints
    home: Ints

    @classmethod
    def of(cls, wafer: Wafer) -> _Grid:
        columns, rows = wafer.built
        width, spares = wafer.mesh.size[0], wafer.spares.count
        places = spare_places(width, spares)
        spare = np.zeros(columns + 1, dtype=bool)
        spare[list(places)] = True
        ends = np.array(places, dtype=np.int64)
        following = np.append(ends, columns)[np.searchsorted(ends, np.arange(columns + 1))]
        return cls(
            rows, columns, spare, following, ends if spares else np.array([columns]), np.array(homes(width, places))
        )


@dataclass(frozen=True, slots=True)
class _Keys:
    """Broken parts as sorted numbers, (wafer * rows + row) * columns + column; each once."""

    dead: Ints
    east: Ints
    skip: Ints
    right: Ints
    left: Ints

    @classmethod
    def of(cls, fallen: Fallen, grid: _Grid) -> _Keys:
        keys = (fallen.wafer * grid.rows + fallen.y) * grid.columns + fallen.x
        found = {}
        for number, way in enumerate(_WAYS):
            across, down = WAYS[way]
            here = (fallen.kind == FIRST_LINK + number) & (fallen.x + across >= 0)
            here &= (fallen.x + across < grid.columns) & (fallen.y + down < grid.rows)
            found[way] = keys[here]
        dead = keys[(fallen.kind >= CORE) & (fallen.kind < FIRST_LINK)]
        parts = (
            np.concatenate((dead, found["south"])),
            *(found[w] for w in ("east", "skip", "south-east", "south-west")),
        )
        return cls(*map(np.unique, parts))


def _side_by_side(dead: Ints, grid: _Grid) -> Flags:
    """Of each dead core but the last: whether the next one is its neighbor, and no row can begin behind them."""
    x = dead[:-1] % grid.columns
    spares = grid.columns - len(grid.home)
    found: Flags = (np.diff(dead) == 1) & (x + 1 < grid.columns) & (x + 2 > min(spares, FARTHEST))
    return found


def _owners(grid: _Grid, keys: Ints, wafers: int) -> Flags:
    found = np.zeros(wafers, dtype=bool)
    found[keys // (grid.rows * grid.columns)] = True
    return found


def _hot(keys: _Keys, grid: _Grid) -> tuple[Ints, Ints]:
    """Rows (of all wafers, one after the other) and physical columns at which a move may meet something else."""
    rows, starts, ends = (np.concatenate(parts) for parts in zip(*_reach(keys, grid), strict=True))
    order = np.lexsort((starts, rows))
    rows, starts, ends = rows[order], starts[order], ends[order]
    meets = (rows[1:] == rows[:-1]) & (starts[1:] <= ends[:-1])
    far = ends >= grid.columns  # no spare is left in the row
    hot = np.append(meets, False) | far
    return rows[hot], np.minimum(starts[hot], grid.columns - 1)


def _reach(keys: _Keys, grid: _Grid) -> list[tuple[Ints, Ints, Ints]]:
    """(row, first, last physical column) of all that moves, and of all that a move may meet."""
    out = []
    row, x = np.divmod(keys.dead, grid.columns)
    out.append((row, x, np.where(grid.spare[x], x, grid.following[x])))
    row, x = np.divmod(keys.east, grid.columns)
    used = ~(grid.spare[x] | grid.spare[x + 1])
    out.append((row, x, np.where(used, grid.following[x + 1], x + 1)))
    row, x = np.divmod(keys.skip, grid.columns)
    out.append((row, x, x + 2))
    for diagonal, across in ((keys.right, 0), (keys.left, -1)):
        row, x = np.divmod(diagonal, grid.columns)
        out += [(row + down, x + across, x + across + 1) for down in (0, 1)]
    return out


def _solved(keys: _Keys, grid: _Grid, rows: Ints, columns: Ints) -> tuple[Ints, list[tuple[int, int]]]:
    """Wafers that can't be repaired, and (wafer, row) of windows that do not tell by themselves."""
    if not len(rows):
        return rows, []
    high = min(2 * _ABOVE + 1, grid.rows)
    wafer, y = np.divmod(rows, grid.rows)
    top = np.clip(y - _ABOVE, 0, grid.rows - high)
    part = np.clip(np.searchsorted(grid.ends, columns) - 1, 0, max(0, len(grid.ends) - _SEGMENTS))
    places = np.unique(np.stack((wafer, top, part)), axis=1)
    pieces = np.array_split(places, -(-places.shape[1] // _WINDOWS), axis=1)
    found = [_window(keys, grid, piece, high) for piece in pieces]
    failed, open_ = (np.concatenate(part) for part in zip(*found, strict=True))
    return places[0, failed], [(int(number), int(row)) for number, row in places[:2, open_].T]


def _window(keys: _Keys, grid: _Grid, places: Ints, high: int) -> tuple[Flags, Flags]:
    """Which windows (wafer, first row, first part of a row) can't be repaired, and which reach beyond themselves.

    They begin behind a spare and have the spare that follows their last core to themselves: who is moved by one there
    moves nobody else.
    """
    wafer, top, part = places
    until = np.minimum(part + _SEGMENTS, len(grid.ends)) - 1
    starts = np.concatenate(([0], np.searchsorted(grid.home, grid.ends)))
    last = starts[until + 1] - 1 - starts[part]
    wide = int(last.max()) + 1
    first = np.minimum(starts[part], len(grid.home) - wide)
    last = np.minimum(last + starts[part] - first, wide - 1)
    homes_ = grid.home[first[:, None] + np.arange(wide)]
    origin = homes_[:, 0]
    local = (homes_ - origin[:, None] - np.arange(wide)).astype(np.int16)
    most = int(local.max()) + FARTHEST
    rows = (wafer * grid.rows + top)[:, None] + np.arange(high)
    flags = {name: _painted(getattr(keys, name), grid, rows, origin, wide + most + 2) for name in _Keys.__slots__}
    flags["dead"] |= (origin[:, None] + np.arange(wide + most + 2) >= grid.columns)[:, None]
    moves, failed = least(local[:, None], Broken(**flags), most)
    moved = moves - local[:, None]
    wrong = (moved[:, :, 0] != 0).any(axis=1) & (first > 0)
    wrong |= (np.take_along_axis(moved, last[:, None, None], axis=2) > 1).any(axis=(1, 2))
    wrong |= (moved[:, 0] > 1).any(axis=1) & (top > 0)
    wrong |= (moved[:, -1] > 1).any(axis=1) & (top + high < grid.rows)
    return failed, wrong & ~failed


def _painted(keys: Ints, grid: _Grid, rows: Ints, origin: Ints, wide: int) -> Flags:
    """[window, row, column]: what of sorted keys lies in each window."""
    begin = rows * grid.columns + origin[:, None]
    end = rows * grid.columns + np.minimum(origin + wide, grid.columns)[:, None]
    low = np.searchsorted(keys, begin).ravel()
    counts = np.searchsorted(keys, end).ravel() - low
    which = np.repeat(np.arange(len(low)), counts)
    index = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    flags = np.zeros((len(low), wide), dtype=bool)
    flags[which, keys[index] - begin.ravel()[which]] = True
    return flags.reshape(*rows.shape, wide)
