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

    def meets(self, other: Rect) -> bool:
        """Whether both have some core."""
        across = self.x < other.x + other.width and other.x < self.x + self.width
        return across and self.y < other.y + other.height and other.y < self.y + self.height


def hops(before: Rect, after: Rect, turned: bool) -> int:
    """Routers between what every core of `before` holds a share of and the farthest core of `after` that wants it.

    Shares lie over rows of cores (columns where `turned`), the same along the other axis: each goes to the line of its
    own number, from the nearest core that has it.
    """
    shift = abs(after.x - before.x) if turned else abs(after.y - before.y)
    first, end = (after.y, after.y + after.height) if turned else (after.x, after.x + after.width)
    low, high = (before.y, before.y + before.height) if turned else (before.x, before.x + before.width)
    return shift + max(0, low - first, end - high)
