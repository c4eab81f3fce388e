"""Scatter: points over two axes of equal ratios, those of one choice joined, with whiskers for what is not known.

Upright lines stand for what is known along x alone. Labels that would meet another one are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, floor, log10

from undiced.draw.axis import Axis, spelled
from undiced.draw.canvas import Canvas
from undiced.draw.color import KINDS
from undiced.draw.legend import legend, swatch
from undiced.draw.lettering import Box, shortened, text_width, wrapped

_WIDTH, _HEIGHT, _MARGIN, _SIZE = 960.0, 520.0, 24.0, 11.5
_STEPS = (1.0, 2.0, 5.0)
_LINE = 14.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A point; `low`, `high`: how far it may be off along x."""

    x: float
    y: float
    words: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """Points of one choice.

    Attributes:
        kind: of the picture's `kinds`, whose color it has. label: what stands at its first point.
        strong: whether it is drawn in full: discs and whiskers, not a thin line alone. ringed: rings, not joined.
    """

    marks: tuple[Mark, ...]
    kind: int
    label: str = ""
    strong: bool = True
    ringed: bool = False


@dataclass(frozen=True, slots=True)
class Upright:
    """What is known along x alone."""

    x: float
    words: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """What is compared; every number is above 0."""

    title: str
    notes: tuple[str, ...]
    x: str
    y: str
    kinds: tuple[str, ...]
    trails: tuple[Trail, ...]
    uprights: tuple[Upright, ...] = ()

    @property
    def across(self) -> Axis:
        """Of all points, whiskers and uprights."""
        marks = [mark for trail in self.trails for mark in trail.marks]
        ends = [end for mark in marks for end in (mark.low, mark.x, mark.high) if end is not None]
        return _roomy([*ends, *(each.x for each in self.uprights)])

    @property
    def up(self) -> Axis:
        """Of all points."""
        return _roomy([mark.y for trail in self.trails for mark in trail.marks])


def _roomy(values: list[float]) -> Axis:
    """With some room at both ends."""
    return Axis(min(values) / 1.25, max(values) * 1.25, True)


def round_ticks(axis: Axis, most: int = 10) -> list[float]:
    """1, 2 and 5 times powers of ten within an axis of equal ratios; powers alone where these are too many."""
    first, last = floor(log10(axis.low)), ceil(log10(axis.high))
    every = [step * 10.0**power for power in range(first, last + 1) for step in _STEPS]
    within = [value for value in every if axis.low <= value <= axis.high]
    tens = [value for value in within if abs(log10(value) - round(log10(value))) < 1e-9]
    return within if len(within) <= most or not tens else tens


@dataclass(slots=True)
class _Drawing:
    scatter: Scatter
    canvas: Canvas
    body: Box
    taken: list[Box] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across, up = self.scatter.across, self.scatter.up
        return (
            self.body.x + across.place(x) * self.body.width,
            self.body.y + (1 - up.place(y)) * self.body.height,
        )

    def axes(self) -> None:
        canvas, body = self.canvas, self.body
        bottom = body.y + body.height
        for value in round_ticks(self.scatter.up):
            y = self.at(self.scatter.across.low, value)[1]
            canvas.line([(body.x, y), (body.x + body.width, y)], "edge", 0.4)
            canvas.text((body.x - 8, y + 4), spelled(value), _SIZE, "faint", "end")
        for value in round_ticks(self.scatter.across):
            x = self.at(value, self.scatter.up.low)[0]
            canvas.line([(x, body.y), (x, bottom)], "edge", 0.4)
            canvas.text((x, bottom + 18), spelled(value), _SIZE, "faint", "middle")
        canvas.frame(body, "edge")
        canvas.text((body.center[0], bottom + 38), self.scatter.x, _SIZE, "faint", "middle")
        canvas.text((_MARGIN, body.y - 10), self.scatter.y, _SIZE, "faint")

    def uprights(self) -> None:
        """Dashed lines that end at their words, which stand above the axes, so that no line crosses another's words."""
        for number, each in enumerate(sorted(self.scatter.uprights, key=lambda one: one.x)):
            x = self.at(each.x, self.scatter.up.low)[0]
            y = self.body.y - _LINE * (number + 1)
            self.canvas.line([(x, y), (x, self.body.y + self.body.height)], "faint", 1.2, dashed=True)
            left = x - 6 - text_width(each.words, _SIZE) > self.body.x
            self.canvas.text((x - 6 if left else x + 6, y + 9), each.words, _SIZE, "faint", "end" if left else "start")

    def trail(self, trail: Trail) -> None:
        paint = KINDS[trail.kind % len(KINDS)]
        points = [self.at(mark.x, mark.y) for mark in trail.marks]
        if len(points) > 1 and not trail.ringed:
            self.canvas.line(points, paint, 2.2 if trail.strong else 0.9)
        for mark, at in zip(trail.marks, points, strict=True):
            if trail.ringed:
                self.canvas.ring(at, 6.0, paint, 2.4)
                self.canvas.disc(at, 1.6, paint, mark.words)
            elif trail.strong:
                self._whiskers(mark, at[1], paint)
                self.taken.append(Box(at[0] - 6, at[1] - 6, 12, 12))
                self.canvas.disc(at, 4.2, paint, mark.words)
            else:
                self.canvas.disc(at, 1.8, paint, mark.words)

    def _whiskers(self, mark: Mark, y: float, paint: str) -> None:
        if mark.low is None or mark.high is None:
            return
        ends = [self.at(each, mark.y)[0] for each in (mark.low, mark.high)]
        self.canvas.line([(ends[0], y), (ends[1], y)], paint, 1.2)
        self.taken.append(Box(ends[0], y - 4, ends[1] - ends[0], 8))
        for x in ends:
            self.canvas.line([(x, y - 4), (x, y + 4)], paint, 1.2)

    def label(self, trail: Trail) -> None:
        """Beside the first point, below it or above it, where nothing else is said."""
        if not trail.label or not trail.marks:
            return
        x, y = self.at(trail.marks[0].x, trail.marks[0].y)
        wide = text_width(trail.label, _SIZE)
        for left, base in ((x + 9, y + 17), (x - wide - 9, y + 17), (x + 9, y - 8), (x - wide - 9, y - 8)):
            box = Box(left, base - 10, wide, 12)
            inside = self.body.x < left and left + wide < self.body.x + self.body.width
            if inside and base < self.body.y + self.body.height and not any(_meet(box, other) for other in self.taken):
                self.canvas.text((left, base), trail.label, _SIZE)
                self.taken.append(box)
                return


def _meet(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def draw(scatter: Scatter) -> Canvas:
    """The picture: title, notes, legend, axes with units, and the points."""
    canvas = Canvas(_WIDTH)
    canvas.text((_MARGIN, 32), shortened(scatter.title, _WIDTH - 2 * _MARGIN, 18), 18, bold=True)
    y = 32.0
    for line in _lines(scatter):
        y += 17
        canvas.text((_MARGIN, y), line, 12, "faint")
    entries = [(swatch(KINDS[number % len(KINDS)]), name) for number, name in enumerate(scatter.kinds)]
    y = legend(canvas, entries, _MARGIN, y + 12) + 10
    left = _MARGIN + 12 + max(text_width(spelled(tick), _SIZE) for tick in round_ticks(scatter.up))
    y += _LINE * len(scatter.uprights)
    drawing = _Drawing(scatter, canvas, Box(left, y + 22, _WIDTH - left - 2 * _MARGIN, _HEIGHT))
    drawing.axes()
    drawing.uprights()
    for trail in sorted(scatter.trails, key=lambda trail: (trail.strong, trail.ringed)):
        drawing.trail(trail)
    for trail in sorted(scatter.trails, key=lambda trail: not trail.strong):
        drawing.label(trail)
    canvas.height = drawing.body.y + _HEIGHT + 56
    return canvas


def _lines(scatter: Scatter) -> Iterator[str]:
    for note in scatter.notes:
        yield from wrapped(note, _WIDTH - 2 * _MARGIN, 12)
