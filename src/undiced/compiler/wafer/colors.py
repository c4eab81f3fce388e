"""Colors and queues for every mover of a program, and a queue's change of color in the streams that need one.

Knows channels and what the fabric has; trees are chosen before. Movers of a channel share its colors for good. A queue
belongs to the pool (a tree's channels, or a single one) that uses it most: every stream starts and ends with it so.
Where another pool needs the queue, a `Rebind` comes just before the mover.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from msgspec.structs import replace

from undiced.core.errors import CompileError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import Channel, Pool, channel, queue_color
from undiced.program.wafer.fabric import Fabric
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import FULL, Step
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Kind

_NAMED = 3  # nodes of a channel that a refusal names

Demand = dict[Channel, float]  # how often a token's movers use each channel
_Way = tuple[isa.Route, tuple[tuple[int, int], ...]]  # of a channel its route, and the color of each output queue


class NoRoutes(CompileError):
    """Colors, queues or switch positions run out."""


def shares_of_all(streams: tuple[Stream, ...], trees: tuple[Tree, ...], step: Step = FULL) -> list[Shares]:
    """The values that each stream can name: its own and the states of all."""
    states = {v.name: v for stream in streams for v in stream.values if v.kind is Kind.STATE}
    return [Shares(states | {v.name: v for v in stream.values}, trees, step) for stream in streams]


Used = tuple[Channel | None, ...]  # of each instruction of a stream the channel that it moves by


def used_by(streams: tuple[Stream, ...], trees: tuple[Tree, ...]) -> tuple[Used, ...]:
    """The channel of every mover of each stream."""
    every = zip(streams, shares_of_all(streams, trees), strict=True)
    return tuple(tuple(channel(i, shares) for i in stream.instructions) for stream, shares in every)


def demand(used: tuple[Used, ...], often: Iterable[float]) -> Demand:
    """The channels of a program, in the order in which streams first use them; `often`: runs of each stream."""
    found: Demand = defaultdict(float)
    for channels, times in zip(used, often, strict=True):
        for each in channels:
            if each is not None:
                found[each] += times
    return dict(found)


def short(channels: Iterable[Channel], fabric: Fabric) -> bool:
    """Whether colors, queues or switch positions do not reach."""
    found = list(channels)
    most = max((used.queues for used in found), default=1)
    lacking = any(not _runs(queues, most) for queues in (fabric.inputs, fabric.outputs))
    lacking |= any(used.switches > fabric.positions for used in found)
    return lacking or sum(used.colors for used in found) > fabric.colors


def crowded(channels: Iterable[Channel], fabric: Fabric, spare: int = 0) -> bool:
    """Whether trees take more queues than there are, `spare` of them left for others, where one serves one color."""
    taken = {used.pool: used.queues for used in channels if used.tree >= 0}
    return fabric.binds and sum(taken.values()) > len(fabric.outputs) - spare


def capped(channels: Iterable[Channel], most: Mapping[Axis, int]) -> set[Channel]:
    """The same channels if no tree along an axis had more slices than `most`; trees that are then alike are one."""
    numbers: dict[tuple[isa.Line | None, int], int] = {}
    found = set()
    for used in channels:
        slices = min(used.slices, most[used.line.axis]) if used.line else 1
        tree = numbers.setdefault((used.line, slices), used.tree) if used.tree >= 0 else -1
        found.add(replace(used, tree=tree, slices=slices))
    return found


def affordable(
    channels: Iterable[Channel], most: tuple[int, int], fabric: Fabric, spares: tuple[int | None, ...]
) -> tuple[tuple[int, int], ...]:
    """Slices of columns and of bands, `most` of each, that may be fastest; one of each if colors reach for none.

    As many as colors reach for, and as many as leave every tree queues of its own and some of these spare.
    """
    lines: dict[isa.Line, isa.Line] = {}  # how long they are makes no difference
    for used in channels:
        if used.line is not None:
            lines.setdefault(used.line, isa.Line(used.line.axis, len(lines)))
    alike = tuple(used if used.line is None else replace(used, line=lines[used.line]) for used in channels)
    return _affordable(alike, most, fabric, spares)


@lru_cache(maxsize=256)
def _affordable(
    channels: tuple[Channel, ...], most: tuple[int, int], fabric: Fabric, spares: tuple[int | None, ...]
) -> tuple[tuple[int, int], ...]:
    found = [each for spare in spares for each in _largest(channels, most, fabric, spare)]
    return tuple(dict.fromkeys(found)) or ((1, 1),)


def _largest(
    channels: tuple[Channel, ...], most: tuple[int, int], fabric: Fabric, spare: int | None
) -> list[tuple[int, int]]:
    """Slices of which neither can be raised without want of colors, or (where so many must be spared) of queues."""
    found: list[tuple[int, int]] = []
    for rows in range(most[0], 0, -1):
        more = found[-1][1] if found else 0
        for bands in range(most[1], more, -1):
            fewer = capped(channels, {Axis.ROWS: rows, Axis.COLUMNS: bands})
            if not short(fewer, fabric) and (spare is None or not crowded(fewer, fabric, spare)):
                found.append((rows, bands))
                break
    return found


def refusal(streams: tuple[Stream, ...], used: tuple[Used, ...], fabric: Fabric) -> NoRoutes:
    """What competes for colors and queues, by name."""
    nodes: dict[Channel, dict[str, None]] = defaultdict(dict)
    for stream, channels in zip(streams, used, strict=True):
        for i, each in zip(stream.instructions, channels, strict=True):
            if each is not None:
                nodes[each][i.node] = None
    named = "; ".join(f"{each} ({_names(list(by))}) {each.colors}" for each, by in nodes.items())
    total = sum(each.colors for each in nodes)
    queues = min(len(fabric.inputs), len(fabric.outputs))
    have = f"there are {fabric.colors} colors, {queues} queues of a kind and {fabric.positions} switch positions"
    return NoRoutes(f"Routes take {total} colors, and {have}: {named}.", remedy="Use a machine with more of them.")


def _names(nodes: list[str]) -> str:
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return ", ".join(nodes[:_NAMED]) + more


def routed(
    streams: tuple[Stream, ...], used: tuple[Used, ...], often: tuple[float, ...], fabric: Fabric
) -> tuple[Stream, ...]:
    """Streams whose movers have routes, with every change of a queue's color; `often`: a token's runs of each.

    Raises:
        NoRoutes: colors or queues do not reach; names what competes for them.
    """
    wanted = demand(used, often)
    if short(wanted, fabric):
        raise refusal(streams, used, fabric)
    return Plan.of(wanted, fabric).routed(streams, used)


@dataclass(frozen=True, slots=True)
class _Load:
    """How many queues a pool takes, and how often a token's movers use them."""

    queues: int
    often: float


def _spread(order: Mapping[Pool, _Load], queues: tuple[int, ...]) -> dict[Pool, int]:
    """The first queue of each pool: where they are used least."""
    busy = dict.fromkeys(queues, 0.0)
    first: dict[Pool, int] = {}
    for pool, load in order.items():
        starts = _runs(queues, load.queues)
        first[pool] = min(starts, key=lambda start: sum(busy[start + n] for n in range(load.queues)))
        for n in range(load.queues):
            busy[first[pool] + n] += load.often
    return first


def _runs(queues: tuple[int, ...], count: int) -> list[int]:
    """Where so many queues with numbers in a row begin."""
    return [first for first in queues if all(first + n in queues for n in range(count))]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is.

    Attributes:
        colors: the first of each channel.
        inputs, outputs: the first queue of each pool.
        home: color of each output queue that every stream starts and ends with; empty where queues take any color.
    """

    colors: Mapping[Channel, int]
    inputs: Mapping[Pool, int]
    outputs: Mapping[Pool, int]
    home: Mapping[int, int]

    @classmethod
    def of(cls, wanted: Demand, fabric: Fabric) -> Plan:
        """Colors in order; queues to those that use them most."""
        colors, taken = {}, 0
        pools: dict[Pool, _Load] = {}
        for used, often in wanted.items():
            colors[used], taken = taken, taken + used.colors
            before = pools.get(used.pool, _Load(used.queues, 0.0))
            pools[used.pool] = _Load(used.queues, before.often + often)
        order = dict(sorted(pools.items(), key=lambda item: -item[1].often))
        plan = cls(colors, _spread(order, fabric.inputs), _spread(order, fabric.outputs), {})
        return dataclasses.replace(plan, home=plan.owners(order)) if fabric.binds else plan

    def owners(self, order: Mapping[Pool, _Load]) -> dict[int, int]:
        """The color of each output queue while the pool that uses it most has it; `order`: the busiest pools first."""
        home: dict[int, int] = {}
        for pool, load in order.items():
            for which in range(load.queues):
                home.setdefault(self.outputs[pool] + which, queue_color(self.colors, pool, which))
        return home

    def routed(self, streams: tuple[Stream, ...], used: tuple[Used, ...]) -> tuple[Stream, ...]:
        """Streams whose movers have routes, and queues bound again where they need it."""
        ways = {each: self._way(each) for each in self.colors}
        return tuple(self._stream(stream, channels, ways) for stream, channels in zip(streams, used, strict=True))

    def _way(self, used: Channel) -> _Way:
        route = isa.Route(self.colors[used], used.colors, self.inputs[used.pool], self.outputs[used.pool])
        queues = range(used.queues if self.home else 0)
        return route, tuple((route.output_queue + n, queue_color(self.colors, used.pool, n)) for n in queues)

    def _stream(self, stream: Stream, channels: Used, ways: Mapping[Channel, _Way]) -> Stream:
        bound, out = dict(self.home), list[isa.Instruction]()
        node = ""
        for i, used in zip(stream.instructions, channels, strict=True):
            if used is not None:
                node = i.node
                route, queues = ways[used]
                for queue, color in queues:
                    if bound[queue] != color:
                        out.append(isa.Rebind(node, queue, bound[queue], color))
                        bound[queue] = color
                i = replace(i, route=route)
            out.append(i)
        out += [
            isa.Rebind(node, queue, bound[queue], home) for queue, home in self.home.items() if bound[queue] != home
        ]
        return replace(stream, instructions=tuple(out))
