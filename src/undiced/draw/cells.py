"""Cells: a grid of amounts as a heat map, in as few shapes as it takes: one path a color. Knows no scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from undiced.draw.canvas import Canvas
from undiced.draw.color import ramp
from undiced.draw.lettering import Box

LEVELS = 48  # colors of the ramp; nobody can tell more apart


def level(share: float) -> int:
    """The color of a share from 0 to 1; any amount above 0 has one, and 0 has none (-1)."""
    return min(int(share * LEVELS), LEVELS - 1) if share > 0 else -1


def cells(canvas: Canvas, box: Box, levels: Sequence[Sequence[int]], within: Box) -> None:
    """Draws rows of levels from the top of a box on; what has none shows what is below.

    Args:
        within: the last cells end at its edges.
    """
    across, down = box.width / len(levels[0]), box.height / len(levels)
    most = within.width / across, within.height / down
    found: dict[int, list[str]] = defaultdict(list)
    for (x, y), (width, height), one in _blocks(levels):
        wide, high = f"{min(width, most[0] - x):.5g}", f"{min(height, most[1] - y):.5g}"
        found[one].append(f"M{x} {y}h{wide}v{high}h-{wide}z")
    paths = ((ramp((one + 0.5) / LEVELS), "".join(parts)) for one, parts in sorted(found.items()))
    canvas.paths(paths, box, (across, down))


def _blocks(levels: Sequence[Sequence[int]]) -> Iterator[tuple[tuple[int, int], tuple[int, int], int]]:
    """Place, size and level of rectangles of one level: runs of a row, as high as rows are equal."""
    y = 0
    for row, equal in groupby(levels, key=tuple):
        height, x = len(list(equal)), 0
        for one, run in groupby(row):
            width = len(list(run))
            if one >= 0:
                yield (x, y), (width, height), one
            x += width
        y += height
