"""What the cores of random fabric programs do: vectors in and out by any thread, in any shape. Knows no route.

Floats lie in the lower half of memory, 16-bit floats in the upper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeVar

from undiced.program.wafer.value import DType
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import (
    Bind,
    Delay,
    Fork,
    Function,
    Immediate,
    In,
    Memory,
    MicroOp,
    Out,
    Send,
    Source,
    Target,
    Vector,
    Wait,
)
from undiced.sim.fabric.routes import Control

Number = Callable[[int, int], int]  # draws one from the first to the second, both included
T = TypeVar("T")
Place = tuple[int, int]
HALF_BYTES = 256
_MAIN = 3  # the threads of a core here: three microthreads and the main one
_FLAWED = 9  # of 10 programs one
_BINARY: tuple[Function, ...] = ("add", "subtract", "subtract_from", "maximum", "minimum", "multiply", "above")


@dataclass(frozen=True, slots=True)
class Payload:
    """Elements of a flow; rows matter to 16-bit ones, which begin each with a wavelet of its own."""

    dtype: DType
    rows: int
    columns: int


@dataclass(slots=True)
class Doing:
    """What a core does so far: its script by section, and the color that each output queue serves."""

    scripts: dict[int, list[MicroOp]] = field(default_factory=lambda: defaultdict(list))
    bound: dict[int, int] = field(default_factory=dict)


class Chores:
    """Writes scripts of cores; `section` is the one that grows."""

    def __init__(self, number: Number, hardware: Hardware) -> None:
        self.number, self.hardware = number, hardware
        self.doing: dict[Place, Doing] = defaultdict(Doing)
        self.section = 0
        self.flawed = number(0, _FLAWED) == _FLAWED  # receivers may expect too much or too little

    def pick(self, *choices: T) -> T:
        """One of these."""
        return choices[self.number(0, len(choices) - 1)]

    def sends(self, place: Place, color: int, payload: Payload, before: Control | None = None) -> None:
        self.does(place, lambda thread: self.sending(place, thread, payload, [Out(0, color, payload.dtype)], before))

    def sending(
        self, place: Place, thread: int, payload: Payload, outs: list[Out], before: Control | None = None
    ) -> list[MicroOp]:
        """A payload after the other, by the thread's queue, behind a control wavelet if there is one."""
        bind = self._bind(place, thread, outs[0].color)
        control = [] if before is None else [Send(thread, outs[0].color, before)]
        return [*bind, *control, *[self.vector(payload, replace(out, queue=thread)) for out in outs]]

    def receives(self, place: Place, color: int, payload: Payload) -> None:
        self.hears(place, color, [payload])

    def hears(self, place: Place, color: int, payloads: list[Payload]) -> None:
        """One operation a payload, all by one thread."""

        self.does(place, lambda thread: [self.heard(payload, color, thread) for payload in payloads])

    def heard(self, payload: Payload, color: int, thread: int) -> Vector:
        """What takes a payload."""
        return self.vector(self._expected(payload), None, In(thread, color, payload.dtype))

    def passes(self, place: Place, into: int, out: int, payload: Payload) -> None:
        """What comes by one color goes by another."""

        def written(thread: int) -> list[MicroOp]:
            target = Out(thread, out, payload.dtype)
            return [*self._bind(place, thread, out), self.vector(payload, target, In(thread, into, payload.dtype))]

        self.does(place, written)

    def _bind(self, place: Place, queue: int, color: int) -> list[MicroOp]:
        """What a queue's change of color takes, where it does."""
        bound = self.doing[place].bound
        changes = bound.get(queue, color) != color and (self.hardware.bound or self.pick(True, False))
        bound[queue] = color
        return [Bind(queue, color, self.cycles())] if changes else []

    def does(self, place: Place, written: Callable[[int], list[MicroOp]]) -> None:
        """What a thread of the core, whose number is also that of its queues, has to do next."""
        thread = self.number(0, _MAIN)
        if thread == _MAIN:
            self.into_main(place, *written(thread))
        else:
            self.into_main(place, Fork(thread, tuple(written(thread))))
        if self.pick(True, False):
            self.into_main(place, self._pastime())

    def into_main(self, place: Place, *ops: MicroOp) -> None:
        self.doing[place].scripts[self.section].extend(ops)

    def _pastime(self) -> MicroOp:
        if self.pick(True, False):
            others: list[MicroOp] = [Delay(self.cycles()), Wait((self.number(0, 2),), self.cycles()), Wait((0, 2))]
            return self.pick(*others)
        payload = self.payload()
        return replace(self.vector(payload, None), cycles=self.cycles())

    def vector(self, payload: Payload, out: Out | None, into: In | None = None) -> Vector:
        """An operation on so many elements, in any shape that fits, any of its operands on the fabric."""
        extents = self._extents(payload)
        target: Target = out or self._memory(extents)
        first: Source = into or self._memory(extents)
        others: list[Source] = [Immediate(float(self.number(-2, 2))), self._memory(extents)]
        other = self.pick(*others)
        forms: list[tuple[Function, Source, Source | None, Source | None]] = [
            ("move", first, None, None),
            (self.pick(*_BINARY), first, other, None),
            (self.pick(*_BINARY), other, first, None),
            ("multiply_add", self._memory(extents), Immediate(0.5), first),
            ("choose", self._memory(extents), other, first),
        ]
        function, a, b, c = self.pick(*forms)
        loops = self.number(0, len(extents) - (payload.dtype is DType.F16))
        rounded = self.pick(None, None, DType.F16)
        pace = self.pick(1, 1, 2, 3)
        return Vector(function, target, a, b, c, extents, loops, self.cycles(), 0.0, pace, rounded)

    def _expected(self, payload: Payload) -> Payload:
        wrong = self.number(-1, 1) if self.flawed else 0
        return replace(payload, rows=max(1, payload.rows + wrong))

    def _extents(self, payload: Payload) -> tuple[int, ...]:
        """Those of 16-bit elements keep their rows."""
        if payload.dtype is DType.F16:
            return self.pick((payload.rows, payload.columns), (1, payload.rows, payload.columns))
        count = payload.rows * payload.columns
        return self.pick((count,), (payload.rows, payload.columns), (payload.columns, 1, payload.rows))

    def _memory(self, extents: tuple[int, ...]) -> Memory:
        """A vector in its half of memory, dense or with any strides that fit."""
        dtype = self.pick(DType.F32, DType.F16)
        width, start = (4, 0) if dtype is DType.F32 else (2, HALF_BYTES)
        strides = tuple(prod(extents[n + 1 :]) for n in range(len(extents)))
        if self.pick(True, False):
            strides = tuple(self.number(-2, 2) for _ in extents)
        reach = [(extent - 1) * stride for extent, stride in zip(extents, strides, strict=True)]
        low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
        return Memory(start + width * self.number(-low, HALF_BYTES // width - 1 - high), strides, dtype)

    def cycles(self) -> float:
        return self.pick(0.0, 0.0, 1.0, 2.0, 0.25, 2.5, 7.0)

    def payload(self) -> Payload:
        return Payload(self.pick(DType.F32, DType.F16), self.number(1, 3), self.number(1, 7))
