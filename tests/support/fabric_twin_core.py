"""A core of the fabric's twin: its threads as generators, its datapath, its queues and its memory.

A thread yields what it waits for: a cycle of the datapath, a condition, or a later cycle. Knows no router but its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray
from support.fabric_twin_numbers import Number, decoded, encoded, load, moved, result, store
from support.fabric_twin_router import Commands, Core, Router, Wavelet

from undiced.program.wafer.value import DType
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import (
    Bind,
    Delay,
    Fork,
    Immediate,
    In,
    Memory,
    MicroOp,
    Out,
    Repaint,
    Send,
    Source,
    Turn,
    Vector,
    Wait,
)
from undiced.sim.fabric.routes import Command, Switch

MAIN = 8
_HALVES = (DType.F16, DType.BF16)
Index = tuple[int, ...]


@dataclass(slots=True)
class Work:
    """A cycle of the datapath for a set-up or for an operation on memory alone."""


@dataclass(slots=True)
class Beat:
    """A cycle of the datapath for wavelets, once these are there and have room; it is taken for `cycles`."""

    ready: Callable[[], bool]
    cycles: int = 1


@dataclass(slots=True)
class Until:
    """Nothing but a condition."""

    holds: Callable[[], bool]


@dataclass(slots=True)
class Rest:
    """Nothing before a cycle."""

    cycle: int


Want = Work | Beat | Until | Rest
Life = Iterator[Want]


@dataclass(slots=True)
class Thread:
    """A microthread or the main thread: what it does, what it waits for, and when it last ended."""

    life: Life | None = None
    want: Want | None = None
    end: int = 0
    section: int = 0
    operation: MicroOp | None = None


@dataclass(slots=True)
class Spans:
    """When sections began and ended, of all cores together."""

    began: dict[int, int]
    ended: dict[int, int]


class TwinCore(Core):
    """Queues, threads and one datapath."""

    def __init__(self, hardware: Hardware, memory: NDArray[np.uint8], spans: Spans) -> None:
        super().__init__([deque() for _ in hardware.outputs], [deque() for _ in hardware.inputs])
        self.hardware, self.memory, self.spans = hardware, memory, spans
        self.router = Router(hardware, self)
        self.threads = [Thread() for _ in range(MAIN + 1)]
        self.bound: dict[int, int] = {}
        self.now, self.latest = 0, 0
        self.taken = 0  # the datapath's, until that cycle
        self.busy = self.worked = 0
        self.handled = False  # a wavelet, in this cycle

    def start(self, blocks: list[tuple[int, tuple[MicroOp, ...]]]) -> None:
        """Gives the main thread its blocks with their sections."""
        if blocks:
            self.threads[MAIN].life = self._main(blocks)

    def done(self) -> bool:
        """Whether all threads have ended."""
        return all(thread.life is None for thread in self.threads)

    def step(self, now: int) -> bool:
        """Its part of a cycle; whether anything happened."""
        self.now, self.handled = now, False
        happened = self._settle()
        if now < self.taken:
            return happened
        for kind in (Beat, Work):
            for thread in self.threads:
                if isinstance(thread.want, kind) and (isinstance(thread.want, Work) or thread.want.ready()):
                    self._grant(thread)
                    return True
        return happened

    def _settle(self) -> bool:
        """Takes all steps that cost nothing; whether there were any."""
        happened = False
        while sum(self._resumed(thread) for thread in self.threads):
            happened = True
        return happened

    def _resumed(self, thread: Thread) -> bool:
        """Whether it went on, as far as it could."""
        steps = 0
        while thread.life is not None and not self._waits(thread.want):
            self._go_on(thread)
            steps += 1
        return steps > 0

    def _waits(self, want: Want | None) -> bool:
        match want:
            case Until(holds):
                return not holds()
            case Rest(cycle):
                return self.now < cycle
        return want is not None

    def _grant(self, thread: Thread) -> None:
        cycles = thread.want.cycles if isinstance(thread.want, Beat) else 1
        self.handled = isinstance(thread.want, Beat)
        self.worked += isinstance(thread.want, Work)
        self.busy += cycles
        self.taken = self.now + cycles
        self.latest = max(self.latest, self.taken)
        self._go_on(thread)

    def _go_on(self, thread: Thread) -> None:
        assert thread.life is not None
        thread.want = next(thread.life, None)
        if isinstance(thread.want, Rest):
            self.latest = max(self.latest, thread.want.cycle)
        if thread.want is None:
            thread.life, thread.end = None, self.now

    # Threads

    def _main(self, blocks: list[tuple[int, tuple[MicroOp, ...]]]) -> Life:
        for section, script in blocks:
            self.spans.began.setdefault(section, self.now)
            yield from self._script(self.threads[MAIN], section, script)

    def _script(self, thread: Thread, section: int, script: tuple[MicroOp, ...]) -> Life:
        thread.section = section
        for operation in script:
            thread.operation = operation
            yield from self._operation(thread, operation)
        self.spans.ended[section] = max(self.spans.ended.get(section, 0), self.now)

    def _operation(self, thread: Thread, operation: MicroOp) -> Life:
        match operation:
            case Vector():
                return self._vector(operation)
            case Fork(number, script):
                return self._fork(self.threads[number], thread.section, script)
            case Wait(numbers, cycles):
                return self._wait([self.threads[n] for n in numbers], cycles)
            case Send(queue, color, control):
                return self._send(queue, color, control.commands)
            case Turn(color, position, cycles):
                return self._work(cycles, lambda: self.router.positions.update({color: position}))
            case Bind(queue, color, cycles):
                return self._bind(queue, color, cycles)
            case Delay(cycles):
                return self._work(cycles)
            case Repaint(color, switch, cycles):
                return self._work(cycles, lambda: self.router.repaint(color, switch, self.now))

    def _fork(self, thread: Thread, section: int, script: tuple[MicroOp, ...]) -> Life:
        yield Until(lambda: thread.life is None)
        thread.want, thread.life = None, self._script(thread, section, script)

    def _wait(self, threads: list[Thread], cycles: float) -> Life:
        yield Until(lambda: all(thread.life is None for thread in threads))
        yield from self._work(cycles)

    def _bind(self, queue: int, color: int, cycles: float) -> Life:
        yield Until(lambda: not self.outputs[queue])
        yield from self._work(cycles, lambda: self.bound.update({queue: color}))

    def _work(self, cycles: float, effect: Callable[[], object] = lambda: None) -> Life:
        """So many cycles of the datapath, rounded up; the effect is there in the cycle behind them."""
        for _ in range(ceil(cycles)):
            yield Work()
        if ceil(cycles):
            yield Rest(self.now + 1)
        effect()

    # Vector operations

    def _vector(self, op: Vector) -> Life:
        wide, narrow = op.extents[: op.loops], op.extents[op.loops :]
        if not any(isinstance(operand, In | Out) for operand in (op.target, op.a, op.b, op.c)):
            yield from self._work(prod(wide) * (op.setup + op.cycles), lambda: self._in_memory(op))
            return
        readers = {operand: Reader(self, operand) for operand in (op.a, op.b, op.c) if isinstance(operand, In)}
        for operand in readers:
            yield from self._hear(operand.queue, operand.color)
        writer = Writer(self, op.target) if isinstance(op.target, Out) else None
        turns = list(product(*map(range, wide)))
        for turn in turns:
            yield from self._work(op.setup)
            rows = [turn + row for row in product(*map(range, narrow[:-1]))] if narrow else [turn[:-1]]
            for row in rows:
                columns = range(op.extents[-1]) if narrow else [turn[-1]]
                last = turn == turns[-1] and row == rows[-1]
                yield from self._row(op, row, list(columns), readers, writer, last)
        if writer is not None and writer.out.control is not None:
            yield from self._send(writer.out.queue, writer.out.color, writer.out.control.commands)

    def _in_memory(self, op: Vector) -> None:
        there = {operand: moved(self.memory, operand) for operand in _lying(op)}
        for index in product(*map(range, op.extents)):
            self._element(op, index, {}, None, there)

    def _row(
        self, op: Vector, row: Index, columns: list[int], readers: dict[In, Reader], writer: Writer | None, last: bool
    ) -> Life:
        """The elements of a row, in pairs where wavelets hold two; `last`: of the operation."""
        fabric: list[In | Out] = [*readers, *([writer.out] if writer else [])]
        [size] = {2 if operand.dtype in _HALVES else 1 for operand in fabric}
        for first in range(0, len(columns), size):
            yield Beat(lambda: self._ready(readers, writer), op.per_wavelet)
            for reader in readers.values():
                reader.take()
            for column in columns[first : first + size]:
                self._element(op, (*row, column), readers, writer)
            if writer is not None:
                writer.put(advance=last and first + size >= len(columns))
            yield Rest(self.now + op.per_wavelet)

    def _ready(self, readers: dict[In, Reader], writer: Writer | None) -> bool:
        room = writer is None or self.room(writer.out.queue)
        return room and all(reader.ready() for reader in readers.values())

    def _element(
        self,
        op: Vector,
        index: Index,
        readers: dict[In, Reader],
        writer: Writer | None,
        there: dict[Memory, int] | None = None,
    ) -> None:
        """`there`: how far numbers in memory have moved operands."""
        there = there or {}
        a, b, c = (self._number(operand, index, readers, there) for operand in (op.a, op.b, op.c))
        made = result(op.function, a, b, c, op.rounded)
        if isinstance(op.target, Memory):
            store(self.memory, op.target, index, made, there.get(op.target, 0))
        else:
            assert writer is not None
            writer.bits.append(encoded(made, op.target.dtype))

    def _number(
        self, operand: Source | None, index: Index, readers: dict[In, Reader], there: dict[Memory, int]
    ) -> Number:
        match operand:
            case None:
                return np.float32(0)
            case Immediate(value):
                return np.float32(value)
            case Memory():
                return load(self.memory, operand, index, there.get(operand, 0))
            case In():
                return readers[operand].numbers.popleft()

    # Queues

    def _hear(self, queue: int, color: int) -> Life:
        """The queue hears this color alone from now on, as no other does; it has to be empty to change."""
        yield Until(lambda: self.hears.get(color) == queue or not self.inputs[queue])
        self.hears = {heard: by for heard, by in self.hears.items() if by != queue} | {color: queue}

    def room(self, queue: int) -> bool:
        """Whether an output queue takes one more."""
        return len(self.outputs[queue]) < self.hardware.outputs[queue] + self.hardware.ramp

    def claim(self, queue: int, color: int) -> None:
        """Holds an output queue to its color, where the machine does."""
        assert not self.hardware.bound or self.bound.setdefault(queue, color) == color, (queue, color)

    def emit(self, queue: int, color: int, bits: int, commands: Commands | None = None, advance: bool = False) -> None:
        """A wavelet into an output queue."""
        free = self.now + 1 + self.hardware.ramp
        self.latest = max(self.latest, free)
        self.outputs[queue].append(Wavelet(color, bits, free, commands, advance))

    def _send(self, queue: int, color: int, commands: tuple[tuple[Command, int], ...]) -> Life:
        self.claim(queue, color)
        yield Beat(lambda: self.room(queue))
        self.emit(queue, color, 0, commands)
        yield Rest(self.now + 1)


def rewritten(script: tuple[MicroOp, ...]) -> Iterator[tuple[int, Switch]]:
    """Colors and the switches that a script gives them, microthreads included."""
    for op in script:
        if isinstance(op, Repaint) and op.switch is not None:
            yield op.color, op.switch
        if isinstance(op, Fork):
            yield from rewritten(op.script)


def _lying(op: Vector) -> list[Memory]:
    return [operand for operand in (op.target, op.a, op.b, op.c) if isinstance(operand, Memory)]


class Reader:
    """An In operand under way: the elements of the wavelet that it has taken."""

    def __init__(self, core: TwinCore, operand: In) -> None:
        self.core, self.operand = core, operand
        self.numbers = deque[Number]()

    def ready(self) -> bool:
        """Whether the next wavelet is there."""
        queue = self.core.inputs[self.operand.queue]
        return bool(queue) and queue[0].free <= self.core.now

    def take(self) -> None:
        """Takes a wavelet; the upper half of an odd row's last is lost."""
        bits, dtype = self.core.inputs[self.operand.queue].popleft().bits, self.operand.dtype
        parts = (bits & 0xFFFF, bits >> 16) if dtype in _HALVES else (bits,)
        self.numbers = deque(decoded(part, dtype) for part in parts)


class Writer:
    """An Out operand under way: the bits of the elements that the next wavelet holds."""

    def __init__(self, core: TwinCore, out: Out) -> None:
        self.core, self.out = core, out
        self.bits: list[int] = []
        core.claim(out.queue, out.color)

    def put(self, advance: bool) -> None:
        """Sends them, the first in the lower half."""
        held = sum(bits << 16 * n for n, bits in enumerate(self.bits))
        self.core.emit(self.out.queue, self.out.color, held, advance=advance and self.out.advance)
        self.bits.clear()
