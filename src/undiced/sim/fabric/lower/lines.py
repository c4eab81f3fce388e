"""Lines of a region: the cores at places of all lines along an axis as one role, and the ports that join neighbors.

Knows a frame and a line, no mover.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.paths import Port as Place
from undiced.sim.fabric.lower.courses import Stop
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.roles import Role
from undiced.sim.fabric.routes import Port, Switch, Way

_Kind = TypeVar("_Kind", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Lines:
    """All lines of `line.span` cores along an axis of a region, one after the other on it and beside each other."""

    frame: Frame
    line: Line

    def role(self, places: Iterable[int]) -> Role:
        """The cores at these places of every line."""
        region, span, rows = self.frame.region, self.line.span, self.line.axis is Axis.ROWS
        count = (region.rows if rows else region.columns) // span
        found = [place + span * number for place in places for number in range(count)]
        return self.frame.role(found, None) if rows else self.frame.role(None, found)

    def beside(self) -> Role | None:
        """The cores of the region that lie on no line, if there are any."""
        region, rows = self.frame.region, self.line.axis is Axis.ROWS
        extent = region.rows if rows else region.columns
        left = range(extent // self.line.span * self.line.span, extent)
        if not left:
            return None
        return self.frame.role(left, None) if rows else self.frame.role(None, left)

    def switch(self, stops: tuple[Stop, ...]) -> Switch:
        """The positions of a switch by the ports of routers."""
        along_x = (self.line.axis is Axis.COLUMNS) != self.frame.region.turned
        lower, higher = (Port.WEST, Port.EAST) if along_x else (Port.NORTH, Port.SOUTH)
        ports = {Place.CORE: Port.CORE, Place.LOWER: lower, Place.HIGHER: higher}
        return Switch(tuple(Way((ports[source],), tuple(ports[to] for to in targets)) for source, targets in stops))


def alike(kinds: Iterable[tuple[int, _Kind]]) -> Iterator[tuple[_Kind, list[int]]]:
    """The places of each kind."""
    found: dict[_Kind, list[int]] = {}
    for place, kind in kinds:
        found.setdefault(kind, []).append(place)
    yield from found.items()
