"""Paints: the switches of all routers of a region for everything that its program moves, by places on lines.

Knows channels and courses, no payload.
"""

from __future__ import annotations

from collections.abc import Iterator

from undiced.machine.fabric import fabric
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import Channel
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import roots
from undiced.sim.fabric.lower.channels import Channels, sum_color
from undiced.sim.fabric.lower.courses import Stop, apart_switches, owner_switches, share_switches, sum_course
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.lines import Lines, alike
from undiced.sim.fabric.program import Paint


def paints(frame: Frame) -> tuple[Paint, ...]:
    """Of all lines that fit the region."""
    out, channels = list[Paint](), frame.channels
    for used, route in channels.routes.items():
        if used.line is not None and 1 < used.line.span <= _extent(frame, used.line.axis):
            lines = Lines(frame, used.line)
            for color, switches in _colors(channels, used, route, int(fabric(frame.wafer).positions)):
                out += _painted(lines, color, switches)
    return tuple(out)


def _extent(frame: Frame, axis: Axis) -> int:
    return frame.region.rows if axis is Axis.ROWS else frame.region.columns


def _colors(
    channels: Channels, used: Channel, route: isa.Route, most: int
) -> Iterator[tuple[int, tuple[tuple[Stop, ...], ...]]]:
    """Each color of a channel with the positions at every place."""
    assert used.line is not None
    span = used.line.span
    if used.use == "owner":
        yield route.color, owner_switches(span)
        return
    tree = channels.trees[used.tree]
    if used.use == "shares":
        yield route.color, apart_switches(span, roots(tree)[0]) if used in channels.apart else share_switches(tree)
        return
    for which in range(tree.slices):
        course = sum_course(tree, which, most)
        for color in range(2):
            yield sum_color(route, which, color), tuple(line.get(color, ()) for line in course.switches)


def _painted(lines: Lines, color: int, switches: tuple[tuple[Stop, ...], ...]) -> Iterator[Paint]:
    for stops, places in alike(enumerate(switches)):
        if stops:
            yield Paint(lines.role(places), color, lines.switch(stops))
