"""Odds: how likely the guesses of a draft model are right, by the probability that it gave them itself.

A model that is sure is right more often; by how much differs from pair to pair and from text to text, so it is learned
from every guess whose place was reached, those too that were left out of a step.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from undiced.serve.rates import KEPT, KEPT_OF_ALL, Rates

_SURE = tuple(math.log(p) for p in (0.3, 0.5, 0.7, 0.85, 0.95))  # where kinds begin, but the first
_BEGIN = (0.2, 0.4, 0.55, 0.7, 0.85, 0.95)
_BEGIN_TYPICAL = (0.6,)
_KNOWN = 12.0  # tries from which on the odds of all sequences count as known


def kind_of(logprob: float) -> int:
    """The kind of a guess that a draft model gave this natural log-probability."""
    return bisect_right(_SURE, logprob)


class Odds:
    """Of one sequence, or of all (`of_all` None)."""

    def __init__(self, of_all: Odds | None = None) -> None:
        self._kinds: Rates
        self._any: Rates
        kept = KEPT_OF_ALL if of_all is None else KEPT
        self._kinds = Rates(_BEGIN, kept, None if of_all is None else of_all._kinds)
        self._any = Rates(_BEGIN_TYPICAL, kept, None if of_all is None else of_all._any)

    @property
    def known(self) -> bool:
        """Whether enough guesses were seen."""
        return self._any.tries[0] >= _KNOWN

    def learn(self, kind: int, *, hit: bool) -> None:
        """A guess of a place that was reached was right, or not."""
        self._kinds.add(kind, hit=hit)
        self._any.add(0, hit=hit)

    def typical(self) -> float:
        """How likely the next guess is right, before it is made."""
        return self._any.rate(0)

    def by_kind(self) -> list[float]:
        """How likely a guess of each kind is right."""
        return [self._kinds.rate(kind) for kind in range(len(_BEGIN))]
