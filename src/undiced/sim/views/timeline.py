"""The view of a time line: one token's way through the regions, a row each, from its start to its end."""

from __future__ import annotations

from itertools import groupby

from undiced.draw.axis import Axis, spelled
from undiced.draw.canvas import Canvas
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, shortened, text_width
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.atlas.contents import Role
from undiced.sim.atlas.journey import Span, busiest
from undiced.sim.views.roles import PAINT
from undiced.sim.views.sheet import MARGIN, Room
from undiced.sim.views.table import Cell, Column, Table

NOTE = "One token from region to region. Every stretch is what a region does for it; rows are regions."
_HEIGHT, _ROW_MOST, _ROW_LEAST = 620.0, 26.0, 5.0
_NAMES, _AXIS, _SIZE = 108.0, 22.0, 10.5
_TICKS = 8


def draw(atlas: Atlas, canvas: Canvas, room: Room, top: float) -> float:
    """Rows of spans between an axis in cycles and one in seconds; returns where it ends."""
    row = max(min((room.height or _HEIGHT) / len(atlas.places), _ROW_MOST), _ROW_LEAST)
    body = Box(MARGIN + _NAMES, top + _AXIS, room.width - 2 * MARGIN - _NAMES, row * len(atlas.places))
    axis = Axis(0.0, max(atlas.timing.token_cycles, 1.0))
    _grid(atlas, canvas, body, axis)
    for number in _named(atlas, row):
        words = shortened(f"region {atlas.places[number].name}", _NAMES - 8, _SIZE)
        paint = "alarm" if number in atlas.bottlenecks else "ink"
        canvas.text((body.x - 8, body.y + (number + 0.5) * row + 3.8), words, _SIZE, paint, "end")
    for span in atlas.spans:
        x, y = body.x + axis.place(span.start) * body.width, body.y + span.place * row
        box = Box(x, y + row * 0.08, max(span.cycles / axis.high * body.width, 0.3), row * 0.84)
        with canvas.group(_told(atlas, span), span.place):
            canvas.rect(box, PAINT[span.role])
    for number in atlas.bottlenecks:
        first, last = (axis.place(end) * body.width for end in _stay(atlas, number))
        canvas.frame(Box(body.x + first, body.y + number * row, last - first, row).inset(-2), "alarm", 2.0)
    return body.y + body.height + _AXIS


def _grid(atlas: Atlas, canvas: Canvas, body: Box, axis: Axis) -> None:
    seconds = Axis(0.0, axis.high / atlas.timing.clock_hz)
    unit, scale = ("ms", 1e3) if seconds.high >= 1e-3 else ("us", 1e6)
    canvas.text((MARGIN, body.y - 8), "cycles", _SIZE, "faint")
    canvas.text((MARGIN, body.y + body.height + 15), f"{unit} at {atlas.timing.clock_hz / 1e9:.4g} GHz", _SIZE, "faint")
    for each, factor, y, tick in ((axis, 1.0, body.y, -1), (seconds, scale, body.y + body.height, 1)):
        for value in each.ticks(_TICKS):
            x = body.x + each.place(value) * body.width
            if tick < 0:
                canvas.line([(x, body.y), (x, body.y + body.height)], "edge", 0.4)
            canvas.line([(x, y), (x, y + 4 * tick)], "edge")
            words = spelled(value * factor)
            x = min(x, body.x + body.width - text_width(words, _SIZE) / 2 + MARGIN - 2)
            canvas.text((x, y + (15 if tick > 0 else -8)), words, _SIZE, "faint", "middle")


def _named(atlas: Atlas, row: float) -> list[int]:
    """Rows with a name, the bottleneck's first: as many as do not run into each other."""
    apart = (_SIZE + 2) / row
    found: list[int] = []
    for number in sorted(range(len(atlas.places)), key=lambda number: (number not in atlas.bottlenecks, number)):
        if all(abs(number - other) >= apart for other in found):
            found.append(number)
    return found


def _stay(atlas: Atlas, number: int) -> tuple[float, float]:
    """The longest stretch of a token's time at a place."""
    stays = [(visit[0].start, visit[-1].end) for place, visit in _visits(atlas) if place == number]
    return max(stays, key=lambda stay: stay[1] - stay[0], default=(0.0, 0.0))


def _visits(atlas: Atlas) -> list[tuple[int, list[Span]]]:
    """Stretches of a token's time at one place; it may come to one twice."""
    return [(place, list(spans)) for place, spans in groupby(atlas.spans, key=lambda span: span.place)]


def _told(atlas: Atlas, span: Span) -> str:
    of = f" of layer {span.layer}" if span.layer >= 0 else ""
    place = atlas.places[span.place]
    return f"region {place.name}: {span.role}{of}, {span.cycles:,.0f} cycles from cycle {span.start:,.0f} on"


def key(atlas: Atlas, canvas: Canvas, top: float) -> float:
    """What the colors stand for, and how much of a token each takes."""
    whole = max(atlas.timing.token_cycles, 1.0)
    entries = [(swatch(PAINT[role]), f"{role}: {cycles / whole:.1%}") for role, cycles in busiest(atlas.spans).items()]
    return legend(canvas, entries, MARGIN, top)


def table(atlas: Atlas) -> Table:
    """Every stay of the token, and what it is for."""
    roles = [role for role in Role if any(span.role is role for span in atlas.spans)]
    columns = (
        Column("region"), Column("from cycle", ",.0f"), Column("to cycle", ",.0f"), Column("cycles", ",.0f"),
        *(Column(str(role), ",.0f") for role in roles),
    )  # fmt: skip
    rows: list[tuple[int, tuple[Cell, ...]]] = []
    for place, spans in _visits(atlas):
        spent, first, last = busiest(tuple(spans)), spans[0].start, spans[-1].end
        each = (spent.get(role, 0.0) for role in roles)
        rows.append((place, (atlas.places[place].name, first, last, last - first, *each)))
    return Table(columns, tuple(rows), (0, 1, 3))
