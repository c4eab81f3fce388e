"""Interval: what draws of everything assumed leave of a figure: 5 %, 50 % and 95 % of them lie below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and how far it may be off."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Interval:
        """Of draws, at least one."""
        import numpy as np

        low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
        return cls(float(low), float(median), float(high))

    def times(self, factor: float) -> Interval:
        """In another unit."""
        return Interval(self.low * factor, self.median * factor, self.high * factor)

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"low": self.low, "median": self.median, "high": self.high}
