"""Strides: what a step takes by the tokens that it decodes and the prompt tokens that it reads, as learned from steps.

Knows the seconds that the backend reported; reads no clock.
"""

from __future__ import annotations

import math

_KEPT = 0.97  # what a step's weight is after the next one
_TRUST = 0.2  # how many steps the assumption weighs: tokens cost all the same, and nothing else does
_FADED = 1.002  # by how much the cheapest token grows dearer with every step
_MOST = 4.0  # a step that took so many times what was expected was held up by others
Row = tuple[float, float, float]


class Strides:
    """Seconds = base + each decoded token + each prompt token: least squares of relative errors, older steps counting
    less. What a token adds is assumed to be what it cost in the cheapest step.
    """

    def __init__(self) -> None:
        self._squares = [[0.0] * 3 for _ in range(3)]
        self._products = [0.0] * 3
        self._weight = self._seconds = 0.0
        self._least = math.inf
        self._found: Row | None = None

    @property
    def known(self) -> bool:
        """Whether any step was seen that took time."""
        return self._seconds > 0

    def observe(self, decodes: int, prompt_tokens: int, seconds: float) -> None:
        """Learn from a step."""
        if seconds <= 0:
            return
        if self.known:
            seconds = min(seconds, _MOST * max(self.seconds(decodes, prompt_tokens), 1e-9))
        row = (1.0 / seconds, decodes / seconds, prompt_tokens / seconds)
        for i, products in enumerate(self._squares):
            for j in range(3):
                products[j] = products[j] * _KEPT + row[i] * row[j]
            self._products[i] = self._products[i] * _KEPT + row[i]
        self._weight = self._weight * _KEPT + 1
        self._seconds = self._seconds * _KEPT + seconds
        self._least = min(self._least * _FADED, seconds / (decodes + prompt_tokens))
        self._found = None

    def seconds(self, decodes: int, prompt_tokens: int) -> float:
        """What a step is likely to take."""
        base, decoded, read = self._line()
        return base + decoded * decodes + read * prompt_tokens

    @property
    def prompt_token_s(self) -> float:
        """What each prompt token adds; 0 while nothing is known."""
        return self._line()[2]

    def _line(self) -> Row:
        if self._found is None:
            self._found = self._fit() if self.known else (0.0, 0.0, 0.0)
        return self._found

    def _fit(self) -> Row:
        """The coefficients; what would be negative is nothing, and the others are found without it."""
        squares = [row.copy() for row in self._squares]
        products = self._products.copy()
        assumed = (0.0, self._least, self._least)
        for i, scale in enumerate((self._seconds / self._weight, self._least, self._least)):
            squares[i][i] += _TRUST / scale**2
            products[i] += _TRUST / scale**2 * assumed[i]
        kept = [0, 1, 2]
        while True:
            found = _solved(squares, products, kept)
            if min(found.values()) >= 0:
                return found.get(0, 0.0), found.get(1, 0.0), found.get(2, 0.0)
            kept.remove(min(found, key=lambda name: found[name]))


def _solved(squares: list[list[float]], products: list[float], kept: list[int]) -> dict[int, float]:
    """Solve for the coefficients that are kept, by elimination; the matrix is positive definite."""
    rows = [[squares[i][j] for j in kept] + [products[i]] for i in kept]
    for at, pivot in enumerate(rows):
        for row in rows[at + 1 :]:
            factor = row[at] / pivot[at]
            for column in range(at, len(row)):
                row[column] -= factor * pivot[column]
    found = [0.0] * len(rows)
    for at in range(len(rows) - 1, -1, -1):
        known = sum(rows[at][column] * found[column] for column in range(at + 1, len(rows)))
        found[at] = (rows[at][-1] - known) / rows[at][at]
    return dict(zip(kept, found, strict=True))
