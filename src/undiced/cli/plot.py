"""A chart in a terminal: marks on a grid, as wide as the terminal, told apart by shape and not by color alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise

import typer

from undiced.cli.terminal import TABLE_WIDTH, colored
from undiced.core.printable import printable
from undiced.draw.axis import Axis, spelled
from undiced.draw.chart import Chart

_MARKS, _PLAIN_MARKS = "●■▲◆○□△◇★☆", "*+xo#@%&=~"
_DOT, _PLAIN_DOT = "·", "."
_COLORS = ("blue", "yellow", "green", "magenta", "cyan", "red")
_WIDEST, _NARROWEST, _ROWS, _TICKS = 120, 30, 16, 5
_CELL = 12  # columns for each name below the axis
Cell = tuple[str, int]  # a character, and the series that it belongs to; -1 for none


def plot(chart: Chart) -> None:
    """Print a chart."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else TABLE_WIDTH
    for line in lines(chart, max(min(columns, _WIDEST), _NARROWEST), plain=not _unicode()):
        typer.echo("".join(_painted(text, number) for text, number in line).rstrip())


def _unicode() -> bool:
    """Whether the output takes the marks."""
    try:
        _MARKS.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _painted(text: str, number: int) -> str:
    shown = printable(text)
    return typer.style(shown, fg=_COLORS[number % len(_COLORS)]) if number >= 0 and colored() else shown


def lines(chart: Chart, columns: int, *, plain: bool) -> Iterator[list[Cell]]:
    """The chart line by line, no line longer than `columns`."""
    marks = _PLAIN_MARKS if plain else _MARKS
    up = chart.up
    ticks = {_row(up, value): spelled(value) for value in up.ticks(_TICKS)}
    left = max(map(len, ticks.values())) + 1
    grid = _grid(chart, columns - left - 1, marks, _PLAIN_DOT if plain else _DOT)
    yield [(chart.title[:columns], -1)]
    yield [(chart.y[:columns], -1)]
    side = "|" if plain else "│"
    for number, row in enumerate(grid):
        yield [(f"{ticks.get(number, ''):>{left}}{side}", -1), *row]
    yield [(" " * left + ("+" if plain else "└") + ("-" if plain else "─") * (columns - left - 1), -1)]
    yield [(_below(chart, columns - left - 1, left + 1), -1)]
    yield [(chart.x[:columns].rjust(min(columns, (columns + left + len(chart.x)) // 2)), -1)]
    if len(chart.series) > 1:
        for number, each in enumerate(chart.series):
            yield [(f"  {marks[number % len(marks)]} ", number), (each.name[: columns - 4], -1)]
    for note in chart.notes:
        yield [(note[:columns], -1)]


def _row(up: Axis, value: float) -> int:
    return round((1 - up.place(value)) * (_ROWS - 1))


def _grid(chart: Chart, width: int, marks: str, dot: str) -> list[list[Cell]]:
    """Dots between neighbors first, marks over them; where several would be, the first series'."""
    grid: list[list[Cell]] = [[(" ", -1)] * width for _ in range(_ROWS)]
    across, up = chart.across, chart.up
    placed = [[(round(across.place(x) * (width - 1)), _row(up, y)) for x, y in each.points] for each in chart.series]
    for number, points in reversed(list(enumerate(placed))):
        for (x0, y0), (x1, y1) in pairwise(points):
            for x in range(x0 + 1, x1) if not chart.categories else ():
                grid[round(y0 + (y1 - y0) * (x - x0) / (x1 - x0))][x] = (dot, number)
    for number, points in reversed(list(enumerate(placed))):
        for x, y in points:
            grid[y][x] = (marks[number % len(marks)], number)
    return grid


def _below(chart: Chart, width: int, left: int) -> str:
    """The names below the axis, none running into the next."""
    line = [" "] * (left + width)
    taken = 0
    for value, words in chart.marks(max(width // _CELL, 2)):
        room = width // len(chart.categories) - 1 if chart.categories else _CELL
        words = words[: max(room, 1)]
        at = left + round(chart.across.place(value) * (width - 1)) - len(words) // 2
        at = max(min(at, left + width - len(words)), 0)
        if at >= taken:
            line[at : at + len(words)] = words
            taken = at + len(words) + 1
    return "".join(line)
