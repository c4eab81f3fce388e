"""The view of power: how dense each place is while a token is there, wafer by wafer; a token's joules by operator."""

from __future__ import annotations

from math import ceil

from undiced.draw.bars import Bar, Bars, place
from undiced.draw.canvas import Canvas
from undiced.draw.cells import cells, level
from undiced.draw.legend import ramped
from undiced.draw.lettering import Box, shortened, wrapped
from undiced.machine.interval import Interval
from undiced.machine.wafer import Wafer
from undiced.sim.power.density import CM2_MM2, Numbers, coarse
from undiced.sim.power.power import Power
from undiced.sim.views.sheet import MARGIN, WIDTH

_MOST, _ROW = 120, 8  # cells along a side; wafers in a row
_HEIGHT, _CAPTION, _GAP = 430.0, 16.0, 14.0
_OPERATORS = 12
_BARS_LEAST = 520.0  # pixels


def picture(found: Power, wafer: Wafer, title: str, notes: tuple[str, ...]) -> Canvas:
    """Heat maps of all wafers on one scale, the densest square centimeter framed; bars beside them or below."""
    canvas, y = Canvas(WIDTH), 34.0
    canvas.text((MARGIN, y), shortened(title, WIDTH - 2 * MARGIN, 22), 20, bold=True)
    for line in (line for note in notes for line in wrapped(note, WIDTH - 2 * MARGIN, 12.5)):
        y += 18
        canvas.text((MARGIN, y), line, 12.5)
    right, low = _maps(canvas, found, wafer, y + 14)
    bars = Bars("", (), "millijoules a token, idle apart", tuple(_bars(found)))
    beside = WIDTH - right - 2 * MARGIN >= _BARS_LEAST
    left, top = (right + MARGIN, y + 46) if beside else (MARGIN, low)
    canvas.height = max(place(canvas, bars, Box(left, top, WIDTH - left - MARGIN, 0)), low) + MARGIN / 2
    return canvas


def dense(watts: Numbers, wafer: Wafer) -> Numbers:
    """Watts of cores as watts a square centimeter."""
    found: Numbers = watts / wafer.mesh.core_mm2 * CM2_MM2
    return found


def _maps(canvas: Canvas, found: Power, wafer: Wafer, top: float) -> tuple[float, float]:
    """Draws them; returns where they end on the right and below."""
    idle = found.idle_w.median / wafer.mesh.die_area_mm2.value * CM2_MM2
    grids = [dense(coarse(grid, _MOST), wafer) + idle for grid in found.grids]
    hottest = max(float(grid.max()) for grid in grids)
    unit = f"W a square centimeter while a token is there; without one {idle:.1f}"
    end = ramped(canvas, f"{idle:.1f}", f"{hottest:.1f}", MARGIN, top)
    canvas.text((end, top + 10.5), unit, 11.5, "faint")
    rows = ceil(len(grids) / _ROW)
    width, height = wafer.mesh.size
    across = min(len(grids), _ROW)
    scale = min((WIDTH - 2 * MARGIN - (across - 1) * _GAP) / across / width, _HEIGHT / rows / height)
    for number, grid in enumerate(grids):
        x = MARGIN + number % _ROW * (width * scale + _GAP)
        y = top + 36 + _CAPTION + number // _ROW * (height * scale + _GAP + _CAPTION)
        canvas.text((x, y - 5), f"wafer {number}" if width * scale > 60 else f"{number}", 11, "faint")
        _heat(canvas, Box(x, y, width * scale, height * scale), grid, idle, hottest, max(width, height))
        if number == found.hot.window.wafer:
            _frame(canvas, found, x, y, scale)
    right = MARGIN + across * (width * scale + _GAP)
    return right, top + 36 + rows * (height * scale + _GAP + _CAPTION) + 6


def _heat(canvas: Canvas, box: Box, grid: Numbers, idle: float, hottest: float, longest: int) -> None:
    """One wafer, from what it takes anyway to the hottest cell of all."""
    canvas.rect(box, "face")
    block = max(1, ceil(longest / _MOST))
    whole = max(hottest - idle, 1e-12)
    unit = block * box.height / longest if box.height >= box.width else block * box.width / longest
    ends = Box(box.x, box.y, unit * grid.shape[1], unit * grid.shape[0])
    cells(canvas, ends, [[level((value - idle) / whole) for value in row] for row in grid.tolist()], within=box)
    canvas.frame(box, "edge")


def _frame(canvas: Canvas, found: Power, x: float, y: float, scale: float) -> None:
    """The densest square centimeter."""
    window = found.hot.window
    side = window.side * scale
    box = Box(x + window.x * scale, y + window.y * scale, side, side)
    canvas.frame(box.inset(-1.5), "paper", 4.0)
    canvas.frame(box, "alarm", 2.0)


def _bars(found: Power) -> list[Bar]:
    shown = list(found.nodes.items())[:_OPERATORS]
    parts = [_bar(name.partition(".")[0] if _tabled(name) else name, value) for name, value in shown]
    return [*parts, _bar("all operators", found.work_j)]


def _tabled(name: str) -> bool:
    """Whether a name ends in the digest of a table."""
    head, _, tail = name.rpartition(".")
    return bool(head) and len(tail) == 8 and all(letter in "0123456789abcdef" for letter in tail)


def _bar(name: str, joules: Interval) -> Bar:
    one = joules.times(1e3)
    return Bar(name, one.median, f"{one.median:.3g} ({one.low:.3g} to {one.high:.3g})", None, one.low, one.high)
