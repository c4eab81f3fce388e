"""The roofline as a picture: what works reach, under what the machine allows at their operations a byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.draw.scatter import Mark, Scatter, Trail, draw

if TYPE_CHECKING:
    from undiced.bench.rounds import Measured, Rounds
    from undiced.draw.canvas import Canvas

_ROOM = 2.0  # how far the roof goes on beyond the works


def drawn(rounds: Rounds, title: str) -> Canvas:
    """The picture of all works."""
    return draw(roofline(rounds, title))


def roofline(rounds: Rounds, title: str) -> Scatter:
    """What is drawn: the roof, and each work by what bounds it."""
    measured, limits = rounds.measured(), rounds.typical
    ridge = limits.operations_per_s / limits.bytes_per_s
    ends = [one.intensity for one in measured] + [ridge]
    along = sorted({min(ends) / _ROOM, ridge, max(ends) * _ROOM})
    roof = tuple(
        Mark(x, min(limits.operations_per_s, x * limits.bytes_per_s) / 1e9, f"{x:,.1f} operations a byte")
        for x in along
    )
    kinds = ("limit", "bound by memory", "bound by arithmetic")
    works = (Trail((_mark(one),), 1 + (one.bound == "arithmetic"), one.work) for one in measured)
    notes = (
        f"Limits: {limits.bytes_per_s / 1e9:.1f} GB/s from memory, {limits.operations_per_s / 1e9:,.0f} GOP/s of int8; "
        f"medians of {len(rounds.limits)} rounds on this machine.",
        "Operations are those of matrix products; bytes are weights, once a step, and keys and values that are read.",
    )
    return Scatter(
        f"Roofline: {title}", notes, "operations a byte", "GOP/s", kinds, (Trail(roof, 0, strong=False), *works)
    )


def _mark(one: Measured) -> Mark:
    words = f"{one.work}: {one.tokens_per_second:,.0f} tokens/s, {one.share:.0%} of the limit"
    return Mark(one.intensity, one.operations_per_s / 1e9, words)
