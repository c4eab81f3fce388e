"""Chart: lines of points over an axis, as a picture. Its data alone is shared with what draws it in a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.draw.axis import Axis, spelled
from undiced.draw.canvas import Canvas
from undiced.draw.color import KINDS
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, shortened, text_width, wrapped

_WIDTH, _HEIGHT, _MARGIN, _SIZE = 960.0, 420.0, 24.0, 11.5
_TICKS = 6
_POWERS = 8.0  # of the largest value over the smallest, from which on equal ratios are equal distances


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one choice; y over x, or over the number of a category."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is compared.

    Attributes:
        x, y: names of the axes with their units. categories: names instead of numbers along x.
    """

    title: str
    notes: tuple[str, ...]
    x: str
    y: str
    series: tuple[Series, ...]
    categories: tuple[str, ...] = ()

    @property
    def across(self) -> Axis:
        """Of all points."""
        values = [x for each in self.series for x, _ in each.points]
        if self.categories:
            return Axis(-0.5, len(self.categories) - 0.5)
        return Axis.of(values, powers=min(values) > 0 and max(values) / min(values) >= _POWERS)

    @property
    def up(self) -> Axis:
        """From 0 on."""
        return Axis.of([y for each in self.series for _, y in each.points], zero=True)

    def marks(self, most: int) -> list[tuple[float, str]]:
        """Where something stands below the axis, and what: the values themselves where they are few."""
        if self.categories:
            return [(float(number), name) for number, name in enumerate(self.categories)]
        values = sorted({x for each in self.series for x, _ in each.points})
        return [(value, spelled(value)) for value in (values if len(values) <= most else self.across.ticks(most))]


def draw(chart: Chart) -> Canvas:
    """The picture: title, legend, axes with units, and a line with a disc at each point."""
    canvas = Canvas(_WIDTH)
    canvas.text((_MARGIN, 32), shortened(chart.title, _WIDTH - 2 * _MARGIN, 20), 18, bold=True)
    y = 32.0
    for line in [line for note in chart.notes for line in wrapped(note, _WIDTH - 2 * _MARGIN, 12)]:
        y += 17
        canvas.text((_MARGIN, y), line, 12, "faint")
    entries = [(swatch(_paint(number)), each.name) for number, each in enumerate(chart.series)]
    y = legend(canvas, entries if len(entries) > 1 else [], _MARGIN, y + 12) + 10
    left = _MARGIN + 12 + max(text_width(spelled(tick), _SIZE) for tick in chart.up.ticks(_TICKS))
    body = Box(left, y + 18, _WIDTH - left - 2 * _MARGIN, _HEIGHT)
    canvas.text((_MARGIN, y + 4), chart.y, _SIZE, "faint")
    _axes(chart, canvas, body)
    for number, each in enumerate(chart.series):
        over = 2.0 * (len(chart.series) - 1 - number) / len(chart.series)  # so that equal lines show below each other
        points = [
            (body.x + chart.across.place(x) * body.width, body.y + (1 - chart.up.place(v)) * body.height)
            for x, v in each.points
        ]
        if len(points) > 1 and not chart.categories:
            canvas.line(points, _paint(number), 2.0 + over, dashed=number >= len(KINDS))
        for at, (_, value) in zip(points, each.points, strict=True):
            canvas.disc(at, 4.0 + over, _paint(number), f"{each.name}: {value:,.0f}")
    canvas.height = body.y + body.height + 56
    return canvas


def _paint(number: int) -> str:
    return KINDS[number % len(KINDS)]


def _axes(chart: Chart, canvas: Canvas, body: Box) -> None:
    bottom = body.y + body.height
    for value in chart.up.ticks(_TICKS):
        y = body.y + (1 - chart.up.place(value)) * body.height
        canvas.line([(body.x, y), (body.x + body.width, y)], "edge", 0.4)
        canvas.text((body.x - 8, y + 4), spelled(value), _SIZE, "faint", "end")
    canvas.line([(body.x, bottom), (body.x + body.width, bottom)], "edge")
    taken = 0.0  # where the last name ends, so that none runs into the next
    for value, words in chart.marks(12):
        x = body.x + chart.across.place(value) * body.width
        room = body.width / len(chart.categories) - 8 if chart.categories else body.width
        told = shortened(words, room, _SIZE)
        canvas.line([(x, bottom), (x, bottom + 5)], "edge")
        if x - text_width(told, _SIZE) / 2 > taken:
            canvas.text((x, bottom + 19), told, _SIZE, "faint", "middle")
            taken = x + text_width(told, _SIZE) / 2 + 6
    canvas.text((body.center[0], bottom + 40), chart.x, _SIZE, "faint", "middle")
