"""Bars: amounts side by side, each from where it begins to where it ends, with whiskers for what is not known of it."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.draw.axis import Axis, spelled
from undiced.draw.canvas import Canvas
from undiced.draw.color import KINDS
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, shortened, text_width, wrapped

WIDTH, MARGIN = 960.0, 24.0
_SIZE, _LINE, _BAR, _TICKS = 11.5, 24.0, 13.0, 7
_NAMES_MOST = 380.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One amount.

    Attributes:
        words: what is told behind it. start: where it begins; None is the axis's end. low, high: ends of the whiskers;
            None where there are none. kind: of the chart's `kinds`.
    """

    name: str
    end: float
    words: str
    start: float | None = None
    low: float | None = None
    high: float | None = None
    kind: int = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """What is compared; `powers`: equal distances are equal ratios. `kinds`: what colors stand for, if several."""

    title: str
    notes: tuple[str, ...]
    x: str
    bars: tuple[Bar, ...]
    powers: bool = False
    kinds: tuple[str, ...] = ()

    @property
    def across(self) -> Axis:
        """Of all that is drawn."""
        ends = [(bar.start, bar.end, bar.low, bar.high) for bar in self.bars]
        values = [value for each in ends for value in each if value is not None and (value > 0 or not self.powers)]
        if not self.powers:
            return Axis.of(values, zero=True)
        found = Axis.of(values, powers=True)
        return Axis(found.low / 1.25, found.high, True)


def draw(bars: Bars) -> Canvas:
    """The picture by itself."""
    canvas = Canvas(WIDTH)
    canvas.text((MARGIN, 32), shortened(bars.title, WIDTH - 2 * MARGIN, 18), 18, bold=True)
    y = 32.0
    for line in [line for note in bars.notes for line in wrapped(note, WIDTH - 2 * MARGIN, 12)]:
        y += 17
        canvas.text((MARGIN, y), line, 12, "faint")
    canvas.height = place(canvas, bars, Box(MARGIN, y + 12, WIDTH - 2 * MARGIN, 0)) + MARGIN / 2
    return canvas


def place(canvas: Canvas, bars: Bars, box: Box) -> float:
    """Draws the bars below each other from a box's top on, in its width; returns where they end."""
    entries = [(swatch(_paint(number)), name) for number, name in enumerate(bars.kinds)]
    top = legend(canvas, entries if len(entries) > 1 else [], box.x, box.y) + 8
    names = min(max(text_width(bar.name, _SIZE) for bar in bars.bars), _NAMES_MOST, box.width * 0.45)
    words = max(text_width(bar.words, _SIZE) for bar in bars.bars)
    body = Box(box.x + names + 10, top, box.width - names - words - 26, _LINE * len(bars.bars))
    _axis(canvas, bars, body)
    for number, bar in enumerate(bars.bars):
        _bar(canvas, bars, bar, Box(body.x, top + number * _LINE, body.width, _LINE), box.x)
    canvas.line([(body.x, body.y), (body.x, body.y + body.height)], "edge")
    return body.y + body.height + 42


def _paint(number: int) -> str:
    return KINDS[number % len(KINDS)]


def _axis(canvas: Canvas, bars: Bars, body: Box) -> None:
    bottom, taken = body.y + body.height, -1.0
    for value in bars.across.ticks(_TICKS):
        x = body.x + bars.across.place(value) * body.width
        canvas.line([(x, body.y), (x, bottom)], "edge", 0.4)
        told = spelled(value)
        if x - text_width(told, _SIZE) / 2 > taken:
            canvas.text((x, bottom + 17), told, _SIZE, "faint", "middle")
            taken = x + text_width(told, _SIZE) / 2 + 6
    canvas.text((body.center[0], bottom + 36), bars.x, _SIZE, "faint", "middle")


def _bar(canvas: Canvas, bars: Bars, bar: Bar, line: Box, left: float) -> None:
    """A name, the bar with its whiskers, and its words behind everything."""
    axis, middle = bars.across, line.y + line.height / 2
    base = line.y + line.height / 2 + 4
    canvas.text((left, base), shortened(bar.name, line.x - left - 8, _SIZE), _SIZE)
    start, end = (line.x + _at(axis, value) * line.width for value in (bar.start, bar.end))
    wide = max(abs(end - start), 1.0)
    canvas.rect(Box(min(start, end), middle - _BAR / 2, wide, _BAR), _paint(bar.kind), f"{bar.name}: {bar.words}")
    ends = [value for value in (bar.low, bar.high) if value is not None]
    marks = [line.x + _at(axis, value) * line.width for value in ends]
    if len(marks) > 1:
        canvas.line([(marks[0], middle), (marks[-1], middle)], "ink", 1.2)
    for x in marks:
        canvas.line([(x, middle - 4), (x, middle + 4)], "ink", 1.2)
    canvas.text((max(start, end, *marks, line.x) + 8, base), bar.words, _SIZE, "faint")


def _at(axis: Axis, value: float | None) -> float:
    if value is None or (axis.powers and value <= axis.low):
        return 0.0 if axis.powers else axis.place(0.0)
    return axis.place(value)
