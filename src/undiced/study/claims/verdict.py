"""Verdicts: what follows from a computed figure for what was said, by rules alone. Knows no claim.

A claim is reproduced where all of the figure's interval is as said. Else a condition is looked for under which it is:
then it holds only if that is so. Where none is found it is not reproduced; where nothing decides, it is not testable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from undiced.machine.interval import Interval

Kind = Literal["reproduced", "holds only if", "not reproduced", "not testable"]
TOLERANCE = 0.05  # ours: of a figure that is said, which was rounded
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim; `words`: the figure, the condition, by how much it is missed, or why nothing decides."""

    kind: Kind
    words: str

    @property
    def text(self) -> str:
        """One sentence without its full stop."""
        joint = " " if self.kind == "holds only if" else ": "
        return f"{self.kind}{joint}{self.words}"


@dataclass(frozen=True, slots=True)
class Said:
    """What a figure has to be for a claim to hold: within these ends."""

    low: float = -inf
    high: float = inf

    @classmethod
    def about(cls, value: float, tolerance: float = TOLERANCE) -> Said:
        """A figure that was rounded."""
        return cls(value * (1 - tolerance), value * (1 + tolerance))

    @classmethod
    def at_least(cls, value: float, tolerance: float = TOLERANCE) -> Said:
        """A figure that was rounded, or more."""
        return cls(low=value * (1 - tolerance))

    def holds(self, value: float) -> bool:
        """Whether a figure is as said."""
        return self.low <= value <= self.high

    def off(self, value: float) -> str:
        """How far a figure is from it, in words."""
        end = self.low if value < self.low else self.high
        return f"{value / end:.2g} times what it takes" if end else "not what it takes"


def judged(found: Interval, said: Said, words: str, conditions: Sequence[str | None] = ()) -> Verdict:
    """The verdict on an interval.

    Args:
        words: of the figure, for a verdict that no condition changes.
        conditions: under all of which together it is as said; None for one that was looked for and is not there.
    """
    if said.holds(found.low) and said.holds(found.high):
        return Verdict("reproduced", words)
    if conditions and None not in conditions:
        return Verdict("holds only if", ", and ".join(each for each in conditions if each))
    if said.holds(found.median):
        return Verdict("holds only if", f"what is assumed turns out well: {words}")
    return Verdict("not reproduced", f"{words}, {said.off(found.median)}")


def bounded(value: float, low: float, high: float, words: str) -> Verdict:
    """The verdict on a figure of which only bounds can be computed."""
    if not low <= value <= high:
        return Verdict("not reproduced", f"{words}, and what is said lies outside")
    if low >= value * (1 - TOLERANCE) and high <= value * (1 + TOLERANCE):
        return Verdict("reproduced", words)
    return Verdict("not testable", f"{words}, and what is said lies between")


def together(parts: Sequence[Verdict]) -> Verdict:
    """Of a claim in several parts: as its worst part, with the words of all parts that are no better."""
    order: tuple[Kind, ...] = ("reproduced", "not testable", "holds only if", "not reproduced")
    worst = max((part.kind for part in parts), key=order.index)
    words = [part.words for part in parts if part.kind == worst]
    return Verdict(worst, (", and " if worst == "holds only if" else "; ").join(words))


def least(test: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest whole number of a range from which on a test is met; None if not even the last one meets it."""
    if not test(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if test(middle) else (middle + 1, high)
    return high


def most(test: Callable[[int], bool], low: int, high: int) -> int | None:
    """The largest whole number of a range up to which a test is met; None if not even the first one meets it."""
    found = least(lambda value: not test(value), low, high)
    if found is None:
        return high
    return None if found == low else found - 1


def edge(test: Callable[[float], bool], low: float, high: float) -> float | None:
    """The least number of a range from which on a test is met; None if not even its end meets it."""
    if not test(high):
        return None
    if test(low):
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if test(middle) else (middle, high)
    return high
