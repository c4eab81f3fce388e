"""Rings of neighbors two places apart along the lines of a square region, and chains beside them: colors and switches.

Knows a region and the colors that movers leave, no payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product as every

from undiced.core.errors import UnsupportedError
from undiced.machine.fabric import fabric
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.shifts import ring
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.program import Paint
from undiced.sim.fabric.roles import Role
from undiced.sim.fabric.routes import Port, Switch, Way

_PORTS = {Axis.COLUMNS: (Port.WEST, Port.EAST), Axis.ROWS: (Port.NORTH, Port.SOUTH)}  # to lower and to higher places


@dataclass(frozen=True, slots=True)
class Rings:
    """The lines of one axis as rings that pass tiles one way: to the one before (`step` -1) or to the next.

    Attributes:
        colors: by place, on which a core sends.
    """

    axis: Axis
    step: int
    order: tuple[int, ...]
    colors: tuple[int, ...]

    def goal(self, place: int) -> int:
        """To whom a core sends."""
        return self.order[(self.order.index(place) + self.step) % len(self.order)]

    def source(self, place: int) -> int:
        """Who sends to a core."""
        return self.order[(self.order.index(place) - self.step) % len(self.order)]

    def way(self, place: int) -> tuple[int, int]:
        """The colors on which a core sends, and hears."""
        return self.colors[place], self.colors[self.source(place)]


def coloring(order: tuple[int, ...], step: int) -> tuple[int, ...]:
    """As few colors as no router has two uses of one: for its own, for what it hears and for what passes it."""
    side = len(order)
    goals = {place: order[(n + step) % side] for n, place in enumerate(order)}
    at: dict[int, list[int]] = {}
    for place, goal in goals.items():
        for router in range(min(place, goal), max(place, goal) + 1):
            at.setdefault(router, []).append(place)
    apart = {place: {o for users in at.values() if place in users for o in users} - {place} for place in goals}
    most = 3
    while True:
        made, choice = dict[int, int](), [0] * side
        place = 0
        while 0 <= place < side:
            free = [c for c in range(choice[place], most) if all(made.get(o) != c for o in apart[place])]
            if free:
                made[place], choice[place] = free[0], free[0] + 1
                place += 1
                if place < side:
                    choice[place] = 0
            else:
                made.pop(place, None)
                place -= 1
                if place >= 0:
                    made.pop(place, None)
        if place == side:
            return tuple(made[n] for n in range(side))
        most += 1


@dataclass(frozen=True, slots=True)
class Ways:
    """All rings of a region, and the first of the four colors of chains along rows."""

    rings: dict[tuple[Axis, int], Rings]
    chain: tuple[int, ...]


def ways(frame: Frame) -> Ways:
    """With the colors that no mover has.

    Raises:
        UnsupportedError: too few are left.
    """
    used = {route.color + n for route in frame.channels.routes.values() for n in range(route.colors)}
    left = iter(color for color in range(fabric(frame.wafer).colors) if color not in used)
    order, rings = ring(frame.region.rows), dict[tuple[Axis, int], Rings]()
    try:
        for axis, step in every(Axis, (-1, 1)):
            found = coloring(order, step)
            taken = [next(left) for _ in range(max(found) + 1)]
            rings[axis, step] = Rings(axis, step, order, tuple(taken[color] for color in found))
        return Ways(rings, tuple(next(left) for _ in range(4)))
    except RuntimeError as error:
        raise UnsupportedError(
            "Too few colors are left for rings.", remedy="Use a program with fewer trees."
        ) from error


def queues(frame: Frame) -> tuple[int, int]:
    """Two output queues that no mover has, so that theirs keep their colors; no input queue of rings has their numbers.

    Raises:
        UnsupportedError: there are none.
    """
    known, routes = fabric(frame.wafer), frame.channels.routes
    used = {route.output_queue + n for channel, route in routes.items() for n in range(channel.queues)}
    first, second, *_ = [q for q in known.outputs if q not in used and q not in known.inputs[-2:]] + [-1, -1]
    if second < 0:
        raise UnsupportedError("Too few output queues are left for rings.", remedy="Use a program with fewer trees.")
    return first, second


def ring_paints(frame: Frame) -> Iterator[Paint]:
    """Of all rings and chains."""
    found = ways(frame)
    for rings in found.rings.values():
        lower, higher = _PORTS[rings.axis]
        painted: dict[tuple[int, Switch], list[int]] = {}
        for place, color in enumerate(rings.colors):
            goal = rings.goal(place)
            ahead, behind = (higher, lower) if goal > place else (lower, higher)
            painted.setdefault((color, _switch(Port.CORE, ahead)), []).append(place)
            for between in range(min(place, goal) + 1, max(place, goal)):
                painted.setdefault((color, _switch(behind, ahead)), []).append(between)
            painted.setdefault((color, _switch(behind, Port.CORE)), []).append(goal)
        for (color, switch), places in painted.items():
            yield Paint(_line(frame, rings.axis, places), color, switch)
    side = frame.region.columns
    for number, color in enumerate(found.chain):
        up, parity = number < 2, number % 2
        ahead, behind = (Port.EAST, Port.WEST) if up else (Port.WEST, Port.EAST)
        senders = [c for c in range(side) if c % 2 == parity and (c < side - 1 if up else c > 0)]
        yield Paint(_line(frame, Axis.COLUMNS, senders), color, _switch(Port.CORE, ahead))
        heard = [c + (1 if up else -1) for c in senders]
        yield Paint(_line(frame, Axis.COLUMNS, heard), color, _switch(behind, Port.CORE))


def _switch(source: Port, target: Port) -> Switch:
    return Switch((Way((source,), (target,)),))


def _line(frame: Frame, axis: Axis, places: list[int]) -> Role:
    return frame.role(places) if axis is Axis.ROWS else frame.role(None, places)
