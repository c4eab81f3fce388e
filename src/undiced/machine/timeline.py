"""When each instruction of a stream starts and ends: readiness of operands, one datapath a core, lines that are taken.

Instructions are issued in order. Local ones take the core's datapath; movers run beside it once they have started, and
who reads their results waits for them, slice by slice, and who writes where they still read waits, too. Every moment
knows what it waited for, so the critical path can be walked back: nothing is marked as overlapped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from msgspec import Struct

from undiced.machine import lines
from undiced.machine.arithmetic import local_cost
from undiced.machine.cost import ZERO, Cost
from undiced.machine.fabric import rebinding, repainting
from undiced.machine.moment import BEGUN, Moment, latest
from undiced.machine.occupancy import Occupancy
from undiced.machine.ring import ring_cost
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Roots
from undiced.program.wafer.operands import reads, writes
from undiced.program.wafer.share import Extent, Shares
from undiced.program.wafer.value import BITS, Kind, Value
from undiced.program.wafer.work import Haul, Work
from undiced.program.wafer.workload import work


class Span(Struct, frozen=True, gc=False):
    """When an instruction began and when its last result was there, in cycles from the stream's start."""

    instruction: isa.Instruction
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Path:
    """A stream's critical path: cycles by node and by kind of instruction, and every instruction's span."""

    shares: dict[tuple[str, str], Cost]
    spans: tuple[Span, ...]

    @property
    def cost(self) -> Cost:
        """Of the whole stream."""
        return sum(self.shares.values(), ZERO)


_AS_MADE: Mapping[tuple[Axis, int], float] = MappingProxyType({})


def critical_path(
    wafer: Wafer,
    instructions: Iterable[isa.Instruction],
    shares: Shares,
    clock_hz: float,
    *,
    synchronous: bool = False,
    longer: Mapping[tuple[Axis, int], float] = _AS_MADE,
) -> Path:
    """The critical path of a stream that starts on idle cores.

    Args:
        synchronous: cores wait for every mover's end.
        longer: cycles beyond its hops of a line along an axis, of so many cores, where a wafer has defects.
    """
    timeline = _Timeline(wafer, shares, clock_hz, synchronous, longer)
    spans = tuple(timeline.issue(instruction) for instruction in instructions)
    found: dict[tuple[str, str], Cost] = defaultdict(lambda: ZERO)
    moment: Moment | None = timeline.end()
    while moment is not None:
        if moment.cost.cycles:
            found[moment.node, moment.kind] += moment.cost
        moment = moment.before
    return Path(dict(found), spans)


_MOVING = {Kind.ACTIVATION, Kind.STATE}
_Ready = list[tuple[Extent, Moment]]
Route = tuple[str, Axis | isa.Line | int]


@dataclass(slots=True)
class _Timeline:
    """The state of a stream in time.

    Attributes:
        free: when the datapath of a core that is no root is free; at_roots: of the root of each slice of a tree.
        ready: when elements of values are there; sliced: when each root's share is.
        taken: until when a tree, the links of an axis or the roots' color of a line serve a mover.
        gone: when what leaves the region has arrived.
        sources: what movers send from, and until when at most.
        passing: until when a mover is under way, and cycles of every core's datapath that it takes meanwhile.
    """

    wafer: Wafer
    shares: Shares
    clock_hz: float
    synchronous: bool = False
    longer: Mapping[tuple[Axis, int], float] = field(default_factory=dict)
    free: Moment = BEGUN
    at_roots: dict[tuple[int, int], Moment] = field(default_factory=dict)
    ready: dict[str, _Ready] = field(default_factory=dict)
    sliced: dict[str, dict[int, Moment]] = field(default_factory=dict)
    taken: dict[Route, Moment] = field(default_factory=dict)
    gone: list[Moment] = field(default_factory=list)
    sources: list[tuple[Value, Moment]] = field(default_factory=list)
    passing: list[tuple[Moment, Cost]] = field(default_factory=list)
    queues: Occupancy = field(init=False)

    def __post_init__(self) -> None:
        self.queues = Occupancy(self.shares)

    def end(self) -> Moment:
        """When everything is done."""
        arrived = [moment for spans in self.ready.values() for _, moment in spans]
        gathered = [moment for slices in self.sliced.values() for moment in slices.values()]
        return latest([self.issued(), *arrived, *gathered, *self.gone])

    def issue(self, i: isa.Instruction) -> Span:
        """Let an instruction take its time."""
        done = work(i, self.shares)
        cost = local_cost(self.wafer.core, done)
        if isinstance(i, isa.Rebind):
            return self._rebind(i, rebinding(self.wafer) * done.rebinds)
        if isinstance(i, isa.Repaint):
            return self._taking(i, self.issued(), repainting(self.wafer) * done.writes)
        if done.ring is not None:
            tasks = Cost(overhead=done.tasks * self.wafer.core.local_task_cycles.value)
            return self._local(i, tasks + ring_cost(self.wafer, done.ring, cost))
        if isinstance(i, isa.Widen):
            return self._widen(i, cost)
        if done.haul is None:
            return self._local(i, cost)
        span = self._move(i, done.haul, cost)
        if self.synchronous:
            self.free = self.end()
            self.at_roots.clear()
        return span

    def _move(self, i: isa.Instruction, haul: Haul, cost: Cost) -> Span:
        if isinstance(i, isa.Reduce):
            return self._reduce(i, haul, cost)
        if isinstance(i, isa.Multicast):
            return self._multicast(i, haul)
        return self._hand_over(i, haul)

    # Readiness

    def issued(self) -> Moment:
        """When all cores, roots too, are done with the local instructions before."""
        return latest([self.free, *self.at_roots.values()]) if self.at_roots else self.free

    def _after(self, moment: Moment, cost: Cost, i: isa.Instruction) -> Moment:
        return Moment(moment.cycles + cost.cycles, moment, cost, i.node, type(i).__name__)

    def _there(self, extent: Extent) -> Moment:
        """When all elements of an extent are there."""
        found = BEGUN
        for held, moment in self.ready.get(extent.value, ()):
            if moment.cycles > found.cycles and held.meets(extent):
                found = moment
        return found

    def _read(self, name: str, tree: int | None = None, which: int = 0) -> Moment:
        """When a core may read a value: the root of a slice its share, others the whole."""
        stored, part = self.shares.stored(name).name, self.shares.roots(name)
        if part is None:
            return self._there(self.shares.extent(name))
        slices = self.sliced.get(stored, {})
        if part.tree == tree and which in slices:
            return slices[which]
        return latest([BEGUN, *slices.values()])

    def _vacant(self, i: isa.Instruction) -> Moment:
        """When no mover reads any more what an instruction overwrites."""
        begun = self.free.cycles  # nobody waits for what ends before
        self.sources = [(sent, end) for sent, end in self.sources if end.cycles > begun]
        if not self.sources:
            return BEGUN
        written = [self.shares.stored(name) for name in writes(i)]
        return latest([BEGUN, *(end for sent, end in self.sources if any(self._meet(sent, to) for to in written))])

    def _meet(self, a: Value, b: Value) -> bool:
        """Whether two values share memory of a core, as far as they have addresses."""
        if a.name == b.name:
            return True
        if min(a.address, b.address) < 0 or not {a.kind, b.kind} <= _MOVING:
            return False
        sizes = [self.shares.size(v.name) * self.shares.step.size * BITS[v.dtype] / 8 for v in (a, b)]
        return a.address < b.address + sizes[1] and b.address < a.address + sizes[0]

    def _sends(self, name: str, until: Moment) -> None:
        self.sources.append((self.shares.stored(name), until))

    def _write(self, extent: Extent, moment: Moment) -> None:
        kept = [
            (held, when)
            for held, when in self.ready.get(extent.value, ())
            if not (extent.start <= held.start and held.stop <= extent.stop)
        ]
        kept.append((extent, moment))
        self.ready[extent.value] = kept

    # Local instructions

    def _local(self, i: isa.Instruction, cost: Cost) -> Span:
        written = writes(i)
        for name in written:
            part = self.shares.roots(name)
            if part is not None:  # it makes what roots hold
                return self._at_roots(i, cost, part.tree)
        start = latest([self.issued(), self._vacant(i), *[self._read(name) for name in reads(i)]])
        self.free = end = self._after(start, cost, i)
        self.at_roots.clear()
        for name in written:
            self._write(self.shares.extent(name), end)
        return Span(i, start.cycles, end.cycles)

    def _at_roots(self, i: isa.Instruction, cost: Cost, tree: int) -> Span:
        """Each root as soon as it has its share; roots are cores of their own."""
        starts, ends, vacant, read = [], {}, self._vacant(i), reads(i)
        for which in range(self.shares.trees[tree].slices):
            operands = [self._read(name, tree, which) for name in read]
            start = latest([self._root_issued(tree, which), vacant, *operands])
            ends[which] = self.at_roots[tree, which] = self._after(start, cost, i)
            starts.append(start.cycles)
        for name in writes(i):
            self.sliced[self.shares.stored(name).name] = ends
        return Span(i, min(starts), max(end.cycles for end in ends.values()))

    def _root_issued(self, tree: int, which: int) -> Moment:
        """When the root of a slice is done with what came before; it may be a root of other trees too."""
        return latest(
            [self.free, *(moment for key, moment in self.at_roots.items() if key[0] != tree or key[1] == which)]
        )

    def _widen(self, i: isa.Widen, cost: Cost) -> Span:
        """Each core as soon as it is done with what came before, roots too; movers that are under way come first."""
        start = latest([self.free, self._vacant(i)])
        self.at_roots = {key: self._beside(latest([at, start]), cost, i) for key, at in self.at_roots.items()}
        self.free = self._beside(start, cost, i)
        end = self.issued()
        self._write(self.shares.extent(i.result), end)
        return Span(i, start.cycles, end.cycles)

    def _beside(self, start: Moment, cost: Cost, i: isa.Widen) -> Moment:
        """When a core is done that begins so: later by all that movers take of its datapath that end after that."""
        passing = (taken for until, taken in self.passing if until.cycles > start.cycles)
        return self._after(start, sum(passing, cost), i)

    def _under_way(self, until: Moment, pieces: tuple[int, ...]) -> None:
        """A mover takes an operation of every core for each piece, and a cycle for each wavelet in and out."""
        core, link = self.wafer.core, self.wafer.link
        setups = Cost(overhead=len(pieces) * core.straight_setup_cycles.value)
        self.passing.append((until, setups + Cost(collective=2.0 * sum(lines.wavelets(link, size) for size in pieces))))

    def _rebind(self, i: isa.Rebind, cost: Cost) -> Span:
        """Once the queue's last wavelet has left; both tasks take the datapath."""
        return self._taking(i, latest([self.issued(), self.queues.vacated(i.queue)]), cost)

    def _taking(self, i: isa.Instruction, start: Moment, cost: Cost) -> Span:
        """What every core does from `start` on."""
        self.free = end = self._after(start, cost, i)
        self.at_roots.clear()
        return Span(i, start.cycles, end.cycles)

    # Movers

    def _claim(self, start: Moment, *routes: Route) -> Moment:
        return latest([start, *(self.taken[route] for route in routes if route in self.taken)])

    def _around(self, line: isa.Line) -> Cost:
        """What defects add to the hops of a line."""
        return Cost(hops=self.longer.get((line.axis, line.span), 0.0))

    def _farthest(self, axis: Axis) -> float:
        """What defects add to any line along an axis, at most."""
        return max((cycles for (along, _), cycles in self.longer.items() if along is axis), default=0.0)

    def _converted(self, i: isa.Instruction, name: str, cost: Cost) -> Moment:
        """When all cores have a value in the wire's type: conversions take their datapath."""
        if not cost.cycles:
            return self.issued()
        self.free = self._after(latest([self.issued(), self._read(name)]), cost, i)
        self.at_roots.clear()
        return self.free

    def _reduce(self, i: isa.Reduce, haul: Haul, cost: Cost) -> Span:
        """Each slice once its terms are there and every core is done with the one before."""
        core, link, part = self.wafer.core, self.wafer.link, self.shares.roots(i.result)
        assert haul.tree is not None and part is not None
        tree, links = ("tree", part.tree), ("links", i.line.axis)
        count = lines.wavelets(link, haul.pieces[0])
        joining = Cost(overhead=haul.merging * core.scalar_step_cycles.value) + local_cost(core, Work(haul.joining))
        first = latest([self._converted(i, i.a, cost), self._vacant(i), self.queues.admitted(i)])
        start = self._claim(self._after(first, lines.entry(link), i), tree, links)
        ends: dict[int, Moment] = {}
        for which in range(len(haul.pieces)):
            begin = start = latest([start, self._terms(i, which, len(haul.pieces))])
            cost = lines.slice_cost(link, haul.tree, which, count, joining) + self._around(i.line)
            ends[which] = self._after(begin, cost, i)
            self.taken[tree] = self._after(begin, lines.engaged(link, haul.tree, count, joining), i)
            start = self.taken[links] = self._after(begin, lines.payload(link, count) + joining, i)
        self.sliced[self.shares.stored(i.result).name] = ends
        self._passing(start)
        last = latest(ends.values())
        self._sends(i.a, last)
        self._under_way(last, haul.pieces)
        self.queues.occupy(i, last, last)
        return Span(i, first.cycles, last.cycles)

    def _passing(self, until: Moment) -> None:
        """A chunk's payload takes every core's datapath while it passes: to be added to, or to be put into memory."""
        if self.shares.step.tokens > 1:
            self.free = latest([self.free, until])

    def _terms(self, i: isa.Reduce, which: int, slices: int) -> Moment:
        """When a slice's terms are there, riders included."""
        extent, part = self.shares.extent(i.a), self.shares.roots(i.result)
        assert part is not None
        if part.whole or slices == 1 or self.shares.roots(i.a):
            return self._read(i.a)
        share = self.shares.size(i.result) - part.riders
        body = extent.stop - part.riders
        start = min(extent.start + which * share, body)
        own = Extent(extent.value, start, min(start + share, body))
        riders = Extent(extent.value, body, extent.stop)
        return latest([self._there(own), *([self._there(riders)] if part.riders else [])])

    def _multicast(self, i: isa.Multicast, haul: Haul) -> Span:
        """One sender after the other, each as soon as it has its piece and the path."""
        link, part, line = self.wafer.link, self.shares.roots(i.a), haul.line
        assert line is not None
        target, color = self.shares.extent(i.result), ("color", line)
        places = haul.senders or (0,)
        path: Moment | None = self.taken.get(color)
        started: list[Moment] = []
        at, vacant = target.start, latest([self._vacant(i), self.queues.admitted(i)])
        for which, (place, size) in enumerate(zip(places, haul.pieces, strict=True)):
            start, count = latest([self._sender_ready(i, part, which), vacant]), lines.wavelets(link, size)
            started.append(start)
            sent = self._after(start, lines.dispatch(link), i)
            if path is not None:
                hops = abs(place - places[which - 1]) if which else 0
                sent = latest([sent, self._after(path, lines.turn(link, hops, count, first=which == 1), i)])
            path = self._after(sent, lines.payload(link, count), i)
            far, near = sorted((place, line.span - 1 - place), reverse=True)
            there = self._after(path, lines.arrival(link, far) + self._around(line), i)
            if i.apart:
                path = self._after(path, lines.again(link, count), i)
                there = latest([there, self._after(path, lines.arrival(link, near) + self._around(line), i)])
            there = latest([there, self._after(path, lines.copied(link, count), i)])
            stop = target.stop if which == len(places) - 1 else min(at + self.shares.size(i.a), target.stop)
            at = target.start if part is None else at  # each token's owner sends all of the value
            self._write(Extent(target.value, at, stop), there)
            at = stop
        assert path is not None
        self.taken[color] = path
        self._passing(path)
        self._sends(i.a, path)
        self._under_way(there, haul.pieces)
        self.queues.occupy(i, path, there)
        return Span(i, min(moment.cycles for moment in started), there.cycles)

    def _sender_ready(self, i: isa.Multicast, part: Roots | None, which: int) -> Moment:
        """When a sender has its piece and has come so far in its stream."""
        if part is None:
            return latest([self.issued(), self._read(i.a)])
        return latest([self._root_issued(part.tree, which), self._read(i.a, part.tree, which)])

    def _hand_over(self, i: isa.Instruction, haul: Haul) -> Span:
        """From region to region, and from wafer to wafer."""
        link, system = self.wafer.link, self.wafer.system
        start = latest([self.issued(), self.queues.admitted(i), *(self._read(name) for name in reads(i))])
        seconds = haul.host_bytes / system.host_to_device_bytes_per_s.value
        if haul.off_wafer_bytes:
            seconds += system.wafer_to_wafer_s.value + haul.off_wafer_bytes / system.io_bytes_per_s.value
        io = Cost(io=seconds * self.clock_hz)
        wire = lines.payload(link, lines.wavelets(link, haul.pieces[0])) + lines.arrival(link, haul.hops)
        wire += Cost(hops=sum(self._farthest(axis) for axis in Axis))
        there = self._after(start, io + lines.dispatch(link) + wire, i)
        self.gone.append(there)
        self.queues.occupy(i, there, there)
        for name in writes(i):
            self._write(self.shares.extent(name), there)
        return Span(i, start.cycles, there.cycles)
