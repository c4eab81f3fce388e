"""Costs: what a step of so many drawn rows takes: a line through what steps took of late, and how far each number of
rows is from it.

Rows do not cost alike: up to a few they hide behind the reading of weights, and products take them in groups. Knows the
seconds that the backend reported; reads no clock.
"""

from __future__ import annotations

_KEPT = 0.98  # what a step's weight is after the next one
_ASSUMED = 0.3  # a row's share of a step of one row, until steps of several sizes were seen
_TRUST = 8.0  # how much the assumption weighs, in squared rows
_MOST = 4.0  # a step that took so many times what was expected was held up by others
_DOUBT = 1.0  # steps of a number of rows that the line weighs as much as
_APART = 2.0  # a step is not farther from the line than so many times


class Costs:
    """Seconds by rows: a line fitted by least squares, and deviations from it, older steps counting less."""

    def __init__(self) -> None:
        self._weight = self._rows = self._seconds = self._squares = self._products = 0.0
        self._line = 0.0, 0.0
        self._steps = 0
        self._apart: dict[int, tuple[int, float, float]] = {}  # by rows: step seen last, weight, sum of deviations

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a step that drew so many rows and read no prompt."""
        if self.known:
            seconds = min(seconds, _MOST * self.seconds(rows))
        self._weight = self._weight * _KEPT + 1
        self._rows = self._rows * _KEPT + rows
        self._seconds = self._seconds * _KEPT + seconds
        self._squares = self._squares * _KEPT + rows * rows
        self._products = self._products * _KEPT + rows * seconds
        self._line = base, each = self._fitted()
        self._steps += 1
        if seconds > 0:
            apart = min(max(seconds / (base + each * rows), 1 / _APART), _APART)
            last, weight, total = self._apart.get(rows, (self._steps, 0.0, 0.0))
            kept = _KEPT ** (self._steps - last)
            self._apart[rows] = self._steps, weight * kept + 1, total * kept + apart - 1

    @property
    def known(self) -> bool:
        """Whether any step was seen that took time."""
        return self._seconds > 0

    def line(self) -> tuple[float, float]:
        """Seconds of a step besides its rows, and of each row; neither is negative."""
        return self._line

    def _fitted(self) -> tuple[float, float]:
        rows, seconds = self._rows / self._weight, self._seconds / self._weight
        assumed = seconds / (1 / _ASSUMED - 1 + rows)
        spread = self._squares - rows * self._rows
        slope = (self._products - rows * self._seconds + _TRUST * assumed) / (spread + _TRUST)
        slope = min(max(slope, 0.0), seconds / rows)
        return seconds - slope * rows, slope

    def seconds(self, rows: int) -> float:
        """What a step of so many rows is likely to take."""
        base, each = self._line
        found = base + each * rows
        apart = self._apart.get(rows)
        if apart is not None:
            last, weight, total = apart
            kept = _KEPT ** (self._steps - last)
            found *= 1 + total * kept / (weight * kept + _DOUBT)
        return found
