"""Repair: where a wafer's logical cores lie so that no program meets a defect. The published scheme of spare columns.

A row passes a dead core by a skip link and moves on to its next spare; rows that moved differently are joined by
diagonal links. There is no link past two dead cores side by side, and no spare row. Moves are the least ones, so that
spares which are added at the end of rows change nothing. Knows no program.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import CompileError
from undiced.machine.defects import DefectMap
from undiced.machine.shifting import FARTHEST, Broken, Moves, least
from undiced.machine.spares import spare_places
from undiced.machine.wafer import Wafer
from undiced.program.wafer.individual import Individual, Shift, homes

_MARGIN = 2  # rows around a defect that are looked at with it
_NAMED = 8  # rows that an error names
_MORE = 16  # spares that are tried where the wafer's do not reach
Lines = dict[int, list[tuple[int, str]]]  # of each row: physical column and what is broken
_LINKS = {"east": "east", "skip": "skip", "south-east": "right", "south-west": "left"}


class UnrepairableError(CompileError):
    """Defects that the links and spares of a wafer can't pass. `rows`: those that fail."""

    def __init__(self, message: str, *, remedy: str, rows: tuple[int, ...]) -> None:
        super().__init__(message, remedy=remedy)
        self.rows = rows


@dataclass(frozen=True, slots=True)
class _Fault:
    """A row that can't be repaired: its dead cores, and how many more spares would help (0: none would)."""

    row: int
    dead: tuple[int, ...]
    spares: int


def repair(found: DefectMap, wafer: Wafer, number: int = 0, rows: tuple[int, int] | None = None) -> Individual:
    """The wafer of this number as a program may use it, around the defects of a map.

    Args:
        rows: the first and the last row that must be whole; all by default.

    Raises:
        UnrepairableError: some of these rows are not; names them, and what would repair them.
        CompileError: the map is of a wafer of another size.
    """
    check_size(found, wafer)
    first, last = rows or (0, found.rows - 1)
    width = wafer.mesh.size[0]
    spares = spare_places(width, wafer.spares.count)
    shifts, faults = _shifts(found, np.array(homes(width, spares), dtype=np.int16), first, last)
    if faults:
        raise _refusal(found, faults, wafer.spares.count)
    return Individual(
        wafer=number,
        map=found.name,
        digest=found.digest,
        width=width,
        rows=found.rows,
        spares=spares,
        dead=found.cores,
        cuts=found.links,
        shifts=tuple(shifts),
        first=first,
        last=last,
    )


def check_size(found: DefectMap, wafer: Wafer) -> None:
    """A map is of a wafer of this kind.

    Raises:
        CompileError: it is not.
    """
    columns, rows = wafer.built
    if (found.columns, found.rows) != (columns, rows):
        raise CompileError(
            f"The map {found.name} is of {found.columns} x {found.rows} cores, and {wafer.name} has "
            f"{columns} x {rows}, {wafer.spares.count} spare columns included.",
            remedy=f"Give a map of {columns} x {rows} cores, or name the machine that it is of.",
        )


def _refusal(found: DefectMap, faults: list[_Fault], spares: int) -> UnrepairableError:
    rows = tuple(sorted(fault.row for fault in faults))
    named = "; ".join(_words(fault) for fault in faults[:_NAMED])
    more = f"; and {len(rows) - _NAMED} rows more" if len(rows) > _NAMED else ""
    needed = [fault.spares for fault in faults]
    if all(needed):
        help_ = f"{spares + max(needed)} spares a row instead of {spares} would repair it"
    else:
        help_ = "Links past two dead cores would repair it; more spares do not"
    return UnrepairableError(
        f"The wafer of map {found.name} can't be repaired: {named}{more}.",
        remedy=f"{help_}. Use another wafer, or fewer rows: a machine file's mesh.height.",
        rows=rows,
    )


def _words(fault: _Fault) -> str:
    dead = ", ".join(map(str, fault.dead[:_NAMED]))
    return f"row {fault.row} (dead or cut off at columns {dead})" if dead else f"row {fault.row} (beside such rows)"


def _shifts(found: DefectMap, home: Moves, first: int, last: int) -> tuple[list[Shift], list[_Fault]]:
    """Moves of all rows with defects, and of those that must move with them."""
    lines = _lines(found)
    spares = found.columns - len(home)
    apart = list(_beside(lines, spares, first, last))
    if apart:
        return [], apart
    home = (home - np.arange(len(home))).astype(np.int16)
    near = {row for row in lines if first <= row <= last}
    margin = dict.fromkeys(near, _MARGIN)
    while True:
        out: list[Shift] = []
        faults: list[_Fault] = []
        wide = False
        for low, high in _bands(margin, first, last):
            broken = _broken(found, lines, range(low, high + 1))
            moves, failed = least(home[None, None], broken, spares)
            if failed[0]:
                faults += _faults(lines, home, broken, range(low, high + 1), spares)
                continue
            moved = moves[0] - home
            for edge, row in ((low, 0), (high, -1)):
                if first < edge < last and moved[row].max() > 1:
                    wide = True
                    margin[edge] = margin.get(edge, 0) + 2 * _MARGIN
            out += _runs(moved, low)
        if not wide:
            return out, faults


def _beside(lines: Lines, spares: int, first: int, last: int) -> Iterator[_Fault]:
    """Rows with two dead cores side by side, farther from their begin than a row can begin later."""
    for row in sorted(row for row in lines if first <= row <= last):
        dead = sorted({x for x, what in lines[row] if what == "dead"})
        pairs = [(x, x + 1) for x, after in pairwise(dead) if after == x + 1 and x + 2 > min(spares, FARTHEST)]
        if pairs:
            yield _Fault(row, tuple(sorted({x for pair in pairs for x in pair})), 0)


def _bands(margin: dict[int, int], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Rows that are solved together: with defects, so many rows around each, those apart that do not meet."""
    spans = sorted((max(first, row - wide), min(last, row + wide)) for row, wide in margin.items())
    open_: tuple[int, int] | None = None
    for low, high in spans:
        if open_ is not None and low <= open_[1] + 1:
            open_ = open_[0], max(open_[1], high)
            continue
        if open_ is not None:
            yield open_
        open_ = low, high
    if open_ is not None:
        yield open_


def _lines(found: DefectMap) -> Lines:
    lines: Lines = defaultdict(list)
    for x, y in found.cores:
        lines[y].append((x, "dead"))
    for cut in found.links:
        lines[cut.y].append((cut.x, _LINKS.get(cut.way, "dead")))
    return lines


def _broken(found: DefectMap, lines: Lines, rows: Sequence[int]) -> Broken:
    flags = {name: np.zeros((1, len(rows), found.columns), dtype=bool) for name in Broken.__slots__}
    for number, row in enumerate(rows):
        for x, what in lines.get(row, ()):
            flags[what][0, number, x] = True
    return Broken(**flags)


def _faults(lines: Lines, home: Moves, broken: Broken, rows: Sequence[int], spares: int) -> list[_Fault]:
    """The rows of a band to blame, and the spares at their ends that would be enough."""
    wider = Broken(*(np.pad(getattr(broken, name), ((0, 0), (0, 0), (0, _MORE))) for name in Broken.__slots__))
    moves, failed = least(home[None, None], wider, spares + _MORE)
    more = 0 if failed[0] else int(moves.max()) - spares
    hurt = [row for row in rows if row in lines]
    alone = [row for row in hurt if not _alone(home, broken, row - rows[0], spares)]
    return [_Fault(row, tuple(sorted(x for x, _ in lines[row])), more) for row in alone or hurt]


def _alone(home: Moves, broken: Broken, row: int, spares: int) -> bool:
    """Whether a row could be repaired if there were no others."""
    one = Broken(*(getattr(broken, name)[:, row : row + 1] for name in Broken.__slots__))
    return not least(home[None, None], one, spares)[1][0]


def _runs(moved: NDArray[np.int16], first: int) -> Iterator[Shift]:
    """Equal moves side by side."""
    for number, row in enumerate(moved):
        if not row.any():
            continue
        edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        for start, stop in pairwise(edges):
            if row[start]:
                yield Shift(first + number, start, stop, int(row[start]))


def usable_rows(found: DefectMap, wafer: Wafer, rows: int) -> int | None:
    """The first row of `rows` ones side by side that can all be repaired; None: there are not so many."""
    bad: list[int] = []
    try:
        repair(found, wafer)
    except UnrepairableError as error:
        bad = list(error.rows)
    edges = [-1, *bad, found.rows]
    return next((low + 1 for low, high in pairwise(edges) if high - low - 1 >= rows), None)
