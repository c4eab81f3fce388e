"""A comparison as pictures: tokens per second of one user against those of all, and measured points over rooflines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from undiced.draw.bars import Bar, Bars
from undiced.draw.scatter import Mark, Scatter, Trail, Upright
from undiced.study.compare.comparison import Comparison
from undiced.study.compare.point import Point, Way
from undiced.study.compare.published import speeds
from undiced.study.gpus import Beside

_FULL = 8  # GPUs of the groups that are drawn in full
_SPEEDS = ("token_s", "whole_s", "tokens_per_second", "user_tokens_per_second")


def pareto(found: Comparison) -> Scatter:
    """Every point; a color for each mapping and kind of GPU."""
    kinds = list(dict.fromkeys(point.way.kind for point in found.points))
    trails = [
        _trail(way, list(points), kinds.index(way.kind)) for way, points in groupby(found.points, lambda p: p.way)
    ]
    rings = list(_rings(found, kinds))
    notes = (
        f"{found.asked.weights} weights, {found.asked.context:,} positions; {found.over.words}. GPUs: rooflines, 5 %, "
        "50 % and 95 %; nobody speculates.",
        f"Figures beside lines: how many wafers or GPUs. Along a line: sequences at once, as many as fit; {_FULL} GPUs "
        "in full."
        + (" Rings: measured on that kind of GPU, prompts included." if rings else "")
        + (" Dashed: published of services on wafers, load not told." if found.published.services else ""),
    )
    uprights = [
        Upright(each.tokens_per_second, f"{each.tokens_per_second:,.0f}: {each.known}")
        for each in found.published.services
    ]
    named = tuple(f"{kind} on {found.wafer.name}" if _is_wafers(found, kind) else kind for kind in kinds)
    return Scatter(
        f"{found.model}: tokens per second of one user and of all",
        notes,
        "tokens per second of one user",
        "tokens per second in all",
        named,
        (*trails, *rings),
        tuple(uprights),
    )


def _is_wafers(found: Comparison, kind: str) -> bool:
    return any(point.way.side == "wafers" for point in found.points if point.way.kind == kind)


def _trail(way: Way, points: list[Point], kind: int) -> Trail:
    marks = tuple(
        Mark(p.user.median, p.total.median, f"{way.name}, {p.at_once} at once", p.user.low, p.user.high) for p in points
    )
    count = way.who.partition(" ")[0]
    return Trail(marks, kind, count, strong=way.side == "wafers" or count == str(_FULL))


def _rings(found: Comparison, kinds: list[str]) -> Iterator[Trail]:
    for each in found.published.mine:
        point = each.point
        if point.gpu in kinds and point.measure in _SPEEDS:
            user, total = speeds(point)
            words = f"{point.count} x {point.gpu}, {point.batch} at once, {point.bits} bits: {point.source}"
            yield Trail((Mark(user, total, words),), kinds.index(point.gpu), str(point.count), ringed=True)


def measured(found: Comparison) -> Bars:
    """All measured points: where each lies between what its roofline's draws say, as speed over their median."""
    bars = tuple(_bar(each) for each in found.published.every)
    note = "Bars: 5 % to 95 % of the roofline's draws over their median, as speeds. The mark is what was measured."
    kinds = ("one token a step", "speculated: above its roofline by what was accepted")
    return Bars("Measured points over their rooflines", (note,), "speed over the roofline's median", bars, kinds=kinds)


def _bar(each: Beside) -> Bar:
    point, drawn = each.point, each.simulated
    slow, fast, said = drawn.low / drawn.median, drawn.high / drawn.median, point.value / drawn.median
    if point.measure in ("token_s", "whole_s", "first_token_s"):  # the less the faster
        slow, fast, said = 1 / fast, 1 / slow, 1 / said
    what = {"first_token_s": "first token", "whole_s": "answers"}.get(point.measure, "tokens")
    name = f"{point.count} x {point.gpu}, {point.model}, {point.batch} at once, {what}"
    words = f"{said:.2f}{' or more' if point.at_most else ''}"
    return Bar(name, fast, words, slow, high=said, kind=int(point.drafted))
