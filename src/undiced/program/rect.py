"""A rectangle of cores. Data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of cores: x, y of the first, and how many columns and rows."""

    x: int
    y: int
    width: int
    height: int

    @property
    def cores(self) -> int:
        """How many it has."""
        return self.width * self.height
