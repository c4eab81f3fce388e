"""Widens narrow weights ahead of their product, while cores wait for collectives: which rows, where, in what memory.

One buffer, as large as regions have room for, holds what is widened next. It is free from one product to the next, and
within that time cores wait for movers: what they take longer for is not placed there. The first product of a run is
widened at the end of the run before, where that is on the same cores. What has no place is widened in its product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil

from msgspec.structs import replace as with_fields

from undiced.compiler.wafer.addresses import shares_of
from undiced.compiler.wafer.blocks import contents, neighbors, taken
from undiced.compiler.wafer.draft import Draft, Neighbors
from undiced.compiler.wafer.timing import cycles_of
from undiced.machine.arithmetic import local_cost
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.ahead import Rows, rows_of_product
from undiced.program.wafer.instruction import MOVERS, Instruction
from undiced.program.wafer.layout import FLAT, Dim
from undiced.program.wafer.operands import reads, writes
from undiced.program.wafer.program import Stream
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import DType, Kind, Value, View
from undiced.program.wafer.workload import work

BUFFER = "ahead"  # the state that holds what is widened
_NEXT = "next: "  # how weights of the run that follows are called
_EXPOSED = 1.0  # cycles that a place may make a stream longer
_LEAST = 4  # rows of words that are worth an instruction
_WORD_BYTES = 2
Placed = tuple[tuple[int, int], ...]  # behind which instruction how many rows of words are widened


@dataclass(frozen=True, slots=True)
class Target:
    """A product of a stream whose rows can be widened ahead: the instruction of this number, and its rows."""

    index: int
    product: isa.Product
    rows: Rows

    @property
    def label(self) -> str:
        """What parts of the buffer are called after."""
        return f"{BUFFER}: {self.product.weights[0]}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stream is written again.

    Attributes:
        own: of each of its targets what is widened within the stream. before: rows of words of the first target that
            the run before has widened. following: the stream of the run behind, so many layers `later`, and where its
            first target is widened.
        credited: whether products read what is widened; else they are as they were, so that widening alone shows.
    """

    own: tuple[Placed, ...]
    before: int = 0
    following: Stream | None = None
    later: int = 0
    tail: Placed = ()
    credited: bool = True


def targets(stream: Stream) -> tuple[Target, ...]:
    """The products of a stream whose weights can be widened ahead, in order."""
    shares = shares_of(stream, ())
    found = []
    for index, i in enumerate(stream.instructions):
        if isinstance(i, isa.Product) and all(shares.values[name].dtype in FIELDS for name in i.weights):
            rows = rows_of_product(i, shares)
            found += [Target(index, i, rows)] if rows is not None else []
    return tuple(found)


@dataclass(slots=True)
class Placement:
    """Finds what is widened where in the streams of a draft, with a buffer of `size` 16-bit floats."""

    draft: Draft
    size: int

    @property
    def together(self) -> int:
        """Words that the store beside the datapath holds."""
        return max(1, int(self.draft.task.wafer.core.cache_bytes.value) // _WORD_BYTES)

    # Streams

    def written(self, stream: Stream, plan: Plan, name: str = "") -> Stream:
        """A stream as a plan says."""
        own, behind = targets(stream), dict[int, list[Instruction]]()
        values: dict[str, Value] = {value.name: value for value in stream.values}
        values[BUFFER] = Value(BUFFER, (Dim(FLAT, self.size),), DType.F16, kind=Kind.STATE, once=True)
        products: dict[int, Instruction] = {}
        for number, (target, placed) in enumerate(zip(own, plan.own, strict=True)):
            self._widened(target, placed, values, behind)
            rows = plan.before if number == 0 else sum(count for _, count in placed)
            if rows and plan.credited:
                read = f"{target.label} to {rows}"
                values[read] = _seen(read, 0, rows * target.rows.pitch)
                products[target.index] = with_fields(target.product, ahead=read)
        if plan.following is not None and plan.tail:
            self._following(plan, values, behind)
        instructions: list[Instruction] = []
        for index, i in enumerate(stream.instructions):
            instructions += [products.get(index, i), *behind.get(index, ())]
        return with_fields(
            stream, name=name or stream.name, values=tuple(values.values()), instructions=tuple(instructions)
        )

    def _following(self, plan: Plan, values: dict[str, Value], behind: dict[int, list[Instruction]]) -> None:
        """The first target of the run that follows, whose weights lie where that has them."""
        assert plan.following is not None
        first, known = targets(plan.following)[0], {value.name: value for value in plan.following.values}
        for name in first.product.weights:
            value = known[name]
            assert value.weights is not None
            held = with_fields(value.weights, later=plan.later)
            values[_NEXT + name] = with_fields(value, name=_NEXT + name, weights=held, again=True, address=-1)
        product = with_fields(first.product, weights=tuple(_NEXT + name for name in first.product.weights))
        self._widened(replace(first, product=product), plan.tail, values, behind)

    def _widened(
        self, target: Target, placed: Placed, values: dict[str, Value], behind: dict[int, list[Instruction]]
    ) -> None:
        start, rows, product = 0, target.rows, target.product
        for index, count in placed:
            name = f"{target.label} {start} to {start + count}"
            values[name] = _seen(name, start * rows.pitch, count * rows.pitch)
            made = isa.Widen(
                product.node, product.weights, name, product.inner, start, count, self.together, rows.interleaved
            )
            behind.setdefault(index, []).append(made)
            start += count

    # Places

    def within(self, stream: Stream, cycles: float) -> tuple[Placed, ...]:
        """Where the targets, but for the first, of a stream of so many cycles are widened: between the product before
        and their own."""
        own = targets(stream)
        found: list[Placed] = [()] * len(own)
        for number in range(1, len(own)):
            gaps = _gaps(stream, own[number - 1].index, own[number].index)

            def plan(placed: Placed, number: int = number) -> Plan:
                tried = (*found[:number], placed, *found[number + 1 :])
                return Plan(tried, credited=False)

            found[number], cycles = self._filled(stream, own[number].rows, gaps, plan, cycles)
        return tuple(found)

    def behind(self, stream: Stream, own: tuple[Placed, ...], following: Stream, later: int, cycles: float) -> Placed:
        """Where the first target of the run that follows is widened: behind movers from the last product on of a stream
        that takes so many cycles as it widens its own."""
        first = targets(following)[0]
        last = max((n for n, i in enumerate(stream.instructions) if isinstance(i, isa.Product)), default=0)
        gaps = _gaps(stream, last, len(stream.instructions))
        return self._filled(stream, first.rows, gaps, lambda tail: Plan(own, 0, following, later, tail), cycles)[0]

    def _filled(
        self, stream: Stream, rows: Rows, gaps: list[int], plan: Callable[[Placed], Plan], cycles: float
    ) -> tuple[Placed, float]:
        """As many rows behind each of these instructions as make a stream of so many cycles no longer; its cycles."""
        left, slope = min(rows.words, self.size // rows.pitch), self._slope(rows)
        placed: Placed = ()
        now = cycles
        for gap in gaps:
            count = left
            while count >= min(_LEAST, rows.words):
                took = self._cycles(stream, plan((*placed, (gap, count))))
                if took <= cycles + _EXPOSED:
                    placed, left, now = (*placed, (gap, count)), left - count, took
                    break
                count -= max(1, ceil((took - cycles - _EXPOSED) / slope))
        return placed, now

    def _slope(self, rows: Rows) -> float:
        """Cycles of a row of words more, about: the steps of whole pieces."""
        core = self.draft.task.wafer.core
        words = self.together * 8
        value = Value("w", (Dim("row", len(FIELDS[rows.dtype]) * 8), Dim("column", self.together)), rows.dtype)
        room = Value("room", (Dim(FLAT, words * len(rows.widened)),), DType.F16)
        i = isa.Widen("", ("w",), "room", ("column",), 0, 8, self.together)
        stream = Stream("", (value, room), ())
        return local_cost(core, work(i, shares_of(stream, ()))).cycles / words * rows.length

    def _cycles(self, stream: Stream, plan: Plan) -> float:
        return self.timed(self.written(stream, plan))

    def timed(self, stream: Stream) -> float:
        """Cycles of a stream."""
        return cycles_of(self.draft, stream)


def _seen(name: str, offset: int, size: int) -> Value:
    return Value(name, (Dim(FLAT, size),), DType.F16, kind=Kind.STATE, view=View(BUFFER, offset))


def _gaps(stream: Stream, first: int, last: int) -> list[int]:
    """Behind which instructions from `first` to before `last` cores may wait: movers, and what comes before the first
    that reads what one of them makes. The latest comes first."""
    moved, found = set[str](), []
    for n, i in enumerate(stream.instructions[:last]):
        if isinstance(i, MOVERS):
            moved |= set(writes(i))
        if n > first and (moved & set(reads(i)) or isinstance(stream.instructions[n - 1], MOVERS)):
            found.append(n - 1)
        moved -= set(reads(i))
    if last == len(stream.instructions) and isinstance(stream.instructions[-1], MOVERS):
        found.append(last - 1)
    return sorted(set(found), reverse=True)


def buffer_bytes(draft: Draft) -> int:
    """What the largest tile of a draft's streams takes once it is widened."""
    streams = {each.stream for each in _neighbors(draft)}
    rows = (target.rows for n in streams for target in targets(draft.streams[n]))
    return max((each.words * each.pitch for each in rows), default=0) * _WORD_BYTES


@dataclass(slots=True)
class Known:
    """What was found for streams of a draft, whatever runs beside them: by the buffer's size and what it is about."""

    own: dict[tuple[int, int], tuple[Placed, ...]] = field(default_factory=dict)
    tails: dict[tuple[int, int, int, int], Placed] = field(default_factory=dict)
    made: dict[tuple[object, ...], tuple[Stream, float]] = field(default_factory=dict)

    def within(self, place: Placement, stream: int) -> tuple[Placed, ...]:
        """Where a stream's own targets are widened."""
        key = place.size, stream
        if key not in self.own:
            self.own[key] = place.within(place.draft.streams[stream], place.draft.cycles[stream])
        return self.own[key]

    def behind(self, place: Placement, stream: int, following: int, later: int) -> Placed:
        """Where the first target of a run that follows is widened; nowhere if either has none."""
        streams, key = place.draft.streams, (place.size, stream, following, later)
        if following < 0 or stream < 0 or not targets(streams[following]):
            return ()
        if key not in self.tails:
            own = self.within(place, stream)
            _, cycles = self.written(place, stream, Plan(own), (stream, 0, None))
            self.tails[key] = place.behind(streams[stream], own, streams[following], later, cycles)
        return self.tails[key]

    def written(self, place: Placement, stream: int, plan: Plan, about: tuple[object, ...]) -> tuple[Stream, float]:
        """A stream as planned, and its cycles."""
        key = (place.size, *about)
        if key not in self.made:
            base = place.draft.streams[stream]
            made = place.written(base, plan, f"{base.name}, widening {len(self.made) + 1}")
            self.made[key] = made, place.timed(made)
        return self.made[key]


def with_buffer(draft: Draft, room_bytes: int, known: Known) -> Draft:
    """The draft with streams that widen ahead, where regions have so many bytes left; as it was if nothing fits."""
    place = Placement(draft, min(buffer_bytes(draft), room_bytes) // _WORD_BYTES)
    made, cycles, kept = list(draft.streams), list(draft.cycles), list(draft.lasting)
    numbers, widening = dict[tuple[object, ...], int](), dict[Neighbors, int]()
    for each in sorted(set(_neighbors(draft))):
        own = known.within(place, each.stream)
        tail = known.behind(place, each.stream, each.following, each.later)
        before = sum(count for _, count in known.behind(place, each.before, each.stream, each.since))
        if not (tail or before or any(own)):
            continue
        about = each.stream, before, (each.following, each.later) if tail else None
        if about not in numbers:
            following = draft.streams[each.following] if tail else None
            stream, took = known.written(place, each.stream, Plan(own, before, following, each.later, tail), about)
            numbers[about] = len(made)
            made.append(stream)
            cycles.append(took)
            kept.append(draft.lasting[each.stream])
        widening[each] = numbers[about]
    return replace(
        draft,
        streams=tuple(made),
        cycles=tuple(cycles),
        lasting=tuple(kept),
        widening=tuple(widening.items()),
    )


def _neighbors(draft: Draft) -> Iterator[Neighbors]:
    """Of every run of a whole block of a layer: what runs before and after it on the same cores."""
    for blocks in contents(draft.blocks, draft.ends):
        for _, found in neighbors(draft, taken(draft, blocks)):
            if found is not None:
                yield found
