"""A prompt on a program that takes chunks: they follow each other through the regions, each attending to those before.

Knows programs and machines, no mapping. What a region takes for a chunk grows with its positions: it is timed at a few
of them, and drawn straight between. The model's end runs once, for the last token.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import Kind, Value
from undiced.sim.paths import Paths

_SAMPLES = 9  # chunks that are timed
Cycles = tuple[float, ...]  # of each place that regions lie on, in order
Way = tuple[tuple[int, float], ...]  # places that something passes, in order, and its cycles at each


@dataclass(frozen=True, slots=True)
class Prompt:
    """Timing of one prompt on an idle machine.

    Attributes:
        sizes: tokens of each of its chunks; chunks: what each of them takes at each place.
        ends: what the model's end takes there, once.
    """

    sizes: tuple[int, ...]
    chunks: tuple[Cycles, ...]
    ends: Cycles

    @property
    def tokens(self) -> int:
        """Of the prompt."""
        return sum(self.sizes)

    @property
    def chunk(self) -> int:
        """Tokens of a full chunk."""
        return self.sizes[0]

    @property
    def cycles(self) -> float:
        """From its first chunk to its first token."""
        return piped(self.chunks) + sum(self.ends)

    @property
    def busiest_cycles(self) -> float:
        """Of the place that works longest for it: prompts of this length can follow each other so fast, if there is
        room for their keys and values."""
        places = range(len(self.ends))
        return max(sum(chunk[place] for chunk in self.chunks) + self.ends[place] for place in places)

    @property
    def chunk_cycles(self) -> float:
        """From one chunk to the next, once the last full one comes."""
        return max(self.chunks[self.tokens // self.chunk - 1])

    @property
    def ways(self) -> list[Way]:
        """What its chunks pass, the last one the model's end, too."""
        found: list[Way] = [tuple(enumerate(chunk)) for chunk in self.chunks]
        return [*found[:-1], _ended(found[-1], self.ends)]


def time_prompt(program: WaferProgram, wafer: Wafer, tokens: int, clock_hz: float, chunk: int | None = None) -> Prompt:
    """A prompt of so many tokens, in chunks as large as the program takes, or smaller ones."""
    chunk = min(chunk or program.chunk, tokens)
    full, rest = divmod(tokens, chunk)
    every = _ChunkTimes(program, wafer, chunk, full * chunk, clock_hz)
    chunks = [every.of(number) for number in range(full)]
    if rest:
        chunks.append(chunk_cycles(program, wafer, Step(1, rest, tokens), clock_hz))
    ends = _cycles(program, Paths(program, wafer, Step(1, 1, tokens), clock_hz), last=True)
    return Prompt((chunk,) * full + (rest,) * (rest > 0), tuple(chunks), ends)


def token_way(program: WaferProgram, wafer: Wafer, context: int, clock_hz: float) -> Way:
    """What one decoded token passes."""
    paths = Paths(program, wafer, Step(1, 1, context), clock_hz)
    return _ended(tuple(enumerate(_cycles(program, paths, last=False))), _cycles(program, paths, last=True))


def _ended(way: Way, ends: Cycles) -> Way:
    """And the model's end behind it."""
    *others, (last, cycles) = way
    more = tuple((place, end) for place, end in enumerate(ends) if end and place != last)
    return (*others, (last, cycles + ends[last]), *more)


def speed_of(program: WaferProgram, wafer: Wafer) -> float:
    """Tokens a cycle of chunks that follow each other at the program's longest context."""
    tokens = min(program.chunk, program.bounds.context)
    step = Step(1, tokens, program.bounds.context)
    return tokens / max(chunk_cycles(program, wafer, step, wafer.system.clock_hz.value))


def piped(chunks: Sequence[Cycles]) -> float:
    """When the last chunk leaves the last place: each waits for the one before it at every place."""
    done = [0.0] * len(chunks[0])
    for chunk in chunks:
        at = 0.0
        for place, cycles in enumerate(chunk):
            at = done[place] = max(at, done[place]) + cycles
    return done[-1]


@dataclass(slots=True)
class _ChunkTimes:
    """What chunks of one size take, by their number; timed at a few numbers, and drawn straight between."""

    program: WaferProgram
    wafer: Wafer
    chunk: int
    tokens: int
    clock_hz: float
    _at: list[int] = field(default_factory=list)
    _timed: list[Cycles] = field(default_factory=list)

    def __post_init__(self) -> None:
        last = self.tokens // self.chunk - 1
        self._at = sorted({round(n * last / (_SAMPLES - 1)) for n in range(_SAMPLES)})
        self._timed = [self._time(number) for number in self._at]

    def _time(self, number: int) -> Cycles:
        step = Step(1, self.chunk, (number + 1) * self.chunk)
        return chunk_cycles(self.program, self.wafer, step, self.clock_hz)

    def of(self, number: int) -> Cycles:
        """Cycles of each place."""
        after = min(bisect_right(self._at, number), len(self._at) - 1)
        before = max(after - 1, 0)
        low, high = self._at[before], self._at[after]
        part = (number - low) / (high - low) if high > low else 0.0
        pairs = zip(self._timed[before], self._timed[after], strict=True)
        return tuple(a + (b - a) * part for a, b in pairs)


def chunk_cycles(program: WaferProgram, wafer: Wafer, step: Step, clock_hz: float) -> Cycles:
    """What each place takes for one chunk that is not a prompt's last."""
    return _cycles(program, Paths(program, wafer, step, clock_hz), last=False)


def _cycles(program: WaferProgram, paths: Paths, *, last: bool) -> Cycles:
    return tuple(
        sum(
            paths.of(visits[0], run.stream).cost.cycles
            for visit in visits
            for run in visit.runs
            if program.streams[run.stream].last is last
        )
        for visits in program.places
    )


def multiply_adds(program: WaferProgram, tokens: int) -> float:
    """Of a whole prompt, as the model has them: its matrices, and what its tokens attend to; the head's once."""
    total = 0.0
    for region in program.regions:
        for run in region.runs:
            stream = program.streams[run.stream]
            each = sum(_product(i, stream, tokens) for i in stream.instructions if isinstance(i, isa.Product))
            total += each * (1 if stream.last else tokens)
    return total


def _product(i: isa.Product, stream: Stream, tokens: int) -> float:
    """For one token, which attends to half of the prompt on average."""
    values = {value.name: value for value in stream.values}
    return sum(_terms(i, values[weight], values, tokens) for weight in i.weights)


def _terms(i: isa.Product, weight: Value, values: dict[str, Value], tokens: int) -> float:
    dims = values[i.x].dims if weight.kind is Kind.CACHE or i.expert else ()
    dims += (*values[i.expert].dims, *weight.dims[1:]) if i.expert else weight.dims
    sizes = {dim.name: min(dim.size, (tokens + 1) / 2) if dim.name == POSITION else dim.size for dim in dims}
    return prod(sizes.values())
