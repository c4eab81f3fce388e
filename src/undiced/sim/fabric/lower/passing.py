"""Queues that change their color, at level 2: who binds which, and what has to have been sent before.

Knows channels and courses, no payload.
"""

from __future__ import annotations

from collections.abc import Iterator

from undiced.machine.fabric import fabric, rebinding
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import Channel
from undiced.program.wafer.program import Stream
from undiced.program.wafer.tree import roots
from undiced.sim.fabric.lower.channels import sum_color
from undiced.sim.fabric.lower.courses import Pass, sum_course
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.handing import Part, passing
from undiced.sim.fabric.lower.lines import Lines, alike
from undiced.sim.fabric.lower.lowered import Lowered
from undiced.sim.fabric.lower.shares import SENDING
from undiced.sim.fabric.microops import Bind, Wait
from undiced.sim.fabric.program import Section
from undiced.sim.fabric.roles import Role


def rebound(i: isa.Rebind, frame: Frame, stream: Stream) -> tuple[Part, ...]:
    """What the cores of a region do; and, where a stream begins with what another region hands over, those of that."""
    over = next((each for each in stream.instructions if isinstance(each, isa.Transfer | isa.Return)), None)
    ways = None if over is None else passing(over, frame)
    if over is None or ways is None:
        return ((frame, rebind(i, frame)),)
    sent = ways.senders[0].color
    if isinstance(over, isa.Return) or frame.before is None:
        return ((frame, rebind(i, frame, sent)),)
    onward = next((each.onward for each in ways.hearers if each.onward >= 0), sent)
    return (frame.before, rebind(i, frame.before, sent)), (frame, rebind(i, frame, onward))


def rebind(i: isa.Rebind, frame: Frame, between: int = -1) -> Lowered:
    """Every core waits for what sends by the queue, and gives it the color that it sends on next; `between`: what that
    is for other regions."""
    waits = Wait(senders(*frame.channels.queue(i.before), frame))
    cycles = rebinding(frame.wafer).cycles
    used, which = frame.channels.queue(i.after)
    colors = [(between, frame.role())] if used.line is None and between >= 0 else _colors(used, which, frame)
    blocks = tuple((role, (waits, Bind(i.queue, color, cycles))) for color, role in colors)
    return Lowered((Section(f"rebind of {i.node}", blocks),))


def senders(used: Channel, which: int, frame: Frame) -> tuple[int, ...]:
    """The microthreads that send by a queue."""
    route = frame.channels.routes[used]
    if used.tree < 0 or used.line is None:
        return (route.input_queue,)
    return (route.input_queue + which, SENDING[used.line.axis])


def _colors(used: Channel, which: int, frame: Frame) -> Iterator[tuple[int, Role]]:
    """The color that cores send on by a queue, with those that do."""
    if used.tree < 0 or used.line is None:
        yield frame.channels.routes[used].color, frame.role()
        return
    lines = Lines(frame, used.line)
    for color, places in alike(sent_on(used, which, frame)):
        yield color, lines.role(places)


def sent_on(used: Channel, which: int, frame: Frame) -> Iterator[tuple[int, int]]:
    """Places of a tree's line, and the color that the core there sends on: in the sums of a slice, or as its root."""
    tree = frame.channels.trees[used.tree]
    sums, shares = frame.channels.sums(used), frame.channels.shares(used)
    deeds = sum_course(tree, which, int(fabric(frame.wafer).positions)).deeds
    for place in range(tree.span):
        sent = next((deed.departure.color for deed in deeds[place] if isinstance(deed, Pass)), None)
        if place == roots(tree)[which] and shares is not None:
            yield place, shares.color
        elif sums is not None and sent is not None:
            yield place, sum_color(sums, which, sent)
