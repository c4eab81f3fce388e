"""The sum of all cores' vectors, in every core: along rows, then along columns, with three colors for both.

Chains go to the first core of a line and its multicast goes back. Then every core writes the routes of its column over
those of its row. What it has heard has passed its router, so that nothing is on its way there; what a neighbor in the
column sends early waits at a port that the row does not use. The first cores of rows, which only sent, write the
color of the multicast when they have sent more, behind it.
"""

import numpy as np

from undiced.fabric import CORE, EAST, NORTH, SOUTH, WEST, Kernel, way


def routes(place: int, cores: int, ahead, behind) -> list[tuple]:
    """Of the core at a place of a line: the ways of its three colors; `ahead` is where the line begins."""
    hears = way(behind, to=CORE) if place < cores - 1 else None
    sends = way(CORE, to=ahead) if place else None
    onward = (behind,) if place < cores - 1 else ()
    back = way(ahead, to=(CORE, *onward)) if place else way(CORE, to=onward)
    sums = (sends, hears) if place % 2 == 0 else (hears, sends)
    return [(each,) if each else () for each in (*sums, back)]


def along(pe, data, even, odd, back, place: int, cores: int) -> None:
    """The chain, up to the multicast."""
    mine, others = (even, odd) if place % 2 == 0 else (odd, even)
    if place == 0:
        pe.add(data, others, data)
    elif place < cores - 1:
        pe.add(mine, others, data)
    else:
        pe.move(mine, data)


def kernel(columns: int = 8, rows: int = 6, wavelets: int = 16) -> Kernel:
    kernel = Kernel(columns, rows, name="all_sum")
    data = kernel.array("data", wavelets)
    colors = kernel.color("even"), kernel.color("odd"), kernel.color("back")
    *sums, back = colors

    # layout: where
    for x in range(columns):
        for color, ways in zip(colors, routes(x, columns, WEST, EAST), strict=True):
            if ways:
                kernel.paint(color, kernel[x], *ways)

    # pe: what
    for x in range(columns):
        with kernel.on(kernel[x], "rows") as pe:
            along(pe, data, *colors, x, columns)
            pe.move(*((back, data) if x == 0 else (data, back)))
    for y in range(rows):
        with kernel.on(kernel[:, y], "columns") as pe:
            first, second, last = routes(y, rows, NORTH, SOUTH)
            pe.repaint(sums[0], *first)
            pe.repaint(sums[1], *second)
            along(pe, data, *colors, y, rows)
            pe.repaint(back, *last)
            pe.move(*((back, data) if y == 0 else (data, back)))

    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (rows, columns, wavelets)))
    return kernel


def check(result):
    data = result.kernel.arrays["data"]
    total = result.before(data).sum(axis=(0, 1))
    np.testing.assert_array_equal(result[data], np.broadcast_to(total, result[data].shape))
