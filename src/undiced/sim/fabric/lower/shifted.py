"""Lowers products by tiles that pass around rings of neighbors two places apart, and chains that join what rows make.

Knows a square region and the order of its rings. Each step a core sends its tiles on by microthreads and takes the next
ones into other memory, while it multiplies those that it has. Rings and chains have colors of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product as every

from msgspec.structs import replace

from undiced.machine.fabric import fabric, rebinding
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.shifts import ALIGN_TASKS, PRODUCT_TASKS, SCORE_TASKS, ring
from undiced.program.wafer.value import DType, Kind
from undiced.program.wafer.work import Vectors
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower.frame import Frame, Scratch, size_of
from undiced.sim.fabric.lower.lines import alike
from undiced.sim.fabric.lower.local_products import Factors, Operand
from undiced.sim.fabric.lower.lowered import Lowered
from undiced.sim.fabric.lower.payload import moving, per_wavelet
from undiced.sim.fabric.lower.rings import Ways, queues, ways
from undiced.sim.fabric.lower.timed import timed
from undiced.sim.fabric.lower.walk import Axis as Loop
from undiced.sim.fabric.microops import Bind, Fork, In, Memory, MicroOp, Out, Vector, Wait
from undiced.sim.fabric.program import Section
from undiced.sim.fabric.roles import Role

Shift = isa.ShiftProduct | isa.ShiftScores


@dataclass(slots=True)
class Tiles:
    """One operand that passes: where its tile lies, and the other memory that it passes to.

    Attributes:
        known: what passing it takes, by the colors on which it goes and comes and by the memory that it is in. Places
            are many, and these few.
    """

    name: str
    homes: tuple[int, int]
    count: int
    dtype: DType
    threads: tuple[int, int]
    known: dict[tuple[tuple[int, int], int], tuple[MicroOp, ...]] = field(default_factory=dict)

    def pass_(self, way: tuple[int, int], now: int, frame: Frame) -> tuple[MicroOp, ...]:
        """Sends the tile in memory `now`, and takes the next one into the other; `way` as of `Rings`."""
        key = way, now
        if key not in self.known:
            self.known[key] = self._passing(way, now, frame)
        return self.known[key]

    def _passing(self, way: tuple[int, int], now: int, frame: Frame) -> tuple[MicroOp, ...]:
        core, (mine, heard) = frame.wafer.core, way
        wait, setup = per_wavelet(core, "move", self.dtype, self.dtype), core.vector_setup_cycles.value
        held, other = (Memory(self.homes[n], (1,), self.dtype) for n in (now, 1 - now))
        out, into = self.threads
        sent = Vector("move", Out(out, mine, self.dtype), held, extents=(self.count,), setup=setup, per_wavelet=wait)
        taken = Vector("move", other, In(into, heard, self.dtype), extents=(self.count,), setup=setup, per_wavelet=wait)
        return Fork(out, (sent,)), Fork(into, (taken,))

    def bound(self, way: tuple[int, int], frame: Frame) -> tuple[MicroOp, ...]:
        """Where an output queue serves one color: it is given that on which tiles go."""
        return _bound(self.threads[0], way[0], frame)


def _bound(queue: int, color: int, frame: Frame) -> tuple[MicroOp, ...]:
    return (Bind(queue, color, rebinding(frame.wafer).cycles),) if fabric(frame.wafer).binds else ()


@dataclass(slots=True)
class Shifting:
    """One product on one region."""

    i: Shift
    frame: Frame
    ways: Ways
    x: Tiles
    a: Tiles
    scratch: Scratch

    @classmethod
    def of(cls, i: Shift, frame: Frame) -> Shifting:
        outputs, inputs = queues(frame), fabric(frame.wafer).inputs
        scratch = frame.scratch()  # all that passes has come before the product ends

        def tiles(name: str, number: int) -> Tiles:
            size, dtype = frame.shares.size(name), frame.value(name).dtype
            homes = frame.address(name), scratch.take(size * size_of(dtype))
            return Tiles(name, homes, size, dtype, (outputs[number], inputs[-1 - number]))

        return cls(i, frame, ways(frame), tiles(i.x, 0), tiles(i.a, 1), scratch)

    @property
    def side(self) -> int:
        """Cores of a side."""
        return self.frame.region.rows

    @property
    def order(self) -> tuple[int, ...]:
        """Places of a ring."""
        return ring(self.side)

    def turns(self, place: int) -> int:
        """How far the tiles of the line at a place are shifted first; below 0: the other way."""
        number = self.order.index(place)
        return number if number <= self.side - number else number - self.side

    def tasks(self, count: int) -> float:
        """Cycles of tasks that end a step."""
        return count * self.frame.wafer.core.local_task_cycles.value

    def align(self, tiles: Tiles, axis: Axis) -> Section:
        """Each line shifts its tiles by its own place in the ring of the other axis."""
        blocks = list[tuple[Role, tuple[MicroOp, ...]]]()
        for line in range(self.side):
            turns = self.turns(line)
            if not turns:
                continue
            rings = self.ways.rings[axis, -1 if turns > 0 else 1]
            for way, places in alike((place, rings.way(place)) for place in range(self.side)):
                role = self.frame.role([line], places) if axis is Axis.COLUMNS else self.frame.role(places, [line])
                blocks.append((role, self._aligned(tiles, way, abs(turns))))
        return Section(f"aligning {tiles.name} of {self.i.node}", tuple(blocks))

    def _aligned(self, tiles: Tiles, way: tuple[int, int], count: int) -> tuple[MicroOp, ...]:
        ended = Wait(tiles.threads, self.tasks(ALIGN_TASKS))
        steps = (op for step in range(count) for op in (*tiles.pass_(way, step % 2, self.frame), ended))
        return (*tiles.bound(way, self.frame), *steps)

    def begun(self, line: int, aligned: bool) -> int:
        """In which memory the tiles of a line are when products begin."""
        return abs(self.turns(line)) % 2 if aligned else 0

    def back(self, tiles: Tiles, now: int) -> tuple[MicroOp, ...]:
        """A tile that ends in the other memory goes home."""
        if now == 0:
            return ()
        core = self.frame.wafer.core
        home, other = (Memory(at, (1,), tiles.dtype) for at in tiles.homes)
        cycles = moving(core, tiles.dtype, tiles.dtype, tiles.count)
        return (
            Vector("move", home, other, extents=(tiles.count,), setup=core.vector_setup_cycles.value, cycles=cycles),
        )

    def factors(self, x: int, a: int, to: Operand) -> Factors:
        """The product of the tiles at these addresses."""
        frame, i = self.frame, self.i
        both = [Operand(at, frame.value(name).dtype, frame.strides(name)) for at, name in ((x, i.x), (a, i.a))]
        sizes = dict[str, int]()
        for name in (i.x, i.a):
            sizes |= dict(zip(frame.shares.names(name), frame.shares.shape(name), strict=True))
        kept = tuple(Loop(dim, sizes[dim], 1) for dim in frame.shares.names(i.result))
        sums = tuple(
            Loop(dim, sizes[dim], 1) for dim in frame.shares.names(i.x) if dim not in frame.shares.names(i.result)
        )
        return Factors(to, both[0], both[1], kept, sums)

    def multiplied(self, now: tuple[int, int], to: Operand) -> tuple[list[MicroOp], list[MicroOp]]:
        """A step's product of tiles in these memories: what begins its sums, and what adds to them."""
        core, (cleared, added, *_) = self.frame.wafer.core, work(self.i, self.frame.shares).vectors
        factors = self.factors(self.x.homes[now[0]], self.a.homes[now[1]], to)
        ops, onto = factors.summed(True), factors.summed(False)
        begun = len(ops) - len(onto)
        return timed(core, cleared, ops[:begun]), timed(core, self.counted(added), onto)

    def counted(self, vectors: Vectors) -> Vectors:
        """A step's part."""
        share = self.side
        return replace(vectors, count=vectors.count // share, loops=vectors.loops // share, sums=vectors.sums // share)


def shift_product(i: isa.ShiftProduct, frame: Frame) -> Lowered:
    """All steps, and after the last one all tiles are where the first one had them."""
    s = Shifting.of(i, frame)
    made = frame.shares.stored(i.a).kind is not Kind.WEIGHT  # of the prompt: it lies as it was made
    sections = list[Section]()
    if not i.aligned:
        sections.append(s.align(s.x, Axis.COLUMNS))
    if made:
        sections.append(s.align(s.a, Axis.ROWS))
    down, across = (s.ways.rings[axis, -1] for axis in (Axis.ROWS, Axis.COLUMNS))
    rows = list(alike((r, (s.begun(r, not i.aligned), down.way(r))) for r in range(s.side)))
    columns = list(alike((c, (s.begun(c, made), across.way(c))) for c in range(s.side)))
    products, blocks = _Products(s), list[tuple[Role, tuple[MicroOp, ...]]]()
    for ((x, own), here), ((a, other), there) in every(rows, columns):
        blocks.append((frame.role(here, there), products.steps((x, a), across=other, down=own)))
    sections.append(Section(f"shiftproduct of {i.node}", tuple(blocks)))
    return Lowered(tuple(section for section in sections if section.blocks))


@dataclass(slots=True)
class _Products:
    """The steps of a product. There are four that differ, by the memory that both tiles are in."""

    s: Shifting
    known: dict[tuple[int, int], tuple[list[MicroOp], list[MicroOp]]] = field(default_factory=dict)

    def steps(self, begun: tuple[int, int], *, across: tuple[int, int], down: tuple[int, int]) -> tuple[MicroOp, ...]:
        """Of a core on whose way x passes `across` and `a` passes `down`; `begun`: the memory that tiles start in."""
        s, (x, a), out = self.s, begun, list[MicroOp]()
        ended = Wait((*s.x.threads, *s.a.threads), s.tasks(PRODUCT_TASKS))
        if s.side > 1:
            out += [*s.x.bound(across, s.frame), *s.a.bound(down, s.frame)]
        for step in range(s.side):
            if s.side > 1:
                out += s.x.pass_(across, x, s.frame)
                out += s.a.pass_(down, a, s.frame)
            cleared, added = self._step(x, a)
            out += [*(cleared if step == 0 else ()), *added]
            if s.side > 1:
                out.append(ended)
                x, a = 1 - x, 1 - a
        return (*out, *s.back(s.x, x), *s.back(s.a, a))

    def _step(self, x: int, a: int) -> tuple[list[MicroOp], list[MicroOp]]:
        """What begins the sums, and what adds to them."""
        if (x, a) not in self.known:
            s, frame, result = self.s, self.s.frame, self.s.i.result
            to = Operand(frame.address(result), frame.value(result).dtype, frame.strides(result))
            self.known[x, a] = s.multiplied((x, a), to)
        return self.known[x, a]


def shift_scores(i: isa.ShiftScores, frame: Frame) -> Lowered:
    """A step multiplies, and joins what each row makes at the core whose share it is."""
    s, order = Shifting.of(i, frame), ring(frame.region.rows)
    chains, down = _Chains.of(s), s.ways.rings[Axis.ROWS, -1]
    sections = list[Section]()
    for step in range(s.side):
        blocks = []
        for row in range(s.side):
            root = order[(order.index(row) + step) % s.side]
            for place, columns in alike((c, _place(c, root, s.side)) for c in range(s.side)):
                blocks.append((frame.role([row], columns), chains.script(down.way(row), place, step)))
        sections.append(Section(f"shiftscores of {i.node}", tuple(blocks)))
    return Lowered(tuple(sections))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where on its row's chains a core is: at the root (`up` is None), on the lower arm or on the upper one; whether it
    hears of others below and above; and whether its column is odd."""

    up: bool | None
    below: bool
    above: bool
    odd: int


def _place(column: int, root: int, side: int) -> _Place:
    below, above = column > 0, column < side - 1
    if column == root:
        return _Place(None, below, above, column % 2)
    return _Place(column < root, below and column < root, above and column > root, column % 2)


@dataclass(slots=True)
class _Chains:
    """What cores do in a step of scores: few kinds of them, at many places.

    Attributes:
        terms: the first byte of a core's own.
    """

    s: Shifting
    terms: int
    known: dict[tuple[tuple[int, int], _Place, int, bool], tuple[MicroOp, ...]] = field(default_factory=dict)
    products: dict[int, list[MicroOp]] = field(default_factory=dict)

    @classmethod
    def of(cls, s: Shifting) -> _Chains:
        """With memory for terms."""
        frame, result = s.frame, s.i.result
        return cls(s, s.scratch.take(frame.shares.size(result) * size_of(frame.value(result).dtype)))

    def script(self, way: tuple[int, int], place: _Place, step: int) -> tuple[MicroOp, ...]:
        """Of a core on whose way tiles pass."""
        key = way, place, step if step < 2 else step % 2 + 2, step == self.s.side - 1
        if key not in self.known:
            self.known[key] = tuple(self._script(way, place, step))
        return self.known[key]

    def _script(self, way: tuple[int, int], place: _Place, step: int) -> Iterator[MicroOp]:
        s, now = self.s, step % 2
        if s.side > 1:
            yield from s.a.bound(way, s.frame) if step == 0 else ()
            yield from s.a.pass_(way, now, s.frame)
        yield from self._product(now)
        yield from self._rooted(place) if place.up is None else self._sent(place, up=place.up)
        if s.side > 1:
            yield Wait(s.a.threads, s.tasks(SCORE_TASKS))
        if s.side > 1 and step == s.side - 1:
            yield from s.back(s.a, 1 - now)

    def _product(self, now: int) -> list[MicroOp]:
        if now not in self.products:
            result = self.s.i.result
            to = Operand(self.terms, self.s.frame.value(result).dtype, self.s.frame.strides(result))
            self.products[now] = [op for ops in self.s.multiplied((0, now), to) for op in ops]
        return self.products[now]

    # What a core adds and where: chains alternate between two colors an arm

    def _rooted(self, place: _Place) -> Iterator[MicroOp]:
        chain, odd = self.s.ways.chain, 1 - place.odd
        held, result = self._memory(self.terms), self._memory(self.s.frame.address(self.s.i.result))
        (lower, upper), dtype, count = self._queues, held.dtype, self._count
        if place.below:
            yield self._added(result, held, In(lower, chain[odd], dtype))
            held = result
        if place.above:
            yield self._added(result, held, In(upper, chain[2 + odd], dtype))
        if self.s.side == 1:
            setup = self.s.frame.wafer.core.vector_setup_cycles.value
            yield Vector("move", result, held, extents=(count,), setup=setup)

    def _sent(self, place: _Place, *, up: bool) -> Iterator[MicroOp]:
        frame, chain, mine = self.s.frame, self.s.ways.chain, self._memory(self.terms)
        core, queue, first = frame.wafer.core, self.s.x.threads[0], 0 if up else 2
        color, heard = chain[first + place.odd], chain[first + 1 - place.odd]
        yield from _bound(queue, color, frame)
        out = Out(queue, color, mine.dtype)
        if place.below or place.above:
            yield self._added(out, mine, In(self._queues[0 if up else 1], heard, mine.dtype))
        else:
            wait, setup = per_wavelet(core, "add", mine.dtype, mine.dtype), core.vector_setup_cycles.value
            yield Vector("move", out, mine, extents=(self._count,), setup=setup, per_wavelet=wait)

    def _added(self, target: Memory | Out, own: Memory, heard: In) -> Vector:
        core, dtype = self.s.frame.wafer.core, own.dtype
        wait, setup = per_wavelet(core, "add", dtype, dtype), core.vector_setup_cycles.value
        return Vector(
            "add", target, own, heard, extents=(self._count,), setup=setup, per_wavelet=wait, rounded=dtype
        )  # fmt: skip

    def _memory(self, address: int) -> Memory:
        return Memory(address, (1,), self.s.frame.value(self.s.i.result).dtype)

    @property
    def _count(self) -> int:
        return self.s.frame.shares.size(self.s.i.result)

    @property
    def _queues(self) -> tuple[int, int]:
        """Those that hear the lower arm, and the upper one."""
        return self.s.x.threads[1], fabric(self.s.frame.wafer).inputs[0]
