"""Canvas: shapes and letters, one after the other, as an SVG document or as a part of a page. Knows pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape

from undiced.core.printable import printable
from undiced.draw.lettering import SIZES, Box, Fitted, fitted
from undiced.draw.theme import Theme, style

_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
Point = tuple[float, float]


@dataclass(slots=True)
class Canvas:
    """What is drawn so far. Paint is a color ("#4477aa") or the name of one of the theme's ("ink").

    Attributes:
        dropped: labels that had no room.
    """

    width: float
    height: float = 0.0
    parts: list[str] = field(default_factory=list)
    dropped: int = 0

    def rect(self, box: Box, paint: str, title: str = "", *, radius: float = 0.0) -> None:
        """A filled rectangle, with words for whoever points at it."""
        self.parts.append(f"<rect {_at(box)}{_round(radius)} {_fill(paint)}{_closed('rect', title)}")

    def frame(self, box: Box, paint: str, width: float = 1.0, *, radius: float = 0.0) -> None:
        """The outline of a rectangle, inside it."""
        place = f"{_at(box.inset(width / 2))}{_round(radius)}"
        self.parts.append(f'<rect {place} {_stroke(paint)} stroke-width="{_n(width)}"/>')

    def line(
        self, points: Sequence[Point], paint: str, width: float = 1.0, *, dashed: bool = False, title: str = ""
    ) -> None:
        """A line through points."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        attributes = f'points="{path}" {_stroke(paint)} stroke-width="{_n(width)}"{dash} stroke-linejoin="round"'
        self.parts.append(f"<polyline {attributes}{_closed('polyline', title)}")

    def arrow(
        self, points: Sequence[Point], paint: str, width: float = 1.5, *, dashed: bool = False, title: str = ""
    ) -> None:
        """A line with a head at its end."""
        (x0, y0), (x, y) = points[-2:]
        length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-6)
        ux, uy, size = (x - x0) / length, (y - y0) / length, 3.0 + 1.5 * width
        back = x - ux * size, y - uy * size
        self.line([*points[:-1], back], paint, width, dashed=dashed, title=title)
        corners = [
            (x, y),
            (back[0] - uy * size / 2, back[1] + ux * size / 2),
            (back[0] + uy * size / 2, back[1] - ux * size / 2),
        ]
        self.polygon(corners, paint, title)

    def polygon(self, points: Sequence[Point], paint: str, title: str = "") -> None:
        """A filled area."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self.parts.append(f'<polygon points="{path}" {_fill(paint)}{_closed("polygon", title)}')

    def disc(self, center: Point, radius: float, paint: str, title: str = "") -> None:
        """A filled circle."""
        attributes = f'cx="{_n(center[0])}" cy="{_n(center[1])}" r="{_n(radius)}"'
        self.parts.append(f"<circle {attributes} {_fill(paint)}{_closed('circle', title)}")

    def strokes(self, segments: Iterable[tuple[Point, Point]], paint: str, width: float = 1.0) -> None:
        """Many straight lines of one look; those of no length are dots."""
        path = "".join(f"M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}" for (x0, y0), (x1, y1) in segments)
        if path:
            look = f'{_stroke(paint)} stroke-width="{_n(width)}" stroke-linecap="round"'
            self.parts.append(f'<path d="{path}" {look}/>')

    def ring(self, center: Point, radius: float, paint: str, width: float = 2.0) -> None:
        """The outline of a circle."""
        place = f'cx="{_n(center[0])}" cy="{_n(center[1])}" r="{_n(radius)}"'
        self.parts.append(f'<circle {place} {_stroke(paint)} stroke-width="{_n(width)}"/>')

    def paths(self, painted: Iterable[tuple[str, str]], box: Box, unit: tuple[float, float]) -> None:
        """Filled areas with sharp edges, each a paint and a path in units from a box's corner on."""
        place = f"translate({_n(box.x)} {_n(box.y)}) scale({unit[0]:.5g} {unit[1]:.5g})"
        self.parts.append(f'<g transform="{place}" shape-rendering="crispEdges">')
        self.parts += [f'<path {_fill(paint)} d="{path}"/>' for paint, path in painted]
        self.parts.append("</g>")

    def text(
        self,
        at: Point,
        words: str,
        size: float = 12.0,
        paint: str = "ink",
        anchor: str = "start",
        *,
        bold: bool = False,
    ) -> None:
        """A line of letters that stand on a point."""
        weight = ' font-weight="bold"' if bold else ""
        place = f'x="{_n(at[0])}" y="{_n(at[1])}" font-size="{_n(size)}" text-anchor="{anchor}"'
        self.parts.append(f"<text {place}{weight} {_fill(paint)}>{_words(words)}</text>")

    def label(
        self, box: Box, choices: Sequence[tuple[str, ...]], paint: str, sizes: Sequence[float] = SIZES
    ) -> Fitted | None:
        """The first choice of lines that fits into a box, in its middle; nothing where none does."""
        found = fitted(choices, box, sizes)
        self.dropped += found is None
        if found is not None:
            for number, line in enumerate(found.lines):
                self.text((box.center[0], found.baseline(box, number)), line, found.size, paint, "middle")
        return found

    @contextmanager
    def group(self, title: str, place: int) -> Iterator[None]:
        """What belongs to one place, with its number for a page, and words for whoever points at it."""
        self.parts.append(f'<g class="place" data-place="{place}"><title>{_words(title)}</title>')
        yield
        self.parts.append("</g>")

    @contextmanager
    def part(self, name: str, number: int) -> Iterator[None]:
        """What a page may light up: the part of a name and number."""
        self.parts.append(f'<g class="{name}" data-{name}="{number}">')
        yield
        self.parts.append("</g>")

    def document(self, theme: Theme = "auto") -> str:
        """A file of its own, on paper."""
        size = f'width="{_n(self.width)}" height="{_n(self.height)}"'
        paper = f'<rect width="{_n(self.width)}" height="{_n(self.height)}" class="paper"/>'
        head = f'<svg {_NAMESPACE} {size} viewBox="0 0 {_n(self.width)} {_n(self.height)}" font-family="sans-serif">'
        return "\n".join([head, f"<style>{style(theme)}</style>", paper, *self.parts, "</svg>"]) + "\n"

    def inline(self, name: str) -> str:
        """A part of a page, whose style it shares."""
        sides = _n(self.width), _n(self.height)
        size = f'width="{sides[0]}" height="{sides[1]}" viewBox="0 0 {sides[0]} {sides[1]}"'
        head = f'<svg {_NAMESPACE} {size} font-family="sans-serif" role="img" aria-label="{_words(name)}">'
        return "\n".join([head, *self.parts, "</svg>"])


def _words(text: str) -> str:
    return escape(printable(text).replace("\n", " ").replace("\t", " "))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _at(box: Box) -> str:
    return f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"'


def _round(radius: float) -> str:
    return f' rx="{_n(radius)}"' if radius else ""


def _fill(paint: str) -> str:
    return f'fill="{paint}"' if paint.startswith("#") else f'class="{paint}"'


def _stroke(paint: str) -> str:
    return f'fill="none" stroke="{paint}"' if paint.startswith("#") else f'class="{paint}-line"'


def _closed(tag: str, title: str) -> str:
    return f"><title>{_words(title)}</title></{tag}>" if title else "/>"
