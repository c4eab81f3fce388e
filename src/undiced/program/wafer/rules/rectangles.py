"""Whether rectangles share a point: of cores, or of addresses by time. Knows neither."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """x to x_end by y to y_end, ends left out; both longer than 0."""

    x: int
    x_end: int
    y: int
    y_end: int


def meeting(boxes: Sequence[Box]) -> tuple[int, int] | None:
    """Numbers of two that share a point, if any do. Along x, those that are open lie apart along y, in order."""
    begins = [(box.x, 1, number) for number, box in enumerate(boxes)]
    ends = [(box.x_end, 0, number) for number, box in enumerate(boxes)]
    opened: list[tuple[int, int]] = []
    for _, beginning, number in sorted(begins + ends):
        box = boxes[number]
        at = bisect_left(opened, (box.y, number))
        if not beginning:
            del opened[at]
            continue
        for _, other in opened[max(at - 1, 0) : at + 1]:
            if boxes[other].y < box.y_end and box.y < boxes[other].y_end:
                return other, number
        insort(opened, (box.y, number))
    return None
