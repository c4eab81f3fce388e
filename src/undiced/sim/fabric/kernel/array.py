"""Arrays that every core has, and parts of them: where elements lie, and how a loop moves along them.

An array is of the same shape at the same address in every core. Subscripts are numpy's: numbers, slices, and the
variable of a loop. Knows no operation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from undiced.core.errors import KernelError
from undiced.program.wafer.value import DType

f32, f16 = DType.F32, DType.F16
BYTES = {DType.F32: 4, DType.F16: 2}
NUMPY: dict[DType, DTypeLike] = {DType.F32: np.float32, DType.F16: np.float16}


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of a core's program: `number` says which of the kernel's, `size` how many iterations it has."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class At:
    """A place that a loop's variable says: `factor` times the variable, plus `shift`."""

    loop: Loop
    factor: int = 1
    shift: int = 0

    def __add__(self, other: int) -> At:
        return replace(self, shift=self.shift + other)

    def __radd__(self, other: int) -> At:
        return self + other

    def __sub__(self, other: int) -> At:
        return self + -other

    def __mul__(self, other: int) -> At:
        return replace(self, factor=self.factor * other, shift=self.shift * other)

    def __rmul__(self, other: int) -> At:
        return self * other

    @property
    def ends(self) -> tuple[int, int]:
        """The smallest and the largest place."""
        last = self.shift + self.factor * (self.loop.size - 1)
        return min(self.shift, last), max(self.shift, last)


Subscript = int | slice | At


@dataclass(frozen=True, slots=True)
class Array:
    """Elements of every core's memory.

    Attributes:
        name: of the whole array; parts keep it.
        shape, strides: of these elements; strides in elements.
        address: bytes, of the whole array; offset: elements from there to the first of these.
        loops: with which loop's variables the first element moves on, and by how many elements.
    """

    name: str
    dtype: DType
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    loops: tuple[tuple[Loop, int], ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.shape)

    def __getitem__(self, index: Subscript | tuple[Subscript, ...]) -> Array:
        """A part; it shares the memory."""
        given = index if isinstance(index, tuple) else (index,)
        if len(given) > len(self.shape):
            raise KernelError(
                f"{self.name} has {len(self.shape)} dimensions, and {len(given)} subscripts were given.",
                remedy=f"Its shape is {self.shape}.",
            )
        given = (*given, *(slice(None) for _ in range(len(self.shape) - len(given))))
        offset, loops, kept = self.offset, dict(self.loops), list[tuple[int, int]]()
        for at, size, stride in zip(given, self.shape, self.strides, strict=True):
            if isinstance(at, slice):
                places = range(*at.indices(size))
                offset += places.start * stride if len(places) else 0
                kept.append((len(places), places.step * stride))
                continue
            self._inside(at, size)
            if isinstance(at, At):
                loops[at.loop] = loops.get(at.loop, 0) + at.factor * stride
                offset += at.shift * stride
            else:
                offset += at % size * stride
        return replace(
            self,
            shape=tuple(size for size, _ in kept),
            strides=tuple(stride for _, stride in kept),
            offset=offset,
            loops=tuple(loops.items()),
        )

    def _inside(self, at: int | At, size: int) -> None:
        low, high = at.ends if isinstance(at, At) else (at, at)
        if not (0 <= low <= high < size or (not isinstance(at, At) and -size <= at < size)):
            where = f"{low}" if low == high else f"{low} to {high}"
            raise KernelError(
                f"Place {where} lies outside of {self.name}, which has {size} there.",
                remedy=f"Places are 0 to {size - 1}.",
            )

    def fixed(self, loop: Loop, value: int) -> Array:
        """The same in one iteration of a loop."""
        moved = sum(stride for each, stride in self.loops if each == loop)
        left = tuple((each, stride) for each, stride in self.loops if each != loop)
        return replace(self, offset=self.offset + value * moved, loops=left)


def whole(name: str, shape: tuple[int, ...], dtype: DType, address: int) -> Array:
    """An array at an address, row by row."""
    strides = tuple(prod(shape[place + 1 :]) for place in range(len(shape)))
    return Array(name, dtype, address, shape, strides)
