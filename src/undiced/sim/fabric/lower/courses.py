"""Courses: for every place of a line, the positions of its switches for one mover's colors, and what moves them on.

Knows trees and paths, no region and no payload. A switch takes what passes it one position after the other and stands
at the first again when all has passed: each position is left because the last wavelets of what it let pass say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from undiced.core.errors import UnsupportedError
from undiced.program.wafer.paths import Passage, Port, heard, shares_path, sum_path
from undiced.program.wafer.switching import Move, Switching, switching
from undiced.program.wafer.tree import Join, Tree, joins, roots
from undiced.sim.fabric.routes import COMMANDS_MAX, TIMES_MAX, Command, Control

Stop = tuple[Port, tuple[Port, ...]]
"""One position: where wavelets come in and where they go."""
EVERYWHERE = Control(((Command.RESET, 0),))


@dataclass(frozen=True, slots=True)
class Departure:
    """How what a core sends leaves.

    Attributes:
        color: of the slice's two, or 0. advance: its own switch moves on behind it. control: what follows it.
    """

    color: int
    advance: bool = False
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class Gather:
    """A root adds what `members` cores send, of any arms and levels, one after the other on one color.

    Attributes:
        above: whether the last of them are above it.
    """

    color: int
    members: int
    above: bool


@dataclass(frozen=True, slots=True)
class Pass:
    """A core sends what it holds; if it hears a color, added to what comes. `up`: to higher places."""

    heard: int | None
    departure: Departure
    up: bool


Deed = Gather | Pass


@dataclass(frozen=True, slots=True)
class Course:
    """Of one slice of a sum.

    Attributes:
        switches: by place: of each color its positions, in order.
        deeds: by place: what the core there does, in order; the last root passes nothing on.
    """

    switches: tuple[dict[int, tuple[Stop, ...]], ...]
    deeds: tuple[tuple[Deed, ...], ...]


@lru_cache(maxsize=256)
def sum_course(tree: Tree, which: int, most: int) -> Course:
    """The sum of slice `which`, with `most` positions a switch.

    Raises:
        UnsupportedError: positions or commands do not reach; says where.
    """
    routers = [_router(tree, which, place, most) for place in range(tree.span)]
    deeds: list[list[Deed]] = [[] for _ in range(tree.span)]
    for number, level in enumerate(joins(tree, which)):
        for join in level:
            for arm in join.arms:
                _arm(number, join, arm, routers, deeds)
    switches = tuple({color: known.positions for color, (_, known) in router.items()} for router in routers)
    return Course(switches, tuple(map(_together, deeds)))


def _together(deeds: list[Deed]) -> tuple[Deed, ...]:
    """In as few steps as there can be: what comes in a row is on one color, and the last of it goes on as it comes.

    But not where it came from: routers there would not let it pass before all has come, and that waits for room here.
    """
    out = list[Deed]()
    for deed in deeds:
        before = out[-1] if out else None
        if isinstance(deed, Gather) and isinstance(before, Gather):
            out[-1] = replace(deed, members=before.members + deed.members)
        elif isinstance(deed, Pass) and deed.heard is None and isinstance(before, Gather) and before.above != deed.up:
            rest = [replace(before, members=before.members - 1)] * (before.members > 1)
            out[-1:] = [*rest, replace(deed, heard=before.color)]
        else:
            out.append(deed)
    return tuple(out)


_Router = dict[int, tuple[list[Passage], Switching[Stop]]]


def _stop(passage: Passage) -> Stop:
    return passage.source, passage.targets


def _router(tree: Tree, which: int, place: int, most: int) -> _Router:
    """What passes a router, by color, and how its switch takes it."""
    found: dict[int, list[Passage]] = {}
    for passage in sum_path(tree, which, place):
        found.setdefault(passage.color, []).append(passage)
    made = {color: (passages, switching(tuple(map(_stop, passages)), most)) for color, passages in found.items()}
    needed = max((len(known.positions) for _, known in made.values()), default=0)
    if needed > most:
        raise UnsupportedError(
            f"The router at place {place} of {tree} needs {needed} switch positions in slice {which}, and has {most}.",
            remedy="Choose a tree of four levels at most.",
        )
    return made


def _arm(number: int, join: Join, arm: tuple[int, ...], routers: list[_Router], deeds: list[list[Deed]]) -> None:
    """What the members of an arm and their root do in one level."""
    ends = (join.root,) * len(arm) if join.star else (*arm[1:], join.root)
    heard_on: int | None = None
    for at, (sender, receiver) in enumerate(zip(arm, ends, strict=True)):
        color = _color(number, sender, routers)
        way = range(sender, receiver, 1 if receiver > sender else -1)
        moves = [_moves(number, color, place, way, routers) for place in (*way, receiver)]
        # in a star farther ones pass once it has sent; what the farthest sends moves all switches on
        departure = _departure(color, moves[:1] if join.star and at else moves, f"place {sender} to {receiver}")
        deeds[sender].append(Pass(None if join.star else heard_on, departure, receiver > sender))
        heard_on = color
    assert heard_on is not None
    deeds[join.root].append(Gather(heard_on, len(arm) if join.star else 1, arm[0] > join.root))


def _color(number: int, sender: int, routers: list[_Router]) -> int:
    """The color on which a member sends in its level."""
    passages = (p for passages, _ in routers[sender].values() for p in passages)
    return next(p.color for p in passages if p.level == number and p.source is Port.CORE)


def _moves(number: int, color: int, place: int, way: range, routers: list[_Router]) -> frozenset[Move]:
    """What the switch of a router on a way may do behind what passes."""
    ahead, behind = (Port.HIGHER, Port.LOWER) if way.step > 0 else (Port.LOWER, Port.HIGHER)
    stop = (Port.CORE if place == way.start else behind, (ahead if place in way else Port.CORE,))
    passages, known = routers[place][color]
    return known.moves[next(n for n, p in enumerate(passages) if p.level == number and _stop(p) == stop)]


_COMMANDS = {Move.ADVANCE: Command.ADVANCE, Move.STAY: Command.NOTHING, Move.RESET: Command.RESET}


def _departure(color: int, moves: list[frozenset[Move]], what: str) -> Departure:
    """With what makes the routers on the way move; one alone advances by itself."""
    if len(moves) == 1 and Move.ADVANCE in moves[0]:
        return Departure(color, advance=True)
    commands = _commands(moves)
    if len(commands) > COMMANDS_MAX:
        raise UnsupportedError(
            f"No control wavelet tells the routers from {what} how they move on: that takes {len(commands)} commands.",
            remedy="Choose a tree of fewer levels.",
        )
    return Departure(color, control=Control(commands) if commands else None)


def _commands(moves: list[frozenset[Move]]) -> tuple[tuple[Command, int], ...]:
    """What each router on a way is told, as counts: as few runs as there can be; none where no switch has to move."""
    runs: list[tuple[frozenset[Move], int]] = []
    for options in moves:
        if runs and runs[-1][0] & options:
            runs[-1] = runs[-1][0] & options, runs[-1][1] + 1
        else:
            runs.append((options, 1))
    last = runs.pop()[0]
    pieces = [piece for options, count in runs for piece in _split(_command(options), count)]
    return tuple(pieces) if Move.STAY in last else (*pieces, (_command(last), 0))


def _command(options: frozenset[Move]) -> Command:
    return next(command for move, command in _COMMANDS.items() if move in options)


def _split(command: Command, count: int) -> Iterator[tuple[Command, int]]:
    """A command for `count` routers, in pieces that a control wavelet holds."""
    for first in range(0, count, TIMES_MAX):
        yield command, min(TIMES_MAX, count - first)


# What roots and owners send


def share_switches(tree: Tree) -> tuple[tuple[Stop, ...], ...]:
    """By place: the positions for what the roots of all slices send to their line, the lowest root first."""
    return tuple(_heard_and_sent(shares_path(tree, place)) for place in range(tree.span))


def _heard_and_sent(passages: tuple[Passage, ...]) -> tuple[Stop, ...]:
    """One position for all that is heard in a row, each for what is sent."""
    stops = list[Stop]()
    for stop in map(_stop, passages):
        if not stops or stops[-1] != stop or stop[0] is Port.CORE:
            stops.append(stop)
    return tuple(stops)


def share_departures(tree: Tree, senders: int) -> tuple[Departure, ...]:
    """How each of the first `senders` roots sends.

    A root that others follow sends both ways, then moves the switches on from its own to the next root's; the last
    one takes all of them back to where they began. One alone leaves them as they are.
    """
    places = roots(tree)[:senders]
    if len(places) == 1:
        return (Departure(0),)
    between = [_follow(tree, *pair) for pair in pairwise(places)]
    return (*(Departure(0, True, control) for control in between), Departure(0, control=EVERYWHERE))


def _follow(tree: Tree, root: int, following: int) -> Control:
    commands = tuple(_split(Command.ADVANCE, following - root + 1))
    if following <= root or len(commands) > COMMANDS_MAX:
        raise UnsupportedError(
            f"Roots {root} and {following} of {tree} are {following - root} apart: a control wavelet says so much to "
            f"{COMMANDS_MAX * TIMES_MAX} routers at most.",
            remedy="Choose more slices, or a first level of smaller groups.",
        )
    return Control(commands)


def apart_switches(span: int, root: int) -> tuple[tuple[Stop, ...], ...]:
    """By place: the positions for what one root sends to the farther end first and then to the other."""
    ends = {Port.HIGHER: span - 1 - root, Port.LOWER: root}
    ways = sorted((end for end in ends if ends[end]), key=lambda end: -ends[end])
    own = tuple((Port.CORE, (end,)) for end in ways)
    return tuple(own if place == root else (_stop(heard(root, span, place)),) for place in range(span))


def owner_switches(span: int) -> tuple[tuple[Stop, ...], ...]:
    """By place: the positions for a sender below, here, and above."""
    out = []
    for place in range(span):
        up, down = (Port.HIGHER,) * (place < span - 1), (Port.LOWER,) * (place > 0)
        out.append(((Port.LOWER, (Port.CORE, *up)), (Port.CORE, (*down, *up)), (Port.HIGHER, (Port.CORE, *down))))
    return tuple(out)
