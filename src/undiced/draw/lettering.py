"""Lettering: how wide text is, and what of it fits into a box. By the font that comes along, which is wider than most.

A browser may use another sans-serif font; those are narrower, so that what fits here fits there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Advances of the characters from the blank to the tilde, in thousandths of the letters' size.
ADVANCES = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636,
    636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295,
    295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838,
    500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521,
    392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
)  # fmt: skip
_FIRST, _OTHER = 32, 1000  # a character that is not listed is taken for a wide one
_LINE = 1.2  # of the letters' size, from line to line
_MARGIN = 3.0
_ELLIPSIS = "..."
_MOST = 2 / 3  # of the labels, which the others follow as far as they can
SIZES = (12.0, 11.0, 10.0, 9.0)  # none smaller can be read


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a picture, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> tuple[float, float]:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def inset(self, by: float) -> Box:
        """The same, smaller on every side, never inside out."""
        by = min(by, self.width / 2, self.height / 2)
        return Box(self.x + by, self.y + by, self.width - 2 * by, self.height - 2 * by)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Lines that fit into a box, in letters of a size; baselines from the top."""

    lines: tuple[str, ...]
    size: float

    @property
    def height(self) -> float:
        """Of all lines."""
        return len(self.lines) * self.size * _LINE

    def baseline(self, box: Box, line: int) -> float:
        """Where a line stands in the box's middle."""
        top = box.y + (box.height - self.height) / 2
        return top + (line + 0.5) * self.size * _LINE + self.size * 0.36


def text_width(text: str, size: float) -> float:
    """Pixels that a line takes."""
    codes = (ord(character) - _FIRST for character in text)
    return sum(ADVANCES[code] if 0 <= code < len(ADVANCES) else _OTHER for code in codes) * size / 1000


def fitted(choices: Sequence[tuple[str, ...]], box: Box, sizes: Sequence[float] = SIZES) -> Fitted | None:
    """The first choice that fits, in the largest letters that let it; None where not even the last one does."""
    for lines in choices:
        for size in sizes:
            wide = max((text_width(line, size) for line in lines), default=0.0)
            found = Fitted(lines, size)
            if lines and wide <= box.width - 2 * _MARGIN and found.height <= box.height - _MARGIN:
                return found
    return None


def alike(labels: Sequence[tuple[Sequence[tuple[str, ...]], Box]]) -> tuple[int, Sequence[float]]:
    """From which choice on, and in which sizes, labels look alike: the first that most have room for, or any of them.

    All labels have as many choices.
    """
    for level in range(min((len(choices) for choices, _ in labels), default=0)):
        for number, size in enumerate(SIZES):
            fit = sum(fitted(choices[level : level + 1], box, [size]) is not None for choices, box in labels)
            if fit >= _MOST * len(labels):
                return level, SIZES[number:]
    return 0, SIZES


def shortened(text: str, width: float, size: float) -> str:
    """As much of a line as fits, and dots for the rest."""
    if text_width(text, size) <= width + 1e-6:
        return text
    while text and text_width(text + _ELLIPSIS, size) > width:
        text = text[:-1]
    return text.rstrip() + _ELLIPSIS if text else ""


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Lines of whole words that fit; a word that does not is shortened."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shortened(word, width, size))
    return lines
