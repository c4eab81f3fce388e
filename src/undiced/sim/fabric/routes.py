"""Which ways wavelets of a color take through a router: switch positions, and what moves a switch on. Knows no core.

x grows to the east, y to the south. A router has a port to its core and one to each neighbor. For each color a switch
says from which ports wavelets are accepted and to which ports each of them goes: to all of these at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

POSITIONS_MAX = 4  # ours, as published: positions of a switch
TIMES_MAX = 15  # routers that a command of a control wavelet is for, at most; 0: for all that follow
COMMANDS_MAX = 4


class Port(IntEnum):
    """Ways in and out of a router."""

    CORE = 0
    NORTH = 1
    SOUTH = 2
    EAST = 3
    WEST = 4


OPPOSITE = {
    Port.CORE: Port.CORE,
    Port.NORTH: Port.SOUTH,
    Port.SOUTH: Port.NORTH,
    Port.EAST: Port.WEST,
    Port.WEST: Port.EAST,
}
STEP = {Port.NORTH: (0, -1), Port.SOUTH: (0, 1), Port.EAST: (1, 0), Port.WEST: (-1, 0)}


@dataclass(frozen=True, slots=True)
class Way:
    """One position of a switch: wavelets are accepted from `sources` and go to all of `targets`."""

    sources: tuple[Port, ...]
    targets: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Switch:
    """The positions of one color at one router, in order; in a ring the first follows the last, else the last stays."""

    ways: tuple[Way, ...]
    ring: bool = True


class Command(IntEnum):
    """What a control wavelet does to the switch of a router that it has passed."""

    NOTHING = 0
    ADVANCE = 1
    RESET = 2


@dataclass(frozen=True, slots=True)
class Control:
    """A wavelet that moves switches: each router that it passes, the sender's own included, does the first command.

    A command is for `times` routers (0: for all that follow); when all are used up, nothing happens at those that
    follow. It takes the way of its color as it stands before the command, and no core hears it.
    """

    commands: tuple[tuple[Command, int], ...] = ((Command.ADVANCE, 0),)
