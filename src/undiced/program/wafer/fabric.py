"""What routers and queues give to programs: colors, switch positions, queues. Data; machines fill it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fabric:
    """What one core and its router have for programs, the host's share taken off.

    Attributes:
        colors: routable ones, from 0 on.
        positions: routes that one color of one router can switch between.
        inputs, outputs: numbers of the queues from the router to the core, and from the core to the router.
        binds: whether an output queue serves one color at a time, so that another color takes a `Rebind`.
    """

    colors: int
    positions: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    binds: bool
