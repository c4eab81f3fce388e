"""Rules of wafers with defects: every core of a region lies on one that works, neighbors are joined by a whole link.

Neighbors in a row are one core apart or two, in a column at most one column apart: there are no other links.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from undiced.program.rect import Rect
from undiced.program.wafer.individual import WAYS, Cut, Individual
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults

_PARTS_MAX = 1 << 22
_SIDE_MAX = 1 << 14
_REMEDY = "Compile it again for these wafers."
_NAMES = {step: way for way, step in WAYS.items()}


def individuals(program: WaferProgram) -> Faults:
    """Each is of one wafer, is what it says, and holds the regions that lie there."""
    seen = set[int]()
    for one in program.individuals:
        where = f"wafer {one.wafer}"
        if one.wafer in seen or not 0 <= one.wafer < program.wafers:
            yield Fault(f"{where} has several maps of defects, or there is no such wafer", _REMEDY)
            return
        seen.add(one.wafer)
        found = next(_shape(one), None)
        rects = {region.rect for region in program.regions if region.wafer == one.wafer}
        found = found or next(
            (what for rect in sorted(rects, key=lambda r: (r.y, r.x)) for what in _rect(one, rect)), None
        )
        if found is not None:
            yield Fault(f"{where}, {found}", _REMEDY)


def _shape(one: Individual) -> Iterator[str]:
    """Numbers that can be of a wafer."""
    if not (1 <= one.width <= _SIDE_MAX and 1 <= one.rows <= _SIDE_MAX and len(one.spares) <= _SIDE_MAX):
        yield f"it has {one.width} x {one.rows} cores and {len(one.spares)} spares"
    elif len(one.dead) + len(one.cuts) + len(one.shifts) > _PARTS_MAX:
        yield "it has more defects than a wafer"
    elif any(a >= b for a, b in zip(one.spares, one.spares[1:], strict=False)) or any(
        not 0 <= spare < one.columns for spare in one.spares
    ):
        yield "its spares are not columns of it, in order"
    elif not 0 <= one.first <= one.last < one.rows:
        yield f"rows {one.first} to {one.last} are none of it"
    for shift in one.shifts:
        if not (0 <= shift.row < one.rows and 0 <= shift.start < shift.stop <= one.width and shift.by > 0):
            yield f"{shift} is no move of its cores"
            return


def _rect(one: Individual, rect: Rect) -> Iterator[str]:
    """Cores of a region, row by row where anything is broken or moved; elsewhere rows are as they were made."""
    if rect.x + rect.width > one.width or rect.y < one.first or rect.y + rect.height > one.last + 1:
        yield f"a region covers {rect}, and rows {one.first} to {one.last} of {one.width} cores are whole"
        return
    dead, cuts = defaultdict[int, set[int]](set), set(one.cuts)
    for x, y in one.dead:
        dead[y].add(x)
    special = {shift.row for shift in one.shifts} | set(dead) | {cut.y for cut in cuts}
    inside = range(rect.y, rect.y + rect.height)
    for y in sorted({near for row in special for near in (row - 1, row) if near in inside}):
        here = one.row(y)[rect.x : rect.x + rect.width]
        yield from _row(y, here, dead[y], cuts, one.columns)
        if y + 1 in inside:
            yield from _below(y, here, one.row(y + 1)[rect.x : rect.x + rect.width], cuts)


def _row(y: int, places: list[int], dead: set[int], cuts: set[Cut], columns: int) -> Iterator[str]:
    for x, after in zip(places, [*places[1:], None], strict=True):
        if x in dead or not 0 <= x < columns:
            yield f"a core of a program lies at {x}, {y}, which is {'dead' if x in dead else 'off the wafer'}"
        if after is not None:
            yield from _joined(x, y, after - x, 0, cuts)


def _below(y: int, here: list[int], below: list[int], cuts: set[Cut]) -> Iterator[str]:
    for x, under in zip(here, below, strict=True):
        yield from _joined(x, y, under - x, 1, cuts)


def _joined(x: int, y: int, right: int, down: int, cuts: set[Cut]) -> Iterator[str]:
    way = _NAMES.get((right, down))
    if way is None:
        yield f"no link leads from core {x}, {y} to {x + right}, {y + down}"
    elif Cut(x, y, way) in cuts:
        yield f"the link from core {x}, {y} to {x + right}, {y + down} is cut"
