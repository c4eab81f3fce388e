"""The sweep over wafers and sequences as charts: a user's speed, the first token, the busy share."""

from __future__ import annotations

from collections.abc import Iterator

from undiced.draw.canvas import Canvas
from undiced.draw.chart import Chart, Series, draw
from undiced.draw.stack import stack
from undiced.study.claims.bench import PROMPT
from undiced.study.claims.pipeline import POSITIONS, Cell

_FEW = (1, 8, 16, 32, 64)  # sequences that have a line
_SHOWN = (8, 12, 16, 20, 24)  # wafers that have one


def draw_sweep(swept: dict[str, list[Cell]], clock_hz: float) -> Canvas:
    """All charts below each other."""
    return stack([draw(chart) for chart in charts(swept, f"simulated at {clock_hz / 1e9:g} GHz")])


def charts(swept: dict[str, list[Cell]], how: str) -> Iterator[Chart]:
    """Each model's speed; first tokens; how busy wafers and stages of the last model are."""
    for model, cells in swept.items():
        drawn = {f"{streams} in flight": _over_wafers(cells, streams) for streams in _FEW}
        series = tuple(Series(name, points) for name, points in drawn.items() if points)
        note = f"{POSITIONS:,} positions, spread evenly; {how}. No point: keys and values have no room."
        yield Chart(f"{model}: a user's speed over wafers", (note,), "wafers", "tokens/s of one user", series)
    firsts = tuple(
        Series(model, tuple((float(c.wafers), 1e3 * c.first_token_s) for c in cells if c.streams == 1))
        for model, cells in swept.items()
    )
    note = f"A prompt of {PROMPT:,} tokens, which follow each other through the pipeline; {how}."
    yield Chart("Time to the first token over wafers", (note,), "wafers", "ms", firsts)
    for what, told in (("wafers", "any of its stages has a token"), ("stages", "it has a token")):
        note = f"A {what.removesuffix('s')} is busy while {told}; stages differ in length. {how[0].upper()}{how[1:]}."
        title = f"{model}: how busy {what} are"
        lines = tuple(_busy(cells, each, what) for each in _SHOWN if any(cell.wafers == each for cell in cells))
        yield Chart(title, (note,), "sequences in flight", f"% of the {what}' time", lines)


def _over_wafers(cells: list[Cell], streams: int) -> tuple[tuple[float, float], ...]:
    mine = [cell for cell in cells if cell.streams == streams and cell.fits]
    return tuple((float(cell.wafers), cell.tokens_per_second) for cell in mine)


def _busy(cells: list[Cell], wafers: int, what: str) -> Series:
    mine = [cell for cell in cells if cell.wafers == wafers]
    points = ((float(c.streams), 100 * (c.wafers_busy if what == "wafers" else c.stages_busy)) for c in mine)
    return Series(f"{wafers} wafers, {mine[0].stages} stages", tuple(points))
