"""`layout`: where wavelets go. Colors painted over cores, held to what a mesh can do. Knows no operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiced.core.errors import KernelError
from undiced.sim.fabric.kernel.cores import Area, Cores
from undiced.sim.fabric.kernel.operation import Color
from undiced.sim.fabric.routes import OPPOSITE, POSITIONS_MAX, STEP, Port, Switch, Way

CORE, NORTH, SOUTH, EAST, WEST = Port.CORE, Port.NORTH, Port.SOUTH, Port.EAST, Port.WEST
_REMEDY = "Paint fewer cores, or another way there."


def way(*sources: Port, to: Port | tuple[Port, ...]) -> Way:
    """A position of a switch: wavelets come from any of these ports, and each goes to all of those."""
    return Way(sources, to if isinstance(to, tuple) else (to,))


@dataclass(frozen=True, slots=True)
class Painted:
    """The switch of a color at some cores."""

    cores: Cores
    color: Color
    switch: Switch


def painted(cores: Cores, color: Color, ways: tuple[Way, ...], ring: bool, before: Area) -> Painted:
    """A new paint. `before`: routers that have this color.

    Raises:
        KernelError: no ways or too many, a way without an end, or cores that have this color already.
    """
    made = switch(color, ways, ring, f"at cores {cores}")
    if met := before.meets(cores):
        raise KernelError(
            f"Router {met} is painted twice with color {color}, now as one of {cores}.",
            remedy="A router has one switch of a color: give all its ways at once, or take another color.",
        )
    before.add(cores)
    return Painted(cores, color, made)


def switch(color: Color, ways: tuple[Way, ...], ring: bool, where: str) -> Switch:
    """A switch with these positions.

    Raises:
        KernelError: no ways or too many, or a way without an end.
    """
    if not 0 < len(ways) <= POSITIONS_MAX:
        raise KernelError(
            f"Color {color} was given {len(ways)} switch positions {where}.",
            remedy=f"A router has 1 to {POSITIONS_MAX}.",
        )
    for each in ways:
        if not each.sources or not each.targets or len(set(each.targets)) < len(each.targets):
            raise KernelError(
                f"A way of color {color} {where} goes from {_ports(each.sources)} to {_ports(each.targets)}.",
                remedy="Name at least one port to come from, and each port to go to once: way(EAST, to=CORE).",
            )
    return Switch(ways, ring)


def check(paints: list[Painted], width: int, height: int) -> None:
    """See that no wavelet is sent where nobody takes it.

    Raises:
        KernelError: a way that leads off the mesh, or to a router that takes that color from nobody on that side.
    """
    for color in sorted({paint.color for paint in paints}, key=lambda color: color.number):
        of_color = [paint for paint in paints if paint.color == color]
        takes = {port: np.zeros((height, width), bool) for port in Port}
        for paint in of_color:
            for port in {port for each in paint.switch.ways for port in each.sources}:
                takes[port][paint.cores.at] = True
        for paint in of_color:
            for port in {port for each in paint.switch.ways for port in each.targets} - {CORE}:
                _leads(paint, port, takes[OPPOSITE[port]])


def _leads(paint: Painted, port: Port, takes: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    """One port of one paint: `takes` are the routers that accept what arrives there."""
    if not len(paint.cores):
        return
    height, width = takes.shape
    over, down = STEP[port]
    x, y = np.array(paint.cores.x) + over, np.array(paint.cores.y) + down
    for places, size, at in ((x, width, 0), (y, height, 1)):
        if off := [int(place) for place in (places.min(), places.max()) if not 0 <= place < size]:
            where = (off[0] - over, int(y[0]) - down) if at == 0 else (int(x[0]) - over, off[0] - down)
            raise KernelError(
                f"Color {paint.color} leads off the mesh to the {port.name.lower()} of router {where}.", remedy=_REMEDY
            )
    missing = np.argwhere(~takes[np.ix_(y, x)])
    if len(missing):
        row, column = missing[0]
        there = int(x[column]), int(y[row])
        raise KernelError(
            f"Router {(there[0] - over, there[1] - down)} sends color {paint.color} to the {port.name.lower()}, where "
            f"router {there} takes none from the {OPPOSITE[port].name.lower()}.",
            remedy=f"Paint {paint.color} there with a way({OPPOSITE[port].name}, to=...), or send it elsewhere.",
        )


def _ports(ports: tuple[Port, ...]) -> str:
    return ", ".join(port.name for port in ports) or "nowhere"
