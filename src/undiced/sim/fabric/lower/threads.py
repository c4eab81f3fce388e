"""Microthreads that may still run while a region's main threads go on: who has to wait for which of them.

A core that starts a microthread waits until that has ended what it had. What ran on it before is therefore over on
every core that starts it again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.program import Region
from undiced.sim.fabric.lower.lowered import Lowered, Running, Span
from undiced.sim.fabric.microops import Fork
from undiced.sim.fabric.roles import Places, Role

Cores = NDArray[np.bool_]  # [height, width]


class Threads:
    """What runs on a region's cores."""

    def __init__(self, region: Region, origin: tuple[int, int] = (0, 0)) -> None:
        self._shape, self._origin = (region.rect.height, region.rect.width), origin[::-1]
        self._running: list[tuple[Running, Cores]] = []

    def start(self, made: Lowered) -> None:
        """An instruction's microthreads run from now on."""
        for each in made.running:
            cores = self._starting(made, each.thread)
            self._running = [
                (old, on) for old, on in self._running if old.thread != each.thread or bool((on & ~cores).any())
            ]
        self._running += [(each, self._starting(made, each.thread)) for each in made.running]

    def holding_up(self, reads: tuple[Span, ...], writes: tuple[Span, ...]) -> tuple[int, ...]:
        """The microthreads that what reads and writes this memory has to wait for."""
        return tuple(sorted({each.thread for each, _ in self._running if each.holds_up(reads, writes)}))

    def _starting(self, made: Lowered, thread: int) -> Cores:
        """The cores that start a microthread."""
        found = np.zeros(self._shape, dtype=np.bool_)
        for role in _roles(made, thread):
            found[np.ix_(self._at(role.y, 0), self._at(role.x, 1))] = True
        return found

    def _at(self, places: tuple[Places, ...], axis: int) -> list[int]:
        return sorted({at - self._origin[axis] for each in places for at in each})


def _roles(made: Lowered, thread: int) -> Iterator[Role]:
    for section in made.sections:
        for role, script in section.blocks:
            if any(isinstance(step, Fork) and step.thread == thread for step in script):
                yield role
