"""Axis: round numbers along a line, evenly or by powers, and where they lie. Knows no picture."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log, log10

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; `powers`: equal distances are equal ratios, and both ends are above 0."""

    low: float
    high: float
    powers: bool = False

    @classmethod
    def of(cls, values: list[float], *, powers: bool = False, zero: bool = False) -> Axis:
        """An axis that holds all values, and 0 if it must begin there; never of no length."""
        low, high = min(values), max(values)
        if powers and low > 0:
            return cls(low, high, True) if high > low else cls(low / 2, high * 2, True)
        low = min(low, 0.0) if zero else low
        return cls(low, high) if high > low else cls(low - 0.5, high + 0.5)

    def place(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.powers:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """Round numbers within the axis, about `most` of them."""
        if self.powers:
            first, last = ceil(round(log(self.low, 2), 6)), floor(round(log(self.high, 2), 6))
            every = max(1, ceil((last - first + 1) / max(most, 1)))
            return [2.0**n for n in range(first, last + 1, every)] or [self.low, self.high]
        wide = (self.high - self.low) / max(most, 1)
        unit = 10.0 ** floor(log10(wide))
        step = next((s * unit for s in _STEPS if s * unit >= wide * (1 - 1e-9)), 10 * unit)
        return [n * step for n in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)]


def spelled(value: float) -> str:
    """A round number, short: 1,200, 2.5M."""
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if abs(value) >= size:
            return f"{value / size:,.3g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"
