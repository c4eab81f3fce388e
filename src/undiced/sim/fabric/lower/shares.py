"""Multicasts at level 2: what roots or an owner send to their lines, and what every core hears of it.

Knows courses and payloads. All that a core hears of a multicast is one microthread's script; what a root sends is
another's. A root or an owner does not hear itself, but copies its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from undiced.core.errors import UnsupportedError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import roots, separate
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower.channels import route_of
from undiced.sim.fabric.lower.courses import Departure, share_departures
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.lines import Lines, alike
from undiced.sim.fabric.lower.lowered import Lowered, Running
from undiced.sim.fabric.lower.payload import Piece, dense, moving, per_wavelet, piece
from undiced.sim.fabric.microops import Bind, Fork, In, Memory, MicroOp, Out, Turn, Vector
from undiced.sim.fabric.program import Section

SENDING = {Axis.ROWS: 0, Axis.COLUMNS: 1}
"""The microthread of what roots send along an axis."""
_BELOW, _HERE, _ABOVE = range(3)  # positions of an owner's color


def multicast(i: isa.Multicast, frame: Frame) -> Lowered:
    """Every core of the lines has a block.

    Raises:
        UnsupportedError: slices whose roots are one core, or payloads that no rows of memory hold.
    """
    sent = _Sent(i, frame, route_of(i))
    scripts = (_from_roots if frame.shares.roots(i.a) is not None else _from_owner)(sent)
    blocks = [(Lines(frame, i.line).role(places), ops) for ops, places in alike(scripts) if ops]
    threads = sorted({op.thread for _, ops in blocks for op in ops if isinstance(op, Fork)})
    running = (Running(thread, (frame.span(i.a),), (frame.span(i.result),)) for thread in threads)
    return Lowered((Section(f"multicast of {i.node}", tuple(blocks)),), tuple(running))


def _from_roots(sent: _Sent) -> Iterable[tuple[int, tuple[MicroOp, ...]]]:
    i, frame = sent.i, sent.frame
    part = frame.shares.roots(i.a)
    assert part is not None
    tree = frame.shares.trees[part.tree]
    if not separate(tree) or list(roots(tree)) != sorted(roots(tree)):
        raise UnsupportedError(f"Two roots of {tree} are one core.", remedy="Choose a tree of fewer slices.")
    held, wanted = frame.shares.size(i.a), frame.shares.size(i.result)
    count = 1 if part.whole else -(-wanted // held)
    pieces = [sent.piece(which * held, min(held, wanted - which * held), which) for which in range(count)]
    places, departures = roots(tree)[:count], share_departures(tree, count)
    for place in range(tree.span):
        own = places.index(place) if place in places else count
        hearing, sending = sent.heard([*pieces[:own], *pieces[own + 1 :]]), tuple[MicroOp, ...]()
        if own < count:  # its own copy is the last that anybody waits for
            hearing += (sent.copied(pieces[own]),)
            sending = sent.sending(pieces[own], departures[own], own)
        forks = ((SENDING[i.line.axis], sending), (sent.route.input_queue, hearing))
        yield place, tuple(Fork(thread, script) for thread, script in forks if script)


def _from_owner(sent: _Sent) -> Iterable[tuple[int, tuple[MicroOp, ...]]]:
    """Every core writes which way its router takes, as it finds out who the owner is."""
    frame, route = sent.frame, sent.route
    whole = sent.piece(0, frame.shares.size(sent.i.result), 0)
    turn = partial(Turn, route.color, cycles=frame.wafer.link.route_write_cycles.value)
    flushed = Bind(route.output_queue, route.color, frame.wafer.core.local_task_cycles.value)
    owner = frame.owner(sent.i.a)
    if sent.i.line.span == 1:
        yield 0, (Fork(route.input_queue, (sent.copied(whole),)),)
        return
    for place in range(sent.i.line.span):
        if place == owner:
            script: tuple[MicroOp, ...] = (
                turn(_HERE),
                *sent.sending(whole, Departure(0), 0),
                flushed,
                sent.copied(whole),
            )
        else:
            script = (turn(_BELOW if owner < place else _ABOVE), *sent.heard([whole]))
        yield place, (Fork(route.input_queue, script),)


@dataclass(frozen=True, slots=True)
class _Share:
    """What one sender sends: where it lies there, and from which byte of the result on everywhere."""

    held: Piece
    address: int


@dataclass(frozen=True, slots=True)
class _Sent:
    """One multicast on one region."""

    i: isa.Multicast
    frame: Frame
    route: isa.Route

    @property
    def wire(self) -> DType:
        """The type on the fabric."""
        return DType(self.i.wire)

    @property
    def made(self) -> DType:
        """The result's type."""
        return self.frame.value(self.i.result).dtype

    def piece(self, start: int, count: int, which: int) -> _Share:
        """What sender `which` sends of the result's elements from `start` on."""
        made = piece(self.frame, self.i.result, start, count)
        if made.memory.strides != (1,):
            raise UnsupportedError(f"{self.i.result} lies in rows.", remedy="Compile the program again.")
        return _Share(piece(self.frame, self.i.a, 0, count, which), made.memory.address)

    def sending(self, share: _Share, departure: Departure, which: int) -> tuple[Vector, ...]:
        """What goes out to the line, if there is one: both ways at once, or to one end after the other."""
        if self.i.line.span == 1:
            return ()
        out = Out(self.route.output_queue + which, self.route.color, self.wire, departure.advance, departure.control)
        outs = [replace(out, advance=True)] * 2 if self.i.apart and 0 < self._root < self.i.line.span - 1 else [out]
        held, core = share.held, self.frame.wafer.core
        wait, setup = per_wavelet(core, "move", self.wire, held.memory.dtype), core.straight_setup_cycles.value
        return tuple(
            Vector("move", each, held.memory, extents=held.extents, setup=setup, per_wavelet=wait) for each in outs
        )

    def copied(self, share: _Share) -> Vector:
        """A sender's own part of the result."""
        held, core = share.held, self.frame.wafer.core
        return Vector(
            "move",
            held.beside(share.address, self.made).memory,
            held.memory,
            extents=held.extents,
            setup=core.straight_setup_cycles.value,
            cycles=moving(core, held.memory.dtype, self.made, held.count),
            rounded=self.wire,
        )

    @property
    def _root(self) -> int:
        part = self.frame.shares.roots(self.i.a)
        return roots(self.frame.shares.trees[part.tree])[0] if part is not None else 0

    def heard(self, shares: list[_Share]) -> tuple[Vector, ...]:
        """What others send one after the other, in as few operations as its rows allow."""
        groups = list[list[_Share]]()
        for share in shares:
            if groups and (self._in_a_row([*groups[-1], share]) or _spaced([*groups[-1], share])):
                groups[-1].append(share)
            else:
                groups.append([share])
        return tuple(map(self._hearing, groups))

    def _in_a_row(self, group: list[_Share]) -> bool:
        """Whether shares lie behind each other, and no row ends amid a wavelet, or all rows are alike."""
        rows = {share.held.extents[-1] for share in group}
        full = all(row * size_of(self.wire) % size_of(DType.F32) == 0 for row in rows)
        beside = all(one.address + one.held.count * size_of(self.made) == two.address for one, two in pairwise(group))
        return beside and (full or len(rows) == 1)

    def _hearing(self, group: list[_Share]) -> Vector:
        first, row = group[0], group[0].held.extents[-1]
        count = sum(share.held.count for share in group)
        extents: tuple[int, ...]
        if self._in_a_row(group):
            full = row * size_of(self.wire) % size_of(DType.F32) == 0
            extents = (count,) if full or count == row else (count // row, row)
            strides = dense(extents)
        else:
            extents = (len(group), *first.held.extents)
            strides = ((group[1].address - first.address) // size_of(self.made), *dense(first.held.extents))
        core = self.frame.wafer.core
        return Vector(
            "move",
            Memory(first.address, strides, self.made),
            In(self.route.input_queue, self.route.color, self.wire),
            extents=extents,
            setup=core.straight_setup_cycles.value,
            per_wavelet=per_wavelet(core, "move", self.wire, self.made),
        )


def _spaced(group: list[_Share]) -> bool:
    """Whether shares are alike and lie equally far apart, as those on both sides of a root's own do."""
    steps = {two.address - one.address for one, two in pairwise(group)}
    return len(steps) == 1 and len({share.held.extents for share in group}) == 1
