"""Reductions at level 2: what the core at each place of a line receives, adds and sends, slice by slice.

Knows courses and payloads. A slice is a microthread's script. A root adds what the arms of all its levels send, in one
operation, in the result's memory, to its own terms; what comes last it adds as it sends on, as a chain's members do.
Pairs and lists are joined in memory, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from undiced.machine.fabric import fabric
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Roots
from undiced.program.wafer.tree import Tree, roots
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES
from undiced.sim.fabric.lower.channels import route_of, sum_color
from undiced.sim.fabric.lower.courses import Course, Deed, Gather, Pass, sum_course
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.joins import AS_IT_COMES, Joining
from undiced.sim.fabric.lower.lines import Lines, alike
from undiced.sim.fabric.lower.lowered import Lowered, Running, Span
from undiced.sim.fabric.lower.payload import Piece, moving, per_wavelet, piece
from undiced.sim.fabric.microops import Fork, In, MicroOp, Out, Target, Vector
from undiced.sim.fabric.program import Section


def reduce(i: isa.Reduce, frame: Frame) -> Lowered:
    """Every core of the lines that sends or receives has a block that starts a microthread for each slice.

    Raises:
        UnsupportedError: a tree without routes.
    """
    sums = _Sums.of(i, frame)
    lines = Lines(frame, i.line)
    blocks = [
        (lines.role(places), script)
        for script, places in alike((place, sums.script(place)) for place in range(i.line.span))
        if script
    ]
    used = (Running(sums.thread(which), (frame.span(i.a),), sums.spans()) for which in range(sums.tree.slices))
    return Lowered((Section(f"reduce of {i.node}", tuple(blocks)),), tuple(used))


@dataclass(frozen=True, slots=True)
class _Sums:
    """One reduction on one region.

    Attributes:
        kept: the type of sums. own: the result's memory; more: other memory for cores that are roots of several slices.
        heard: of each slice where pairs and lists that come lie.
    """

    i: isa.Reduce
    frame: Frame
    route: isa.Route
    tree: Tree
    part: Roots
    kept: DType
    courses: tuple[Course, ...]
    own: int
    more: tuple[int, ...]
    joining: Joining
    heard: tuple[int, ...] = ()

    @classmethod
    def of(cls, i: isa.Reduce, frame: Frame) -> _Sums:
        part, kept = frame.shares.roots(i.result), frame.value(i.result).dtype
        assert part is not None
        tree, most = frame.shares.trees[part.tree], int(fabric(frame.wafer).positions)
        courses = tuple(sum_course(tree, which, most) for which in range(tree.slices))
        joining = Joining.of(i, frame.shares)
        made = cls(i, frame, route_of(i), tree, part, kept, courses, frame.address(i.result), (), joining)
        extra = max(len(made.adding(place)) for place in range(tree.span)) - 1
        size = size_of(kept) * frame.shares.size(i.result)
        heard = tuple(frame.keep(joining.bytes) for _ in range(tree.slices if joining.in_memory else 0))
        return replace(made, more=tuple(frame.keep(size) for _ in range(extra)), heard=heard)

    def thread(self, which: int) -> int:
        """The microthread of a slice."""
        return self.route.input_queue + which

    def spans(self) -> tuple[Span, ...]:
        """The memory that it writes."""
        size = size_of(self.kept) * self.frame.shares.size(self.i.result)
        return (self.frame.span(self.i.result), *(Span(at, at + size) for at in self.more))

    def adding(self, place: int) -> tuple[int, ...]:
        """Slices of which the core at a place needs memory to add in: first the one that ends there."""
        ends = roots(self.tree)
        found = [
            which
            for which, course in enumerate(self.courses)
            if ends[which] == place or any(self._adds(deed) for deed in course.deeds[place])
        ]
        return tuple(sorted(found, key=lambda which: ends[which] != place))

    def _adds(self, deed: Deed) -> bool:
        """Terms that are wider than sums are rounded before anything is added to them."""
        return isinstance(deed, Gather) or (self.settles and deed.heard is not None)

    @property
    def settles(self) -> bool:
        """Whether terms are taken to where they are added up before anything is."""
        return self.rounds or self.joining.in_memory

    @property
    def rounds(self) -> bool:
        """Whether terms are wider than sums."""
        return BYTES[self.kept] < BYTES[self.frame.value(self.i.a).dtype]

    def script(self, place: int) -> tuple[MicroOp, ...]:
        """What the main thread of the cores at a place does."""
        memory = dict(zip(self.adding(place), (self.own, *self.more), strict=False))
        forks = list[MicroOp]()
        for which, course in enumerate(self.courses):
            terms, ends = self._terms(which), roots(self.tree)[which] == place
            if terms and (ends or course.deeds[place]):
                script = _Slice(self, which, terms, memory.get(which)).script(course.deeds[place], ends)
                forks.append(Fork(self.thread(which), script))
        return tuple(forks)

    def _terms(self, which: int) -> tuple[_Part, ...]:
        """The elements of a slice, riders behind."""
        shares, riders = self.frame.shares, self.part.riders
        length = shares.size(self.i.a) - riders
        step = length if self.part.whole else shares.size(self.i.result) - riders
        start = 0 if self.part.whole else min(which * step, length)
        parts = ((start, min(step, length - start), 0), (length, riders, step))
        return tuple(
            _Part(piece(self.frame, self.i.a, first, count), size_of(self.kept) * at)
            for first, count, at in parts
            if count
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """Elements of a slice, and how many bytes behind the sums' first they are added up."""

    terms: Piece
    behind: int


@dataclass(slots=True)
class _Slice:
    """What one core does for one slice, as it comes about.

    Attributes:
        memory: where it adds, if it does. held: of each part what it has so far.
    """

    sums: _Sums
    which: int
    parts: tuple[_Part, ...]
    memory: int | None
    held: list[Piece] = field(default_factory=list)
    out: list[MicroOp] = field(default_factory=list)

    def script(self, deeds: tuple[Deed, ...], ends: bool) -> tuple[MicroOp, ...]:
        """All of it; `ends`: the core is the slice's last root, and has the sum even of one term."""
        self.held = [part.terms for part in self.parts]
        adds = any(isinstance(deed, Gather) or deed.heard is not None for deed in deeds)
        if (self.sums.settles and adds) or (ends and not deeds):
            self._settle()
        for deed in deeds:
            if isinstance(deed, Gather):
                self._gather(deed)
            else:
                self._pass(deed)
        return tuple(self.out)

    def _made(self, number: int) -> Piece:
        """Where a part is added up."""
        assert self.memory is not None
        part = self.parts[number]
        return part.terms.beside(self.memory + part.behind, self.sums.kept)

    def _settle(self) -> None:
        """Take the terms to where they are added up."""
        core = self.sums.frame.wafer.core
        for number, held in enumerate(self.held):
            made = self._made(number)
            cycles = moving(core, held.memory.dtype, made.memory.dtype, held.count)
            self._do(Vector("move", made.memory, held.memory, extents=held.extents, cycles=cycles))
            self.held[number] = made

    def _gather(self, deed: Gather) -> None:
        """Add what each member sends: in one operation, if it travels in one."""
        if self.sums.joining.in_memory:
            for _ in range(deed.members):
                self._join(deed.color)
            return
        if deed.members > 1 and self.held != [self._made(number) for number in range(len(self.parts))]:
            self._settle()
        together = deed.members if len(self.parts) == 1 else 1
        for _ in range(deed.members // together):
            for number, held in enumerate(self.held):
                made, own = self._made(number), held
                if together > 1:
                    made, own = made.again(together), held.again(together)
                self._do(self._joined(made.memory, own, deed.color, self.sums.kept))
                self.held[number] = self._made(number)

    def _pass(self, deed: Pass) -> None:
        """Send what it has, or what comes with it added."""
        sums = self.sums
        if deed.heard is not None and sums.joining.in_memory:
            self._join(deed.heard)
            deed = replace(deed, heard=None)
        queue, color = sums.route.output_queue + self.which, self._color(deed.departure.color)
        for number, held in enumerate(self.held):
            last = number == len(self.held) - 1
            control = deed.departure.control if last else None
            out = Out(queue, color, DType(sums.i.wire), deed.departure.advance and last, control)
            if deed.heard is None:
                cycles = per_wavelet(sums.frame.wafer.core, "move", out.dtype, held.memory.dtype)
                self._do(Vector("move", out, held.memory, extents=held.extents, per_wavelet=cycles, rounded=sums.kept))
            else:
                self._do(self._joined(out, held, deed.heard, sums.kept))

    def _join(self, color: int) -> None:
        """Hear what one member sends, then join it to what it has."""
        sums, core, (held,) = self.sums, self.sums.frame.wafer.core, self.held
        come, wire = held.beside(sums.heard[self.which], sums.kept), DType(sums.i.wire)
        heard, cycles = (
            In(sums.thread(self.which), self._color(color), wire),
            per_wavelet(core, "move", wire, sums.kept),
        )
        self._do(Vector("move", come.memory, heard, extents=held.extents, per_wavelet=cycles))
        self.out += sums.joining.ops(core, held.memory.address, come.memory.address)

    def _joined(self, target: Target, held: Piece, color: int, rounded: DType) -> Vector:
        sums = self.sums
        function, arithmetic = AS_IT_COMES[sums.i.operation]
        heard = In(sums.thread(self.which), self._color(color), DType(sums.i.wire))
        cycles = per_wavelet(sums.frame.wafer.core, arithmetic, heard.dtype, held.memory.dtype)
        return Vector(function, target, heard, held.memory, extents=held.extents, per_wavelet=cycles, rounded=rounded)

    def _color(self, color: int) -> int:
        return sum_color(self.sums.route, self.which, color)

    def _do(self, vector: Vector) -> None:
        self.out.append(replace(vector, setup=self.sums.frame.wafer.core.straight_setup_cycles.value))
