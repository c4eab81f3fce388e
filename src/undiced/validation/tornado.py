"""Which assumption moves a claim most: effects of each over its range, all others varied with it.

A plane is laid through the samples of a claim, over where in its range each assumed parameter lay; what is fitted was
fitted again under each sample. Knows no claim and no machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undiced.machine.ranges import Assumed
from undiced.validation.calibration import Values


@dataclass(frozen=True, slots=True)
class Effect:
    """A claim at both ends of an assumed parameter's range, in the mean over everything else.

    Attributes:
        low, high: ends of the range.
    """

    name: str
    low: float
    high: float
    at_low: float
    at_high: float

    @property
    def size(self) -> float:
        """How far the claim moves."""
        return abs(self.at_high - self.at_low)


def effects(parameters: Sequence[Assumed], drawn: Sequence[Values], values: Sequence[float]) -> tuple[Effect, ...]:
    """The largest first; none where there are fewer samples than a plane needs."""
    import numpy as np

    if len(values) <= len(parameters) + 1:
        return ()
    shares = np.array([[each.share(one[each.name]) for each in parameters] for one in drawn]) - 0.5
    plane, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(values)), shares]), np.array(values), rcond=None)
    middle = float(np.mean(values))
    found = [
        Effect(each.name, each.low, each.high, middle - float(slope) / 2, middle + float(slope) / 2)
        for each, slope in zip(parameters, plane[1:], strict=True)
    ]
    return tuple(sorted(found, key=lambda effect: -effect.size))
