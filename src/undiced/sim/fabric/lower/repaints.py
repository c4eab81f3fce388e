"""Colors that trees take in turn, at level 2: every core writes the routes of the next tree to its router.

Knows channels and paints, no payload. Nothing holds other cores back meanwhile: what has been sent before has arrived,
because every collective of such programs ends in a multicast; and what a neighbor sends early waits at a port that the
routes before do not take from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from undiced.core.errors import UnsupportedError
from undiced.machine.fabric import repainting
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import Channel, channel
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.lines import Lines, alike
from undiced.sim.fabric.lower.lowered import Lowered
from undiced.sim.fabric.lower.paints import fits, switches
from undiced.sim.fabric.lower.passing import senders, sent_on
from undiced.sim.fabric.microops import Bind, MicroOp, Repaint, Wait
from undiced.sim.fabric.program import Section
from undiced.sim.fabric.roles import Role

_Register = Repaint | Bind


def repaint(i: isa.Repaint, frame: Frame) -> Lowered:
    """Every core waits for its movers, then writes its registers one after the other; those beside lines take no way.

    A queue that serves one color is given the one that the core sends on in the tree after: that is one of the
    registers. All of them together take what the instruction's count of writes does.
    """
    before, after = (_channels(tree, frame) for tree in (i.before, i.after))
    running = {thread for used in before for which in range(used.slices) for thread in senders(used, which, frame)}
    writes, each = int(work(i, frame.shares).writes), repainting(frame.wafer).cycles

    def script(registers: tuple[_Register, ...]) -> tuple[MicroOp, ...]:
        return Wait(tuple(sorted(running))), *_charged(registers, writes, each)

    none = tuple(Repaint(color, None) for used in after for color in _colors(used, frame))
    line = after[0].line
    assert line is not None
    if not fits(after[0], frame):
        return _section(i, [(frame.role(), script(none))])
    lines = Lines(frame, line)
    kinds = alike((place, tuple(found)) for place, found in enumerate(_registers(after, frame)))
    blocks = [(lines.role(places), script(found)) for found, places in kinds]
    beside = lines.beside()
    return _section(i, [*blocks, *([(beside, script(none))] if beside else [])])


def _section(i: isa.Repaint, blocks: list[tuple[Role, tuple[MicroOp, ...]]]) -> Lowered:
    return Lowered((Section(f"repaint of {i.node}", tuple(blocks)),))


def _channels(tree: int, frame: Frame) -> list[Channel]:
    return [used for used in frame.channels.routes if used.tree == tree]


def _colors(used: Channel, frame: Frame) -> range:
    route = frame.channels.routes[used]
    return range(route.color, route.color + route.colors)


def see_crosswise(i: isa.Repaint, frame: Frame, following: Sequence[isa.Instruction]) -> None:
    """What comes early finds no way: the trees before and after have different axes. One that nothing `following` uses
    before the next change, as at a stream's end, may have any.

    Raises:
        UnsupportedError: both trees lie along one axis.
    """
    before, after = (_channels(tree, frame) for tree in (i.before, i.after))
    axes = [{used.line.axis for used in each if used.line and fits(used, frame)} for each in (before, after)]
    movers = takewhile(lambda each: not isinstance(each, isa.Repaint), following)
    if axes[0] & axes[1] and any(channel(each, frame.shares) in after for each in movers):
        one, two = (frame.channels.trees[tree].span for tree in (i.before, i.after))
        raise UnsupportedError(
            f"Colors go from lines of {one} cores to lines of {two} along the same axis before {i.node}: what a "
            "neighbor sends early would take the routes before.",
            remedy="Let a collective of the other axis come between them.",
        )


def _registers(after: list[Channel], frame: Frame) -> list[list[_Register]]:
    """By place: what the core there writes."""
    line = after[0].line
    assert line is not None
    lines = Lines(frame, line)
    found: list[list[_Register]] = [[] for _ in range(line.span)]
    for used in after:
        for color, stops in switches(used, frame):
            for place, stop in enumerate(stops):
                found[place].append(Repaint(color, lines.switch(stop) if stop else None))
    route = frame.channels.routes[after[0]]
    for which in range(after[0].slices):
        for place, color in sent_on(after[0], which, frame):
            found[place].append(Bind(route.output_queue + which, color))
    return found


def _charged(registers: tuple[_Register, ...], writes: int, each: float) -> Iterator[MicroOp]:
    """With their cycles: the count of writes is shared out among them."""
    share, more = divmod(writes, len(registers))
    for number, register in enumerate(registers):
        yield replace(register, cycles=each * (share + (number < more)))
