"""Spare cores: the rectangles of wafers that a program leaves free, and the machine that one of them is by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from undiced.machine.constant import derived
from undiced.machine.wafer import Wafer
from undiced.program import Rect
from undiced.program.wafer.program import WaferProgram


@dataclass(frozen=True, slots=True)
class Spare:
    """Free cores of one of a program's wafers."""

    wafer: int
    rect: Rect


def spare_cores(program: WaferProgram, wafer: Wafer) -> list[Spare]:
    """Every rectangle that no region meets and that has no larger one around it, the largest first."""
    width, height = wafer.mesh.size
    found = []
    for number in range(program.wafers):
        taken = list(dict.fromkeys(region.rect for region in program.regions if region.wafer == number))
        found += [Spare(number, rect) for rect in vacant(Rect(0, 0, width, height), taken)]
    return sorted(found, key=lambda spare: -spare.rect.cores)


def vacant(whole: Rect, taken: Sequence[Rect]) -> list[Rect]:
    """The rectangles of a mesh beside those taken that can't be made larger."""
    lefts = sorted({whole.x, *(rect.x + rect.width for rect in taken)})
    rights = sorted({whole.x + whole.width, *(rect.x for rect in taken)})
    found = [
        Rect(left, top, right - left, height)
        for left in lefts
        for right in rights
        if left < right
        for top, height in _gaps(whole, [rect for rect in taken if rect.x < right and left < rect.x + rect.width])
    ]
    return [rect for rect in found if not any(rect != other and _within(rect, other) for other in found)]


def _gaps(whole: Rect, taken: Sequence[Rect]) -> Iterator[tuple[int, int]]:
    """(first row, rows) where nothing is taken."""
    at = whole.y
    for rect in sorted(taken, key=lambda each: each.y):
        if rect.y > at:
            yield at, rect.y - at
        at = max(at, rect.y + rect.height)
    if at < whole.y + whole.height:
        yield at, whole.y + whole.height - at


def _within(small: Rect, large: Rect) -> bool:
    across = large.x <= small.x and small.x + small.width <= large.x + large.width
    return across and large.y <= small.y and small.y + small.height <= large.y + large.height


def part_of(wafer: Wafer, rect: Rect) -> Wafer:
    """A machine of these cores alone."""
    sides = zip(("width", "height"), (rect.width, rect.height), strict=True)
    sizes = {name: derived(size, "1", f"spare cores of {wafer.name}") for name, size in sides}
    return replace(wafer, name=f"{wafer.name} ({rect.width}x{rect.height})", mesh=replace(wafer.mesh, **sizes))
