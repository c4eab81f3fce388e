"""What vector operations make of elements, one at a time, in numpy's float32 with one rounding a step; functions of the
library are exact before theirs.

It knows no core and no cycle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.value import DType
from undiced.sim.fabric.microops import Function, Memory

Number = np.float32
WIDTHS = {DType.F32: 4, DType.I32: 4, DType.F16: 2, DType.BF16: 2, DType.I8: 1, DType.I4: 1}  # bytes


def encoded(value: Number, dtype: DType) -> int:
    """The bits that hold `value`, rounded to `dtype`, ties to even."""
    with np.errstate(all="ignore"):
        if dtype is DType.F16:
            return int(np.float16(value).view(np.uint16))
    bits = int(np.float32(value).view(np.uint32))
    if dtype is DType.BF16:
        return (bits + (bits >> 16 & 1) + 0x7FFF if np.isfinite(value) else bits) >> 16 & 0xFFFF
    return bits


def decoded(bits: int, dtype: DType) -> Number:
    """The number that these bits hold; integers keep their bits."""
    if dtype is DType.F16:
        return np.float32(np.uint16(bits).view(np.float16))
    if dtype is DType.I8:
        return np.float32(bits - 256 if bits > 127 else bits)
    return np.uint32(bits << 16 if dtype is DType.BF16 else bits).view(np.float32)


def at(operand: Memory, index: tuple[int, ...], moved: int = 0) -> int:
    """The address of an element, `moved` bytes beyond what the operand says."""
    steps = sum(i * stride for i, stride in zip(index, operand.strides, strict=True))
    return operand.address + moved + (steps // 2 if operand.dtype is DType.I4 else steps * WIDTHS[operand.dtype])


def moved(memory: NDArray[np.uint8], operand: Memory) -> int:
    """How many bytes further on a number in memory puts an operand."""
    if operand.index < 0:
        return 0
    return int(memory[operand.index : operand.index + 4].view(np.float32)[0]) * operand.pitch


def load(memory: NDArray[np.uint8], operand: Memory, index: tuple[int, ...], moved: int = 0) -> Number:
    """An element of a core's memory."""
    start, width = at(operand, index, moved), WIDTHS[operand.dtype]
    if operand.dtype is DType.I4:
        steps = sum(i * stride for i, stride in zip(index, operand.strides, strict=True))
        return np.float32(int(memory[start]) >> 4 * (steps % 2) & 15)
    return decoded(int.from_bytes(memory[start : start + width].tobytes(), "little"), operand.dtype)


def store(memory: NDArray[np.uint8], operand: Memory, index: tuple[int, ...], value: Number, moved: int = 0) -> None:
    """An element into a core's memory, rounded to its type."""
    start, width = at(operand, index, moved), WIDTHS[operand.dtype]
    held = encoded(value, operand.dtype).to_bytes(width, "little")
    memory[start : start + width] = np.frombuffer(held, np.uint8)


def result(function: Function, a: Number, b: Number, c: Number, rounded: DType | None) -> Number:
    """function(a, b, c), rounded to float32 at each step, at last to `rounded`."""
    with np.errstate(all="ignore"):
        made: Number = _FUNCTIONS[function](a, b, c)
    return made if rounded is None else decoded(encoded(made, rounded), rounded)


def _high(a: Number) -> int:
    return int(a.view(np.uint32)) >> 16


def _low(a: Number) -> int:
    return int(a.view(np.uint32)) & 0xFFFF


def _signed(half: int) -> int:
    return half - 0x10000 if half & 0x8000 else half


def _joined(high: int, low: int = 0) -> Number:
    return np.uint32((high & 0xFFFF) << 16 | low).view(np.float32)


_ZERO, _ONE = np.float32(0), np.float32(1)


def _library(function: Callable[[np.float64], np.float64]) -> Callable[[Number, Number, Number], Number]:
    return lambda a, b, c: np.float32(function(np.float64(a)))


_FUNCTIONS: dict[str, Callable[[Number, Number, Number], Number]] = {
    "move": lambda a, b, c: a,
    "add": lambda a, b, c: a + b,
    "subtract": lambda a, b, c: a - b,
    "subtract_from": lambda a, b, c: b - a,
    "multiply": lambda a, b, c: a * b,
    "maximum": lambda a, b, c: np.maximum(a, b),
    "minimum": lambda a, b, c: np.minimum(a, b),
    "multiply_add": lambda a, b, c: c + a * b,
    "high_subtract_from": lambda a, b, c: _joined(int(b) - _high(a)),
    "high_and": lambda a, b, c: _joined(_high(a) & int(b)),
    "high_shift": lambda a, b, c: _joined(_signed(_high(a)) >> int(b)),
    "low_to_high_shift": lambda a, b, c: _joined(_low(a) << int(b)),
    "high_add": lambda a, b, c: _joined(_high(a) + _high(b), _low(a)),
    "exp": _library(np.exp),
    "reciprocal": _library(lambda a: 1 / a),
    "inverse_root": _library(lambda a: 1 / np.sqrt(a)),
    "sigmoid": _library(lambda a: 1 / (1 + np.exp(-a))),
    "tanh": _library(np.tanh),
    "equal": lambda a, b, c: np.float32(a == b),
    "above": lambda a, b, c: _ONE if a > b else _ZERO,
    "choose": lambda a, b, c: a if c != 0 else b,
}
