"""Rules of routes: what a program's movers occupy exists, is theirs alone, and queues change color where it is said.

Knows channels and paths; the machine's colors, switch positions and queues only where they are given. Movers that
share a color must be of one channel: those follow each other. Core by core they do so in the order of the stream: who
sends has heard what came before. Trees may take colors in turn, where a `Repaint` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import Channel, channel, queue_color
from undiced.program.wafer.fabric import Fabric
from undiced.program.wafer.paths import Passage, always_fits, heard, positions, shares_path, sum_path
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.tree import Tree

COLORS_MOST, QUEUES_MOST = 4096, 64  # of any machine
_WALKED = 1 << 17  # routers of a tree's slices that are looked at one by one

Places = list[tuple[Stream, list[tuple[isa.Instruction, Channel | None]]]]
Routes = dict[Channel, isa.Route]


def path(used: Channel, tree: Tree | None, which: int, place: int) -> tuple[Passage, ...]:
    """What a mover of a channel lets pass the router at a place of its line, in order, for slice `which` of its tree.

    Where any core may send, all that a router may have to do; what passes between regions takes one way for good.
    """
    if used.use == "owner" and used.line is not None:
        senders = (n for n in (place - 1, place, place + 1) if 0 <= n < used.line.span)
        return tuple(heard(sender, used.line.span, place) for sender in senders)
    if tree is None:
        return ()
    return sum_path(tree, which, place) if used.use == "sums" else shares_path(tree, place)


@lru_cache(maxsize=256)
def switches(used: Channel, tree: Tree | None, most: int) -> int:
    """Switch positions that a router needs for a color of a channel, where it may have `most`."""
    span = used.line.span if used.line is not None else 0
    slices = range(used.slices if used.use == "sums" else 1)
    needed = (positions(path(used, tree, which, place), most) for which in slices for place in range(span))
    return max(needed, default=1)


def routes(program: WaferProgram, fabric: Fabric | None) -> Faults:
    """Colors, queues, their changes and switch positions; a program without any routes breaks no rule."""
    yield from (Fault(what) for what in _faults(program, fabric))


def _faults(program: WaferProgram, fabric: Fabric | None) -> Iterator[str]:
    places = _movers(program)
    taken: Routes = {}
    found = list(_found(places, fabric, taken))
    yield from found
    if found or not taken:
        return
    painted = any(isinstance(i, isa.Repaint) for stream in program.streams for i in stream.instructions)
    yield from _shared(taken, painted)
    if painted:
        yield from _painted(program)
    if fabric is not None:
        yield from _switched(program, taken, fabric)
    rebinds = any(isinstance(i, isa.Rebind) for _, instructions in places for i, _ in instructions)
    if rebinds or (fabric is not None and fabric.binds):
        yield from _bound(places, taken)


def _movers(program: WaferProgram) -> Places:
    """Movers with their channels, and what binds queues, stream by stream."""
    out: Places = []
    for stream in program.streams:
        shares = Shares(values_of(program, stream), program.trees)
        found = ((i, channel(i, shares)) for i in stream.instructions)
        out.append((stream, [(i, used) for i, used in found if used is not None or isinstance(i, isa.Rebind)]))
    return out


def _found(places: Places, fabric: Fabric | None, taken: Routes) -> Iterator[str]:
    """Every mover's route is there and is its channel's; fills in `taken`."""
    without = ""
    for stream, instructions in places:
        for i, used in instructions:
            where = f"stream {stream.name!r}: {type(i).__name__.lower()} of {i.node}"
            if isinstance(i, isa.Rebind):
                yield from (f"{where} {what}" for what in _changes(i, fabric))
            elif used is None:
                continue
            elif i.route is None:  # type: ignore[union-attr]
                without = without or where
            elif taken.setdefault(used, i.route) != i.route:  # type: ignore[union-attr]
                yield f"{where} has another route than others of {used}"
            else:
                yield from (f"{where} {what}" for what in _exists(used, i.route, fabric))  # type: ignore[union-attr]
    if without and (taken or any(isinstance(i, isa.Rebind) for _, found in places for i, _ in found)):
        yield f"{without} has no route, and others have"


def _changes(i: isa.Rebind, fabric: Fabric | None) -> Iterator[str]:
    """A queue that there is, from one color to another."""
    queues, colors = (fabric.outputs, fabric.colors) if fabric else (range(QUEUES_MOST), COLORS_MOST)
    if i.queue not in queues:
        yield f"binds output queue {i.queue}, and programs have {_numbers(queues)}"
    if i.before == i.after or not all(0 <= color < colors for color in (i.before, i.after)):
        yield f"goes from color {i.before} to {i.after} of {colors}"


def _exists(used: Channel, route: isa.Route, fabric: Fabric | None) -> Iterator[str]:
    """Colors and queues that there are, as many as the channel takes."""
    colors = fabric.colors if fabric else COLORS_MOST
    if route.colors != used.colors:
        yield f"takes {route.colors} colors; {used} take {used.colors}"
    elif not 0 <= route.color <= colors - route.colors:
        yield f"takes colors {route.color} to {route.color + route.colors}, and there are {colors}"
    for way, first, count, there in (
        ("input", route.input_queue, used.inputs, fabric.inputs if fabric else range(QUEUES_MOST)),
        ("output", route.output_queue, used.queues, fabric.outputs if fabric else range(QUEUES_MOST)),
    ):
        if not all(first + n in there for n in range(min(count, QUEUES_MOST + 1))):
            yield f"takes {way} queues {first} to {first + count}, and programs have {_numbers(there)}"


def _numbers(there: tuple[int, ...] | range) -> str:
    return f"{there[0]} to {there[-1]}" if there else "none"


def _shared(taken: Routes, painted: bool) -> Iterator[str]:
    """No two channels on one color: their routes differ, and nothing orders them; unless trees take colors in turn."""
    owners: dict[int, Channel] = {}
    for used, route in taken.items():
        for color in range(route.color, route.color + route.colors):
            other = owners.setdefault(color, used)
            in_turn = painted and min(used.tree, other.tree) >= 0 and used.tree != other.tree
            if other != used and not in_turn:
                yield f"{owners[color]} and {used} share color {color}, and nothing orders them"
                return


def _painted(program: WaferProgram) -> Iterator[str]:
    """Colors have the routes of a mover's tree when it comes, changes are said, and streams leave them as they were."""
    home = -1
    for stream in program.streams:
        shares, now = Shares(values_of(program, stream), program.trees), -1
        for i in stream.instructions:
            used = channel(i, shares)
            wanted = i.before if isinstance(i, isa.Repaint) else used.tree if used else -1
            if wanted < 0:
                continue
            home = wanted if home < 0 else home
            now = home if now < 0 else now
            if now != wanted:
                what = f"{type(i).__name__.lower()} of {i.node} needs the routes of tree {wanted}"
                yield f"stream {stream.name!r}: {what}"
                return
            now = i.after if isinstance(i, isa.Repaint) else now
        if now not in (-1, home):
            yield f"stream {stream.name!r} leaves colors with the routes of tree {now}; others expect those of {home}"
            return


def _switched(program: WaferProgram, taken: Routes, fabric: Fabric) -> Iterator[str]:
    """No router needs more positions for a color than it has."""
    for used in taken:
        tree = program.trees[used.tree] if used.tree >= 0 else None
        span, most, needed = used.line.span if used.line is not None else 1, fabric.positions, used.switches
        if used.use == "sums" and tree is not None and not always_fits(tree, most):
            needed = switches(used, tree, most) if span * used.slices <= _WALKED else most + 1
        if needed > most:
            yield f"{used} need {needed} switch positions of a color, and routers have {most}"


def _bound(places: Places, taken: Routes) -> Iterator[str]:
    """Each output queue carries one color at a time, changes are said, and a stream leaves queues as it has them."""
    first = {used: route.color for used, route in taken.items()}
    home: dict[int, int] = {}
    for stream, instructions in places:
        now: dict[int, int] = {}
        for i, used in instructions:
            where = f"stream {stream.name!r}: {type(i).__name__.lower()} of {i.node}"
            if isinstance(i, isa.Rebind):
                wanted = [(i.queue, i.before)]
            else:
                assert used is not None
                queues = range(taken[used].output_queue, taken[used].output_queue + used.queues)
                wanted = [(queue, queue_color(first, used.pool, which)) for which, queue in enumerate(queues)]
            for queue, color in wanted:
                has = now.setdefault(queue, home.setdefault(queue, color))
                if has != color:
                    yield f"{where} needs output queue {queue} on color {color}; it is bound to {has}"
                    return
            if isinstance(i, isa.Rebind):
                now[i.queue] = i.after
        left = next((queue for queue, color in now.items() if color != home[queue]), None)
        if left is not None:
            yield f"stream {stream.name!r} leaves output queue {left} on color {now[left]}; others expect {home[left]}"
            return
