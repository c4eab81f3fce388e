"""The view of links: how many wavelets each router sent each way, as heat maps, with the busiest link marked.

Takes what a simulation counted. A mesh of many cores is drawn in cells, each as hot as its busiest link.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from undiced.draw.axis import Axis, spelled
from undiced.draw.canvas import Canvas
from undiced.draw.cells import cells, level
from undiced.draw.legend import ramped
from undiced.draw.lettering import Box, shortened, wrapped
from undiced.sim.fabric.routes import Port
from undiced.sim.views.sheet import MARGIN, WIDTH

Loads = NDArray[np.integer]
_MOST, _MOST_SMALL = 200, 80  # cells along a side of the large map and of the others
LINKS = (Port.NORTH, Port.SOUTH, Port.EAST, Port.WEST)
_LARGE, _SMALL = (600.0, 620.0), (160.0, 250.0)  # the most pixels across and down
_GAP, _CAPTION, _LINE = 20.0, 16.0, 18.0
_RING = 8.0
_HEADS = ("to the", "wavelets", "most on a link", "mean of used links", "links that carry nothing")
_WIDTHS = (50.0, 112.0, 106.0, 134.0, 146.0)


@dataclass(frozen=True, slots=True)
class Busiest:
    """The link that carried most: out of the router at x, y by a port."""

    x: int
    y: int
    port: Port
    wavelets: int

    @classmethod
    def of(cls, loads: Loads) -> Busiest:
        """Of all links between routers, the first one if several carried as much."""
        links = loads[:, :, list(LINKS)]
        y, x, port = (int(n) for n in np.unravel_index(int(np.argmax(links)), links.shape))
        return cls(x, y, LINKS[port], int(links[y, x, port]))


def load(loads: Loads, cycles: int, heading: str, notes: tuple[str, ...] = ()) -> Canvas:
    """The picture of [height, width, 5] wavelets by `Port`, over so many cycles; `notes` stand below the heading."""
    canvas, found = Canvas(WIDTH), Busiest.of(loads)
    y = _head(canvas, heading, (*notes, *_told(loads, cycles, found)))
    most = max(found.wavelets, int(loads[:, :, Port.CORE].max()), 1)
    large = _box(loads, Box(MARGIN, y + _CAPTION, *_LARGE))
    links = loads[:, :, list(LINKS)].max(axis=2)
    _Heat(most, _MOST).draw(canvas, large, links, "busiest link of each router", found)
    left = x = large.x + large.width + 2 * _GAP
    top = small = y + _CAPTION
    for port in (*LINKS, Port.CORE):
        box = _box(loads, Box(x, top, *_SMALL))
        if x > left and x + box.width > WIDTH - MARGIN:
            x, top = left, top + box.height + _CAPTION + _GAP
            box = Box(x, top, box.width, box.height)
        name = "to the core" if port is Port.CORE else f"to the {port.name.lower()}"
        _Heat(most, _MOST_SMALL).draw(canvas, box, loads[:, :, port], name, found if port is found.port else None)
        x, small = x + box.width + _GAP, max(small, top + box.height)
    low = _table(canvas, loads, min(left, WIDTH - MARGIN - sum(_WIDTHS)), small + 2 * _GAP)
    _scale(canvas, most, large.y + large.height + 10)
    canvas.height = max(large.y + large.height + 40, low) + MARGIN / 2
    return canvas


def _head(canvas: Canvas, heading: str, notes: tuple[str, ...]) -> float:
    wide, y = WIDTH - 2 * MARGIN, 34.0
    canvas.text((MARGIN, y), shortened(heading, wide, 22.0), 20.0, "ink", bold=True)
    for line in (line for note in notes for line in wrapped(note, wide, 12.5)):
        y += _LINE
        canvas.text((MARGIN, y), line, 12.5)
    return y + 12


def _told(loads: Loads, cycles: int, found: Busiest) -> list[str]:
    height, width, _ = loads.shape
    moved = int(loads[:, :, list(LINKS)].sum(dtype=np.int64))
    share = f", {found.wavelets / cycles:.1%} of {cycles:,} cycles" if cycles else ""
    block = _block(loads, _MOST)
    told = [
        f"Simulated, not measured. {width:,} x {height:,} routers; {moved:,} wavelets passed from router to router."
    ]
    if found.wavelets:
        where = f"from ({found.x}, {found.y}) to the {found.port.name.lower()}"
        told.append(f"Busiest link: {where}, {found.wavelets:,} wavelets{share}; marked by a ring.")
    if block > 1:
        told.append(f"A cell stands for {block} x {block} routers and is as hot as the busiest of their links.")
    return told


def _block(loads: Loads, most: int) -> int:
    """Routers along a side of a cell, for at most so many cells."""
    height, width, *_ = loads.shape
    return max(ceil(int(max(height, width)) / most), 1)


def _box(loads: Loads, room: Box) -> Box:
    """As large as the mesh can be in a room, routers square."""
    down, across = loads.shape[:2]
    unit = min(room.width / across, room.height / down)
    return Box(room.x, room.y, across * unit, down * unit)


@dataclass(frozen=True, slots=True)
class _Heat:
    """How amounts become colors: `most` is the hottest; at most `finest` cells along a side."""

    most: int
    finest: int

    def draw(self, canvas: Canvas, box: Box, amounts: Loads, name: str, marked: Busiest | None) -> None:
        """A map with its name above, and a ring around one router."""
        canvas.text((box.x, box.y - 5), name, 11, "faint")
        canvas.rect(box, "face")
        heat(canvas, box, amounts, self.most, self.finest)
        unit = box.width / amounts.shape[1]
        if marked is not None and marked.wavelets:
            at = box.x + (marked.x + 0.5) * unit, box.y + (marked.y + 0.5) * unit
            canvas.ring(at, _RING, "paper", 6.0)
            canvas.ring(at, _RING, "alarm", 3.0)
        canvas.frame(Box(box.x - 1, box.y - 1, box.width + 2, box.height + 2), "edge")


def pooled(amounts: Loads, finest: int) -> tuple[int, Loads]:
    """Routers along a side of a cell, and the most of each cell, for at most so many cells along a side."""
    block = _block(amounts, finest)
    rows, columns = (np.arange(0, side, block) for side in amounts.shape)
    return block, np.maximum.reduceat(np.maximum.reduceat(amounts, rows, axis=0), columns, axis=1)


def heat(canvas: Canvas, box: Box, amounts: Loads, most: int, finest: int) -> None:
    """Amounts of routers in a box that has their sides' proportions; `most` is the hottest."""
    block, hottest = pooled(amounts, finest)
    unit = box.width / amounts.shape[1], box.height / amounts.shape[0]
    ends = Box(box.x, box.y, unit[0] * block * hottest.shape[1], unit[1] * block * hottest.shape[0])
    cells(canvas, ends, [[level(value / most) for value in row] for row in hottest.tolist()], within=box)


def _scale(canvas: Canvas, most: int, top: float) -> None:
    """The ramp, with round numbers of wavelets below it."""
    canvas.text((MARGIN, top + 10.5), "wavelets", 11.5, "faint")
    left = MARGIN + 64
    ramped(canvas, "0", f"{most:,}", left, top)
    axis = Axis(0.0, float(most))
    for value in (tick for tick in axis.ticks(4) if 0 < tick < 0.9 * most):
        canvas.text((left + 15 + axis.place(value) * 200, top + 24), spelled(value), 10, "faint", "middle")


def _table(canvas: Canvas, loads: Loads, left: float, top: float) -> float:
    """Figures of each way; returns where they end."""
    lines = [_HEADS]
    for port in LINKS:
        amounts = loads[:, :, port].astype(np.int64)
        used = amounts[amounts > 0]
        mean = f"{used.mean():,.1f}" if used.size else "-"
        quiet = f"{1 - used.size / amounts.size:.1%}"
        lines.append((port.name.lower(), f"{amounts.sum():,}", f"{amounts.max():,}", mean, quiet))
    for number, line in enumerate(lines):
        x = left
        for column, (words, width) in enumerate(zip(line, _WIDTHS, strict=True)):
            at = (x, top + number * _LINE) if column == 0 else (x + width, top + number * _LINE)
            canvas.text(at, words, 11, "faint" if number == 0 else "ink", "start" if column == 0 else "end")
            x += width
    return top + len(lines) * _LINE
