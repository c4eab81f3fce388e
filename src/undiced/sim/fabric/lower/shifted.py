"""Lowers products by tiles that pass around rings of neighbors two places apart, and chains that join what rows make.

Knows a square region and the order of its rings. Each step a core sends its tiles on by microthreads and takes the next
ones into other memory, while it multiplies those that it has. Rings and chains have colors of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product as every

from undiced.core.errors import UnsupportedError
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
from undiced.sim.fabric.lower.timed import timed
from undiced.sim.fabric.lower.walk import Axis as Loop
from undiced.sim.fabric.microops import Bind, Fork, In, Memory, MicroOp, Out, Vector, Wait
from undiced.sim.fabric.program import Paint, Section
from undiced.sim.fabric.roles import Role
from undiced.sim.fabric.routes import Port, Switch, Way

_PORTS = {Axis.COLUMNS: (Port.WEST, Port.EAST), Axis.ROWS: (Port.NORTH, Port.SOUTH)}  # to lower and to higher places
Shift = isa.ShiftProduct | isa.ShiftScores


@dataclass(frozen=True, slots=True)
class Rings:
    """The lines of one axis as rings that pass tiles one way: to the one before (`step` -1) or to the next.

    Attributes:
        colors: by place, on which a core sends.
    """

    axis: Axis
    step: int
    order: tuple[int, ...]
    colors: tuple[int, ...]

    def goal(self, place: int) -> int:
        """To whom a core sends."""
        return self.order[(self.order.index(place) + self.step) % len(self.order)]

    def source(self, place: int) -> int:
        """Who sends to a core."""
        return self.order[(self.order.index(place) - self.step) % len(self.order)]

    def way(self, place: int) -> tuple[int, int]:
        """The colors on which a core sends, and hears."""
        return self.colors[place], self.colors[self.source(place)]


def coloring(order: tuple[int, ...], step: int) -> tuple[int, ...]:
    """As few colors as no router has two uses of one: for its own, for what it hears and for what passes it."""
    side = len(order)
    goals = {place: order[(n + step) % side] for n, place in enumerate(order)}
    at: dict[int, list[int]] = {}
    for place, goal in goals.items():
        for router in range(min(place, goal), max(place, goal) + 1):
            at.setdefault(router, []).append(place)
    apart = {place: {o for users in at.values() if place in users for o in users} - {place} for place in goals}
    most = 3
    while True:
        made, choice = dict[int, int](), [0] * side
        place = 0
        while 0 <= place < side:
            free = [c for c in range(choice[place], most) if all(made.get(o) != c for o in apart[place])]
            if free:
                made[place], choice[place] = free[0], free[0] + 1
                place += 1
                if place < side:
                    choice[place] = 0
            else:
                made.pop(place, None)
                place -= 1
                if place >= 0:
                    made.pop(place, None)
        if place == side:
            return tuple(made[n] for n in range(side))
        most += 1


@dataclass(frozen=True, slots=True)
class Ways:
    """All rings of a region, and the first of the four colors of chains along rows."""

    rings: dict[tuple[Axis, int], Rings]
    chain: tuple[int, ...]


def ways(frame: Frame) -> Ways:
    """With the colors that no mover has.

    Raises:
        UnsupportedError: too few are left.
    """
    used = {route.color + n for route in frame.channels.routes.values() for n in range(route.colors)}
    left = iter(color for color in range(fabric(frame.wafer).colors) if color not in used)
    order, rings = ring(frame.region.rows), dict[tuple[Axis, int], Rings]()
    try:
        for axis, step in every(Axis, (-1, 1)):
            found = coloring(order, step)
            taken = [next(left) for _ in range(max(found) + 1)]
            rings[axis, step] = Rings(axis, step, order, tuple(taken[color] for color in found))
        return Ways(rings, tuple(next(left) for _ in range(4)))
    except RuntimeError as error:
        raise UnsupportedError(
            "Too few colors are left for rings.", remedy="Use a program with fewer trees."
        ) from error


def ring_paints(frame: Frame) -> Iterator[Paint]:
    """Of all rings and chains."""
    found = ways(frame)
    for rings in found.rings.values():
        lower, higher = _PORTS[rings.axis]
        painted: dict[tuple[int, Switch], list[int]] = {}
        for place, color in enumerate(rings.colors):
            goal = rings.goal(place)
            ahead, behind = (higher, lower) if goal > place else (lower, higher)
            painted.setdefault((color, _switch(Port.CORE, ahead)), []).append(place)
            for between in range(min(place, goal) + 1, max(place, goal)):
                painted.setdefault((color, _switch(behind, ahead)), []).append(between)
            painted.setdefault((color, _switch(behind, Port.CORE)), []).append(goal)
        for (color, switch), places in painted.items():
            yield Paint(_line(frame, rings.axis, places), color, switch)
    side = frame.region.columns
    for number, color in enumerate(found.chain):
        up, parity = number < 2, number % 2
        ahead, behind = (Port.EAST, Port.WEST) if up else (Port.WEST, Port.EAST)
        senders = [c for c in range(side) if c % 2 == parity and (c < side - 1 if up else c > 0)]
        yield Paint(_line(frame, Axis.COLUMNS, senders), color, _switch(Port.CORE, ahead))
        heard = [c + (1 if up else -1) for c in senders]
        yield Paint(_line(frame, Axis.COLUMNS, heard), color, _switch(behind, Port.CORE))


def _switch(source: Port, target: Port) -> Switch:
    return Switch((Way((source,), (target,)),))


def _line(frame: Frame, axis: Axis, places: list[int]) -> Role:
    return frame.role(places) if axis is Axis.ROWS else frame.role(None, places)


@dataclass(slots=True)
class Tiles:
    """One operand that passes: where its tile lies, and the other memory that it passes to."""

    name: str
    homes: tuple[int, int]
    count: int
    dtype: DType
    threads: tuple[int, int]

    def pass_(self, rings: Rings, place: int, now: int, frame: Frame) -> tuple[MicroOp, ...]:
        """Sends the tile in memory `now`, and takes the next one into the other."""
        core, (mine, heard) = frame.wafer.core, rings.way(place)
        wait, setup = per_wavelet(core, "move", self.dtype, self.dtype), core.vector_setup_cycles.value
        held, other = (Memory(self.homes[n], (1,), self.dtype) for n in (now, 1 - now))
        out, into = self.threads
        binds = (Bind(out, mine, rebinding(frame.wafer).cycles),) if fabric(frame.wafer).binds else ()
        sent = Vector("move", Out(out, mine, self.dtype), held, extents=(self.count,), setup=setup, per_wavelet=wait)
        taken = Vector("move", other, In(into, heard, self.dtype), extents=(self.count,), setup=setup, per_wavelet=wait)
        return Fork(out, (*binds, sent)), Fork(into, (taken,))


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
        known = fabric(frame.wafer)

        scratch = frame.scratch()  # all that passes has come before the product ends

        def tiles(name: str, number: int) -> Tiles:
            size, dtype = frame.shares.size(name), frame.value(name).dtype
            homes = frame.address(name), scratch.take(size * size_of(dtype))
            return Tiles(name, homes, size, dtype, (known.outputs[number], known.inputs[-1 - number]))

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
            rings = self.ways.rings[axis, -1 if turns > 0 else 1]
            scripts = ((place, self._aligned(tiles, rings, place, abs(turns))) for place in range(self.side))
            for script, places in alike(scripts):
                if script:
                    role = self.frame.role([line], places) if axis is Axis.COLUMNS else self.frame.role(places, [line])
                    blocks.append((role, script))
        return Section(f"aligning {tiles.name} of {self.i.node}", tuple(blocks))

    def _aligned(self, tiles: Tiles, rings: Rings, place: int, count: int) -> tuple[MicroOp, ...]:
        out = list[MicroOp]()
        for step in range(count):
            out += tiles.pass_(rings, place, step % 2, self.frame)
            out.append(Wait(tiles.threads, self.tasks(ALIGN_TASKS)))
        return tuple(out)

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
    rows = list(alike((r, (s.begun(r, not i.aligned), s.ways.rings[Axis.ROWS, -1].way(r))) for r in range(s.side)))
    columns = list(alike((c, (s.begun(c, made), s.ways.rings[Axis.COLUMNS, -1].way(c))) for c in range(s.side)))
    blocks = []
    for ((x, _), down), ((a, _), across) in every(rows, columns):
        blocks.append((frame.role(down, across), _product(s, x, a, down[0], across[0])))
    sections.append(Section(f"shiftproduct of {i.node}", tuple(blocks)))
    return Lowered(tuple(section for section in sections if section.blocks))


def _product(s: Shifting, x: int, a: int, row: int, column: int) -> tuple[MicroOp, ...]:
    frame, i = s.frame, s.i
    core, (cleared, added) = frame.wafer.core, work(i, frame.shares).vectors
    to = Operand(frame.address(i.result), frame.value(i.result).dtype, frame.strides(i.result))
    out = list[MicroOp]()
    for step in range(s.side):
        if s.side > 1:
            out += s.x.pass_(s.ways.rings[Axis.COLUMNS, -1], column, x, frame)
            out += s.a.pass_(s.ways.rings[Axis.ROWS, -1], row, a, frame)
        first = s.factors(s.x.homes[x], s.a.homes[a], to).summed(True)
        clear = len(first) - len(s.factors(s.x.homes[x], s.a.homes[a], to).summed(False))
        out += timed(core, cleared, first[:clear]) if step == 0 else []
        out += timed(core, s.counted(added), first[clear:])
        if s.side > 1:
            out.append(Wait((*s.x.threads, *s.a.threads), s.tasks(PRODUCT_TASKS)))
            x, a = 1 - x, 1 - a
    return (*out, *s.back(s.x, x), *s.back(s.a, a))


def shift_scores(i: isa.ShiftScores, frame: Frame) -> Lowered:
    """A step multiplies, and joins what each row makes at the core whose share it is."""
    s, order = Shifting.of(i, frame), ring(frame.region.rows)
    size = frame.shares.size(i.result)
    terms = s.scratch.take(size * size_of(frame.value(i.result).dtype))
    sections = list[Section]()
    for step in range(s.side):
        blocks = []
        for row in range(s.side):
            root = order[(order.index(row) + step) % s.side]
            for script, places in alike((c, _joined(s, row, c, root, step, terms)) for c in range(s.side)):
                blocks.append((frame.role([row], places), script))
        sections.append(Section(f"shiftscores of {i.node}", tuple(blocks)))
    return Lowered(tuple(sections))


def _joined(s: Shifting, row: int, column: int, root: int, step: int, terms: int) -> tuple[MicroOp, ...]:
    frame, i, now = s.frame, s.i, step % 2
    core, (cleared, added, *_) = frame.wafer.core, work(i, frame.shares).vectors
    dtype, count = frame.value(i.result).dtype, frame.shares.size(i.result)
    to = Operand(terms, dtype, frame.strides(i.result))
    ops = s.factors(s.x.homes[0], s.a.homes[now], to).summed(True)
    clear = len(ops) - len(s.factors(s.x.homes[0], s.a.homes[now], to).summed(False))
    out: list[MicroOp] = list(s.a.pass_(s.ways.rings[Axis.ROWS, -1], row, now, frame)) if s.side > 1 else []
    out += timed(core, cleared, ops[:clear])
    out += timed(core, s.counted(added), ops[clear:])
    wait, setup = per_wavelet(core, "add", dtype, dtype), core.vector_setup_cycles.value
    mine, result = Memory(terms, (1,), dtype), Memory(frame.address(i.result), (1,), dtype)
    queue, (lower, upper) = s.x.threads[0], (s.x.threads[1], fabric(frame.wafer).inputs[0])
    chain = s.ways.chain

    def add(target: Memory | Out, own: Memory, heard: In) -> Vector:
        return Vector("add", target, own, heard, extents=(count,), setup=setup, per_wavelet=wait, rounded=dtype)

    if column == root:
        held = mine
        if column > 0:
            out.append(add(result, held, In(lower, chain[(column - 1) % 2], dtype)))
            held = result
        if column < s.side - 1:
            out.append(add(result, held, In(upper, chain[2 + (column + 1) % 2], dtype)))
        if s.side == 1:
            out.append(Vector("move", result, mine, extents=(count,), setup=setup))
    else:
        up = column < root
        color = chain[column % 2 if up else 2 + column % 2]
        binds = (Bind(queue, color, rebinding(frame.wafer).cycles),) if fabric(frame.wafer).binds else ()
        first = column == (0 if up else s.side - 1)
        heard = In(lower if up else upper, chain[(column - 1) % 2 if up else 2 + (column + 1) % 2], dtype)
        sent = Out(queue, color, dtype)
        out += binds
        out.append(
            Vector("move", sent, mine, extents=(count,), setup=setup, per_wavelet=wait)
            if first
            else add(sent, mine, heard)
        )
    if s.side > 1:
        out.append(Wait(s.a.threads, s.tasks(SCORE_TASKS)))
    if step == s.side - 1:
        out += s.back(s.a, 1 - now) if s.side > 1 else ()
    return tuple(out)
