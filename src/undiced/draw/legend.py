"""Legend: what colors stand for, flowing over as many lines as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from undiced.draw.canvas import Canvas
from undiced.draw.color import ramp
from undiced.draw.lettering import Box, text_width

_SWATCH, _SIZE, _LINE, _GAP = 12.0, 11.5, 20.0, 22.0
_STEPS, _STEP = 40, 5.0
Mark = Callable[[Canvas, Box], None]


def swatch(paint: str) -> Mark:
    """A square of a color."""
    return lambda canvas, box: canvas.rect(box, paint)


def outlined(paint: str) -> Mark:
    """A frame of a color."""
    return lambda canvas, box: canvas.frame(box, paint, 2.5)


def arrowed(paint: str, *, dashed: bool = False) -> Mark:
    """An arrow of a color."""

    def draw(canvas: Canvas, box: Box) -> None:
        middle = box.center[1]
        canvas.arrow([(box.x - 6, middle), (box.x + box.width, middle)], paint, dashed=dashed)

    return draw


def legend(canvas: Canvas, entries: Sequence[tuple[Mark, str]], left: float, top: float) -> float:
    """Draws entries from a corner on, within the canvas; returns where they end."""
    x, y = left, top
    for mark, words in entries:
        wide = _SWATCH + 6 + text_width(words, _SIZE)
        if x > left and x + wide > canvas.width - left:
            x, y = left, y + _LINE
        mark(canvas, Box(x, y, _SWATCH, _SWATCH))
        canvas.text((x + _SWATCH + 6, y + 10.5), words, _SIZE, "ink")
        x += wide + _GAP
    return y + _LINE if entries else top


def ramped(canvas: Canvas, low: str, high: str, left: float, top: float) -> float:
    """A bar of the ramp with words at its ends; returns where it ends on the right."""
    canvas.text((left, top + 10.5), low, _SIZE)
    x = left + text_width(low, _SIZE) + 8
    for step in range(_STEPS):
        canvas.rect(Box(x + step * _STEP, top, _STEP + 0.5, _SWATCH), ramp(step / (_STEPS - 1)))
    end = x + _STEPS * _STEP + 8
    canvas.text((end, top + 10.5), high, _SIZE)
    return end + text_width(high, _SIZE) + _GAP
