"""Sum by a tree of two levels in slices: chains inside of groups, a star of their roots, a root of its own per slice.

A vector is cut into slices. Each slice has a tree of its own, whose roots are spread over the groups, so that slices
use different links. Sums come to a root from both sides. A microthread per slice lets slices run beside each other.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, rows: int = 1, group: int = 4, slices: int = 2, wavelets: int = 16) -> Kernel:
    if not 0 < slices <= group:
        raise ValueError(f"groups of {group} cores have no room for {slices} roots")
    kernel = Kernel(cores, rows, name="level_tree")
    data = kernel.array("data", (slices, wavelets))
    groups = [range(first, min(first + group, cores)) for first in range(0, cores, group)]  # the last may be smaller
    places = [(2 * piece + 1) * group // (2 * slices) for piece in range(slices)]  # of roots in their groups
    for piece, place in enumerate(places):
        # The last hop into a root is on the first color from the west, and on the second from the east.
        colors = kernel.color(f"chain {piece} a"), kernel.color(f"chain {piece} b")
        for size in {len(line) for line in groups}:
            alike = [line for line in groups if len(line) == size]
            chains(kernel, data[piece], piece, colors, alike, min(place, size - 1))
    for piece, place in enumerate(places):
        star(kernel, data[piece], piece, [line[min(place, len(line) - 1)] for line in groups])
    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (rows, cores, slices, wavelets)))
    return kernel


def chains(kernel, data, piece, colors, groups, place):
    """The first level: in every group both arms add up towards the core at `place`."""
    size, step = len(groups[0]), f"chains {piece}"

    def at(places):
        return kernel[[line[place] for line in groups for place in places]]

    for turn in 0, 1:
        west = [member for member in range(place) if (place - 1 - member) % 2 == turn]
        east = [member for member in range(place + 1, size) if (member - place) % 2 == turn]
        mine, other = colors[turn], colors[1 - turn]
        # layout: where
        kernel.paint(mine, at(west), way(CORE, to=EAST))
        kernel.paint(mine, at([member + 1 for member in west]), way(WEST, to=CORE))
        kernel.paint(mine, at(east), way(CORE, to=WEST))
        kernel.paint(mine, at([member - 1 for member in east]), way(EAST, to=CORE))
        # pe: what
        ends = [member for member in (*west, *east) if member in (0, size - 1)]
        with kernel.on(at(ends), step) as pe, pe.thread(piece):
            pe.move(mine, data)
        with kernel.on(at([member for member in (*west, *east) if member not in ends]), step) as pe, pe.thread(piece):
            pe.add(mine, other, data)
    with kernel.on(at([place]), step) as pe, pe.thread(piece):
        if place > 0:
            pe.add(data, colors[0], data)
        if place < size - 1:
            pe.add(data, colors[1], data)


def star(kernel, data, piece, members):
    """The second level: the groups' roots send to the middle one, the nearest first on each side."""
    root, step = members[len(members) // 2], f"star {piece}"
    sides = [place for place in members if place < root][::-1], [place for place in members if place > root]
    for members, away, towards in (sides[0], WEST, EAST), (sides[1], EAST, WEST):
        if not members:
            continue
        color = kernel.color(f"star {piece} {away.name.lower()}")
        low, high = min(*members, root), max(*members, root)
        between = [place for place in range(low, high) if place not in members and place != root]
        # layout: where
        kernel.paint(color, kernel[root], way(away, to=CORE))
        kernel.paint(color, kernel[between], way(away, to=towards))
        kernel.paint(color, kernel[members[:-1]], way(CORE, to=towards), way(away, to=towards))
        kernel.paint(color, kernel[members[-1]], way(CORE, to=towards))
        # pe: what
        with kernel.on(kernel[members], step) as pe, pe.thread(piece):
            pe.move(color.then(advance=True), data)
        with kernel.on(kernel[root], step) as pe, pe.thread(piece), pe.loop(len(members)):
            pe.add(data, color, data)


def check(result):
    data = result.kernel.arrays["data"]
    slices = data.shape[0]
    after, before = result[data], result.before(data)
    sums = before.sum(axis=1)
    for piece in range(slices):
        there = (after[:, :, piece] == sums[:, None, piece]).all(axis=2)
        assert there.any(axis=1).all(), f"no core of some row has the sum of slice {piece}"
