"""Claims in words: figures with their units, for terminals and pages alike."""

from __future__ import annotations

from undiced.machine.interval import Interval
from undiced.study.claims.claim import Finding


def told(finding: Finding) -> str:
    """Value and unit; of an interval the median, and what 5 % and 95 % leave."""
    value = finding.value
    if isinstance(value, str):
        words = value
    elif isinstance(value, Interval) and plain(value.low) != plain(value.high):
        words = f"{plain(value.median)} ({plain(value.low)} to {plain(value.high)})"
    else:
        words = plain(value.median if isinstance(value, Interval) else value)
    return f"{words} {finding.unit}".rstrip()


def plain(value: float) -> str:
    """A figure in three digits, or whole where it is large."""
    for size, unit in ((1e12, "trillion"), (1e9, "billion")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    if value == int(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
