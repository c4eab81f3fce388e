"""Strides: what a step takes by the tokens that it decodes and the prompt tokens that it reads, as learned from steps.

Knows the seconds that the backend reported; reads no clock.
"""

from __future__ import annotations

import math

_KEPT = 0.97  # what a step's weight is after the next one
_TRUST = 0.2  # how many steps the assumption weighs: tokens cost all the same, and nothing else does
_FADED = 1.002  # by how much the cheapest token grows dearer with every step
_LATE = 0.5  # of the steps that count, which a rough answer may not know of yet
_MOST = 4.0  # a step that took so many times what was expected was held up by others
Row = tuple[float, float, float]


class Strides:
    """Seconds = base + each decoded token + each prompt token: least squares of relative errors, older steps counting
    less. What a token adds is assumed to be what it cost in the cheapest step.
    """

    def __init__(self) -> None:
        self._sums = (0.0,) * 9  # of products of a step's three numbers with each other, and of the numbers
        self._weight = self._seconds = 0.0
        self._least = math.inf
        self._line: Row = (0.0, 0.0, 0.0)
        self._unseen = 0  # steps that the line does not show yet
        self._fitted = False

    @property
    def known(self) -> bool:
        """Whether any step was seen that took time."""
        return self._seconds > 0

    def observe(self, decodes: int, prompt_tokens: int, seconds: float) -> None:
        """Learn from a step."""
        if seconds <= 0:
            return
        if self.known:
            seconds = min(seconds, _MOST * max(self.roughly(decodes, prompt_tokens), 1e-9))
        b, d, p = 1.0 / seconds, decodes / seconds, prompt_tokens / seconds
        bb, bd, bp, dd, dp, pp, b1, d1, p1 = self._sums
        self._sums = (
            bb * _KEPT + b * b, bd * _KEPT + b * d, bp * _KEPT + b * p, dd * _KEPT + d * d, dp * _KEPT + d * p,
            pp * _KEPT + p * p, b1 * _KEPT + b, d1 * _KEPT + d, p1 * _KEPT + p,
        )  # fmt: skip
        self._weight = self._weight * _KEPT + 1
        self._seconds = self._seconds * _KEPT + seconds
        self._least = min(self._least * _FADED, seconds / (decodes + prompt_tokens))
        self._unseen += 1

    def seconds(self, decodes: int, prompt_tokens: int) -> float:
        """What a step is likely to take."""
        self._fit(0)
        return self._of(decodes, prompt_tokens)

    def roughly(self, decodes: int, prompt_tokens: int) -> float:
        """The same, by what was known some steps ago: cheaper."""
        self._fit(_LATE * self._weight)
        return self._of(decodes, prompt_tokens)

    @property
    def prompt_token_s(self) -> float:
        """What each prompt token adds; 0 while nothing is known."""
        self._fit(0)
        return self._line[2]

    def _of(self, decodes: int, prompt_tokens: int) -> float:
        base, decoded, read = self._line
        return base + decoded * decodes + read * prompt_tokens

    def _fit(self, late: float) -> None:
        """Find the coefficients anew if more than so many steps are missing in them; what would be negative is nothing,
        and the others are found without it.
        """
        if self._unseen <= late and (self._fitted or not self._unseen):
            return
        bb, bd, bp, dd, dp, pp, *products = self._sums
        squares = [[bb, bd, bp], [bd, dd, dp], [bp, dp, pp]]
        assumed = (0.0, self._least, self._least)
        for i, scale in enumerate((self._seconds / self._weight, self._least, self._least)):
            squares[i][i] += _TRUST / scale**2
            products[i] += _TRUST / scale**2 * assumed[i]
        kept = [0, 1, 2]
        while min((found := _solved(squares, products, kept)).values()) < 0:
            kept.remove(min(found, key=lambda name: found[name]))
        self._line = found.get(0, 0.0), found.get(1, 0.0), found.get(2, 0.0)
        self._unseen, self._fitted = 0, True


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
