"""A number with its unit, provenance and source: what a machine is described by. Knows no machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Provenance = Literal["measured", "published", "derived", "assumed"]
PROVENANCES: tuple[str, ...] = get_args(Provenance)


@dataclass(frozen=True, slots=True)
class Constant:
    """A figure and where it comes from.

    Attributes:
        value: the figure, in `unit`.
        unit: e.g. "byte", "cycle", "wavelet/cycle"; "1" for counts.
        provenance: measured on hardware, published by vendor or press, derived by arithmetic or fitting, or assumed.
        source: document, calibration row or reason.
        low, high: the range an assumed (or unidentified) figure is varied over; None when it is not varied.
    """

    value: float
    unit: str
    provenance: Provenance
    source: str
    low: float | None = None
    high: float | None = None

    @property
    def span(self) -> tuple[float, float]:
        """Both ends of the range over which results are reported."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return low, high


def measured(value: float, unit: str, source: str) -> Constant:
    """A figure measured on hardware by an identifiable party."""
    return Constant(value, unit, "measured", source)


def published(value: float, unit: str, source: str) -> Constant:
    """A figure stated by the vendor or the press."""
    return Constant(value, unit, "published", source)


def derived(value: float, unit: str, source: str) -> Constant:
    """A figure computed from others, or fitted on calibration rows named in `source`."""
    return Constant(value, unit, "derived", source)


def assumed(value: float, unit: str, source: str, low: float, high: float) -> Constant:
    """A figure nobody published: a guess with a reason, and the range it is varied over."""
    return Constant(value, unit, "assumed", source, low, high)
