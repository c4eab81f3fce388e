"""Payloads: which elements of a value travel, where they lie in memory, and what an operation on them takes.

Knows values and a core's rates, no line.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from undiced.core.errors import UnsupportedError
from undiced.machine.arithmetic import elements_cycles, rate
from undiced.machine.core import Core
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES, Arithmetic, Vectors
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.microops import Memory

WAVELET_BYTES = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """Elements of memory that travel together: rows of some elements each."""

    memory: Memory
    extents: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many elements."""
        return prod(self.extents)

    def again(self, times: int) -> Piece:
        """The same elements `times` times."""
        memory = Memory(self.memory.address, (0, *self.memory.strides), self.memory.dtype)
        return Piece(memory, (times, *self.extents))

    def beside(self, address: int, dtype: DType) -> Piece:
        """As many rows and elements, one behind the other from `address` on."""
        return Piece(Memory(address, dense(self.extents), dtype), self.extents)


def dense(extents: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of elements that lie one behind the other."""
    return tuple(prod(extents[number + 1 :]) for number in range(len(extents)))


def piece(frame: Frame, name: str, start: int, count: int, which: int = 0) -> Piece:
    """Elements `start` to `start + count` of a value's share, of a slice at the root of slice `which`.

    Raises:
        UnsupportedError: they lie neither in a row nor in equal rows.
    """
    dtype = frame.value(name).dtype
    first = frame.step(name, start)
    steps = [frame.step(name, start + n) - first for n in range(count)]
    address = frame.address(name, which) + size_of(dtype) * first
    stride = steps[1] if count > 1 else 1
    row = next((n for n, step in enumerate(steps) if step != n * stride), count)
    between = steps[row] if row < count else 0
    if count % row or any(step != n // row * between + n % row * stride for n, step in enumerate(steps)):
        raise UnsupportedError(
            f"Elements {start} to {start + count} of {name} lie in no equal rows.", remedy="Compile the program again."
        )
    if row == count:
        return Piece(Memory(address, (stride,), dtype), (count,))
    return Piece(Memory(address, (between, stride), dtype), (count // row, row))


def per_wavelet(core: Core, arithmetic: Arithmetic, wire: DType, kept: DType) -> int:
    """Cycles of a wavelet's elements, of type `wire` on the fabric and `kept` in memory."""
    kinds = (kept, wire) if BYTES[kept] > BYTES[wire] else (wire, kept)
    named: Arithmetic = "convert" if arithmetic == "move" and BYTES[kept] != BYTES[wire] else arithmetic
    elements = WAVELET_BYTES // size_of(wire)
    return max(1, ceil(elements / rate(core, Vectors(named, *kinds, elements))))


def moving(core: Core, source: DType, target: DType, count: int) -> float:
    """Cycles of moving elements in memory, the set-up apart."""
    named: Arithmetic = "move" if BYTES[source] == BYTES[target] else "convert"
    return elements_cycles(core, Vectors(named, source, target, count), count, BYTES[source], BYTES[target])
