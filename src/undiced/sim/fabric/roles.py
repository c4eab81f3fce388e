"""Sets of cores by coordinates and strides, never as lists. Knows no program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Places:
    """Coordinates along one axis: `start`, `start + step`, ... below `stop`."""

    start: int
    stop: int
    step: int = 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop, self.step))

    def __contains__(self, at: int) -> bool:
        return at in range(self.start, self.stop, self.step)


@dataclass(frozen=True, slots=True)
class Role:
    """The cores at any of the places along x and any of the places along y."""

    x: tuple[Places, ...]
    y: tuple[Places, ...]

    def __contains__(self, at: tuple[int, int]) -> bool:
        return any(at[0] in places for places in self.x) and any(at[1] in places for places in self.y)


def rectangle(x: int, y: int, width: int, height: int) -> Role:
    """The cores of a rectangle."""
    return Role((Places(x, x + width),), (Places(y, y + height),))


def core(x: int, y: int) -> Role:
    """One core."""
    return rectangle(x, y, 1, 1)


def progressions(places: list[int]) -> tuple[Places, ...]:
    """Ascending coordinates as few progressions: the longest that starts at the first, and so on."""
    left, out = places, list[Places]()
    while left:
        if len(left) == 1:
            out.append(Places(left[0], left[0] + 1))
            break
        have, step, first = set(left), 0, left[0]
        best: tuple[int, int] = (1, 1)
        for other in left[1:9]:
            step = other - first
            count = 1
            while first + count * step in have:
                count += 1
            best = max(best, (count, step), key=lambda found: (found[0], -found[1]))
        count, step = best
        out.append(Places(first, first + (count - 1) * step + 1, step))
        taken = set(out[-1])
        left = [at for at in left if at not in taken]
    return tuple(out)
