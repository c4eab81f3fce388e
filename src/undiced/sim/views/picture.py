"""Picture: a view as a file of its own, with head, legend and the numbers of regions beside it or below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

from undiced.draw.canvas import Canvas
from undiced.draw.lettering import shortened, text_width, wrapped
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.views import layers, links, sram, time, timeline, traffic, trees
from undiced.sim.views.sheet import MARGIN, PAGE, PICTURE, WIDTH, Room, Sheet
from undiced.sim.views.table import Table
from undiced.sim.views.words import facts, heading, stamp

Show = Literal["layers", "time", "sram", "traffic", "links", "trees", "timeline"]
PANEL_TOP = 4.0
_SIZE, _LINE = 11.0, 15.0
_PANEL_LEAST, _GROUPS_MOST = 560.0, 8
_LIST_LEAST, _LIST_GAP, _CELL_GAP, _LIST_DOWN = 330.0, 24.0, 10.0, 12
_LISTED_MOST = 48  # rows, where every region has a label


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at an atlas.

    Attributes:
        draw: onto a canvas from a height on; returns the sheet of wafers, or where the drawing ends.
        key: the legend, likewise; returns where it ends.
        regional: whether it draws wafers with their regions.
        below: what a picture has below the drawing, from a height on; returns where it ends.
    """

    name: str
    note: str
    draw: Callable[[Atlas, Canvas, Room, float], Sheet | float]
    key: Callable[[Atlas, Canvas, float], float]
    table: Callable[[Atlas], Table]
    regional: bool = True
    below: Callable[[Atlas, Canvas, float], float] | None = None


VIEWS: dict[Show, View] = {
    "layers": View("layers", layers.NOTE, layers.draw, layers.key, layers.table),
    "time": View("time", time.NOTE, time.draw, time.key, time.table),
    "sram": View("SRAM", sram.NOTE, sram.draw, sram.key, sram.table),
    "traffic": View("traffic", traffic.NOTE, traffic.draw, traffic.key, traffic.table),
    "links": View("link load", links.NOTE, links.draw, links.key, links.table, below=links.below),
    "trees": View("trees", trees.NOTE, trees.draw, trees.key, trees.table, regional=False),
    "timeline": View("time line", timeline.NOTE, timeline.draw, timeline.key, timeline.table, regional=False),
}


def shown(atlas: Atlas) -> dict[Show, View]:
    """The views that an atlas has; link loads take a simulation that it may be without."""
    return {show: view for show, view in VIEWS.items() if show != "links" or atlas.links is not None}


def panel(atlas: Atlas, show: Show) -> Canvas:
    """A view for a page that has words and tables around it."""
    canvas, view = Canvas(PAGE.width), VIEWS[show]
    drawn = view.draw(atlas, canvas, PAGE, PANEL_TOP)
    if isinstance(drawn, Sheet):
        canvas.width = min(max(drawn.right + MARGIN, _PANEL_LEAST), PAGE.width)
    canvas.height = view.key(atlas, canvas, (drawn.bottom if isinstance(drawn, Sheet) else drawn) + 8) + 8
    return canvas


def picture(atlas: Atlas, show: Show) -> Canvas:
    """A view as a file of its own."""
    canvas, view = Canvas(WIDTH), VIEWS[show]
    y = _head(atlas, canvas, view)
    y = view.key(atlas, canvas, y + 6) + 4
    drawn = view.draw(atlas, canvas, PICTURE, y)
    bottom = drawn.bottom if isinstance(drawn, Sheet) else drawn
    listed = view.table(atlas)
    if len(listed.rows) > _LISTED_MOST and not canvas.dropped:
        end = _grouped(atlas, canvas, bottom + 16)
    elif isinstance(drawn, Sheet) and WIDTH - drawn.right - MARGIN >= _LIST_LEAST:
        end = max(bottom, _list(canvas, listed, drawn.right + _LIST_GAP, y + 18))
    else:
        end = _list(canvas, listed, MARGIN, bottom + 16)
    if view.below is not None:
        end = view.below(atlas, canvas, end + MARGIN / 2)
    canvas.height = end + MARGIN / 2
    return canvas


def _grouped(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """How many regions hold the like; a page lists them all."""
    for line in [*layers.groups(atlas)[:_GROUPS_MOST], "A page (.html) lists every region."]:
        canvas.text((MARGIN, top), shortened(line, WIDTH - 2 * MARGIN, _SIZE), _SIZE, "faint")
        top += _LINE
    return top


def _head(atlas: Atlas, canvas: Canvas, view: View) -> float:
    """Title, facts and the stamp; returns where they end."""
    wide, y = WIDTH - 2 * MARGIN, 34.0
    canvas.text((MARGIN, y), shortened(f"{heading(atlas)}: {view.name}", wide, 22.0), 20.0, "ink", bold=True)
    said = [(line, "ink") for fact in facts(atlas) for line in wrapped(fact, wide, 12.5)]
    said += [(line, "faint") for line in wrapped(view.note, wide, 12.5)]
    said = [(line, "alarm") for line in wrapped(stamp(atlas), wide * 0.94, 12.5)] + said
    for line, paint in said:
        y += 18
        canvas.text((MARGIN, y), line, 12.5, paint, bold=paint == "alarm")
    return y + 6


def _list(canvas: Canvas, table: Table, left: float, top: float) -> float:
    """The told columns of a table, in as many columns of lines as there is room for; returns where it ends."""
    lines = [table.line(row) for row in range(len(table.rows))]
    if not lines:
        return top
    heads = tuple(table.columns[n].name for n in table.told)
    widths = [max(text_width(line[n], _SIZE) for line in (heads, *lines)) + _CELL_GAP for n in range(len(heads))]
    room = WIDTH - MARGIN - left
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    across = max(1, int((room + _LIST_GAP) // (sum(widths) + _LIST_GAP)))
    down = max(ceil(len(lines) / across), min(len(lines), _LIST_DOWN))
    for start in range(0, len(lines), down):
        x = left + start // down * (sum(widths) + _LIST_GAP)
        _cells(canvas, heads, x, top, widths, table, "faint")
        for number, line in enumerate(lines[start : start + down]):
            _cells(canvas, line, x, top + (number + 1) * _LINE, widths, table, "ink")
    return top + (down + 1) * _LINE


def _cells(
    canvas: Canvas, cells: tuple[str, ...], x: float, y: float, widths: list[float], table: Table, paint: str
) -> None:
    for cell, width, column in zip(cells, widths, table.told, strict=True):
        figure = bool(table.columns[column].form)
        words = shortened(cell, width - _CELL_GAP, _SIZE)
        if words:
            canvas.text((x + width - _CELL_GAP if figure else x, y), words, _SIZE, paint, "end" if figure else "start")
        x += width
