"""Draws of everything assumed at once: each figure over its whole range, in as many strata as there are draws. Seeded:
the same number of draws gives the same draws. Knows no figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log

_SEED = 1
_WIDE = 10.0  # a range of this ratio is sampled by its logarithm


@dataclass(frozen=True, slots=True)
class Assumed:
    """A figure that nothing identifies: its name, and the range over which it is varied."""

    name: str
    low: float
    high: float

    def at(self, share: float) -> float:
        """The value at a share of the range, from 0 to 1."""
        if self.low > 0 and self.high / self.low >= _WIDE:
            return exp(log(self.low) + share * (log(self.high) - log(self.low)))
        return self.low + share * (self.high - self.low)

    def share(self, value: float) -> float:
        """Where a value lies in the range: what `at` takes."""
        if self.low > 0 and self.high / self.low >= _WIDE:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def draws(parameters: tuple[Assumed, ...], count: int) -> Iterator[dict[str, float]]:
    """Stratified: each parameter takes every one of `count` equal parts of its range once, in an order of its own."""
    import numpy as np

    rng = np.random.default_rng(_SEED)
    strata = np.array([rng.permutation(count) for _ in parameters]).reshape(len(parameters), count)
    shares = (strata + rng.random(strata.shape)) / max(1, count)
    for column in shares.T:
        yield {parameter.name: parameter.at(float(s)) for parameter, s in zip(parameters, column, strict=True)}
