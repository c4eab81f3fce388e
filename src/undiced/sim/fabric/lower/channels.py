"""The channels of a program's streams with their routes, and what an output queue's color stands for at a place.

Knows no region and no machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from undiced.core.errors import UnsupportedError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import COLORS_A_SLICE, Channel, channel, queue_color
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Kind, Value


@dataclass(frozen=True, slots=True)
class Channels:
    """What every mover's colors are.

    Attributes:
        routes: of each channel. apart: channels whose senders send to one end after the other.
        home: the tree whose routes the colors of trees have when a stream begins; -1: each tree has its own for good.
    """

    routes: Mapping[Channel, isa.Route]
    apart: frozenset[Channel]
    trees: tuple[Tree, ...]
    home: int = -1

    @classmethod
    def of(
        cls, streams: tuple[Stream, ...], trees: tuple[Tree, ...], running: tuple[Stream, ...] | None = None
    ) -> Channels:
        """Those of all streams of a program, as movers of those that run use them (by default of all).

        Raises:
            UnsupportedError: a channel's movers send in two ways.
        """
        routes: dict[Channel, isa.Route] = {}
        ways: dict[Channel, set[bool]] = {}
        states = {v.name: v for stream in streams for v in stream.values if v.kind is Kind.STATE}
        for used, mover in _movers(streams, trees, states):
            if mover.route is not None:
                routes[used] = mover.route
        for used, mover in _movers(streams if running is None else running, trees, states):
            ways.setdefault(used, set()).add(getattr(mover, "apart", False))
        mixed = next((used for used, found in ways.items() if len(found) > 1), None)
        if mixed is not None:
            raise UnsupportedError(
                f"{mixed} goes both ways at once and one way after the other.", remedy="Use one of them on a tree."
            )
        turns = (i.before for stream in streams for i in stream.instructions if isinstance(i, isa.Repaint))
        return cls(routes, frozenset(used for used, found in ways.items() if True in found), trees, next(turns, -1))

    def queue(self, color: int) -> tuple[Channel, int]:
        """Which channel, and which of its slices, an output queue carries that is bound to `color` (of `Rebind`)."""
        first = {used: route.color for used, route in self.routes.items()}
        for used in self.routes:
            for which in range(used.queues):
                if queue_color(first, used.pool, which) == color:
                    return used, which
        raise UnsupportedError(f"No mover sends on color {color}.", remedy="Compile the program again.")

    def sums(self, used: Channel) -> isa.Route | None:
        """The route of the sums of a channel's tree."""
        return self._of(used, "sums")

    def shares(self, used: Channel) -> isa.Route | None:
        """The route of what the roots of a channel's tree send."""
        return self._of(used, "shares")

    def _of(self, used: Channel, use: str) -> isa.Route | None:
        return next((r for other, r in self.routes.items() if other.pool == used.pool and other.use == use), None)


def sum_color(route: isa.Route, which: int, color: int) -> int:
    """One of the two colors of a slice."""
    return route.color + COLORS_A_SLICE * which + color


_Mover = isa.Reduce | isa.Multicast | isa.Transfer | isa.Return


def _movers(
    streams: tuple[Stream, ...], trees: tuple[Tree, ...], states: dict[str, Value]
) -> Iterator[tuple[Channel, _Mover]]:
    for stream in streams:
        shares = Shares(states | {v.name: v for v in stream.values}, trees)
        for i in stream.instructions:
            if isinstance(i, isa.MOVERS):
                used = channel(i, shares)
                assert used is not None
                yield used, i


def route_of(mover: _Mover) -> isa.Route:
    """A mover's route.

    Raises:
        UnsupportedError: it has none.
    """
    if mover.route is None:
        raise UnsupportedError(
            f"{type(mover).__name__} of {mover.node} has no colors and queues.", remedy="Compile for wse2 or wse3."
        )
    return mover.route
