"""Rates: how often guesses were right of late, by kind. Counts; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT, KEPT_OF_ALL = 0.95, 0.995  # what a guess weighs after the next of its kind: of a sequence, and of all
PRIOR = 2.0  # guesses of a sequence that those of all sequences weigh as much as


class Rates:
    """Tries and hits by kind.

    Args:
        begin: how often a guess of each kind is right, until it is learned.
        kept: what a guess weighs after the next of its kind.
        of_all: the rates of all sequences, which count as a prior; None if these are they.
    """

    def __init__(self, begin: Sequence[float], kept: float, of_all: Rates | None = None) -> None:
        self._begin, self._kept, self._of_all = begin, kept, of_all
        self.tries = [0.0] * len(begin)
        self.hits = [0.0] * len(begin)

    def add(self, kind: int, *, hit: bool) -> None:
        """A guess was right, or not; all sequences learn of it too."""
        self.tries[kind] = self.tries[kind] * self._kept + 1
        self.hits[kind] = self.hits[kind] * self._kept + hit
        if self._of_all is not None:
            self._of_all.add(kind, hit=hit)

    def rate(self, kind: int) -> float:
        """The share of right ones."""
        prior = self._begin[kind] if self._of_all is None else self._of_all.rate(kind)
        return (self.hits[kind] + PRIOR * prior) / (self.tries[kind] + PRIOR)
