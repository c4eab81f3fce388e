"""Paints: the switches of all routers of a region for everything that its program moves, by places on lines. Of trees
that take colors in turn those of the one that every stream begins with.

Knows channels and courses, no payload.
"""

from __future__ import annotations

from collections.abc import Iterator

from undiced.machine.fabric import fabric
from undiced.program.wafer.channel import Channel
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import roots
from undiced.sim.fabric.lower.channels import sum_color
from undiced.sim.fabric.lower.courses import Stop, apart_switches, owner_switches, share_switches, sum_course
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.lines import Lines, alike
from undiced.sim.fabric.program import Paint


def paints(frame: Frame) -> tuple[Paint, ...]:
    """Of all lines that fit the region."""
    out, home = list[Paint](), frame.channels.home
    for used in frame.channels.routes:
        if used.line is not None and fits(used, frame) and (min(used.tree, home) < 0 or used.tree == home):
            lines = Lines(frame, used.line)
            for color, stops in switches(used, frame):
                out += _painted(lines, color, stops)
    return tuple(out)


def fits(used: Channel, frame: Frame) -> bool:
    """Whether a channel has lines on a region, and anything to move along them."""
    if used.line is None:
        return False
    extent = frame.region.rows if used.line.axis is Axis.ROWS else frame.region.columns
    return 1 < used.line.span <= extent


def switches(used: Channel, frame: Frame) -> Iterator[tuple[int, tuple[tuple[Stop, ...], ...]]]:
    """Each color of a channel with the positions at every place of its lines."""
    assert used.line is not None
    channels, route, span = frame.channels, frame.channels.routes[used], used.line.span
    most = int(fabric(frame.wafer).positions)
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


def _painted(lines: Lines, color: int, by_place: tuple[tuple[Stop, ...], ...]) -> Iterator[Paint]:
    for stops, places in alike(enumerate(by_place)):
        if stops:
            yield Paint(lines.role(places), color, lines.switch(stops))
