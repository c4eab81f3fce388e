"""What functions make of numbers: the numpy meaning of the steps of `sequences`, and the library's functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.sequences import SEQUENCES, Step, StepKind
from undiced.sim.mesh.rounding import F32

Operand = F32 | float
_LOW, _HIGH = slice(0, None, 2), slice(1, None, 2)  # 16-bit halves of little-endian 32-bit floats


def run_function(name: str, x: F32) -> F32:
    """The function of that name of every element, in 32-bit floats; an array of its own."""
    return run_sequence(SEQUENCES[name], x)


def run_library(name: str, x: F32) -> F32:
    """The library's function of that name of every element, exact to a rounding; an array of its own."""
    with np.errstate(all="ignore"):
        made: F32 = _LIBRARY[name](x).astype(np.float32, copy=False)
    return made


def run_sequence(steps: tuple[Step, ...], x: F32) -> F32:
    """What the last step leaves. What is no number goes through the same steps as any other."""
    registers: dict[str, F32] = {"x": np.ascontiguousarray(x)}
    result = registers["x"]
    with np.errstate(all="ignore"):
        for step in steps:
            b = registers[step.b] if isinstance(step.b, str) else step.b
            result = registers[step.result] = _STEPS[step.kind](registers[step.a], b, step.c)
    return result


def _f32(b: Operand) -> F32 | np.float32:
    return b if isinstance(b, np.ndarray) else np.float32(b)


def _halves(a: F32) -> NDArray[np.int16]:
    """All 16-bit halves, low ones first."""
    return a.reshape(-1).view(np.int16)


def _as_high(half: NDArray[np.int16], like: F32) -> F32:
    """Floats with these high halves, their low halves 0."""
    made = np.zeros(like.shape, dtype=np.float32)
    _halves(made)[_HIGH] = half
    return made


def _high_subtract_from(a: F32, b: Operand, c: float) -> F32:
    return _as_high(np.int16(b) - _halves(a)[_HIGH], a)


def _high_and(a: F32, b: Operand, c: float) -> F32:
    return _as_high(_halves(a)[_HIGH] & np.int16(b), a)


def _high_shift(a: F32, b: Operand, c: float) -> F32:
    return _as_high(_halves(a)[_HIGH] >> np.int16(b), a)


def _low_to_high_shift(a: F32, b: Operand, c: float) -> F32:
    return _as_high(_halves(a)[_LOW] << np.int16(b), a)


def _high_add(a: F32, b: Operand, c: float) -> F32:
    assert isinstance(b, np.ndarray)
    made = a.copy()
    _halves(made)[_HIGH] += _halves(b)[_HIGH]
    return made


_STEPS: dict[StepKind, Callable[[F32, Operand, float], F32]] = {
    "add": lambda a, b, c: a + _f32(b),
    "subtract": lambda a, b, c: a - _f32(b),
    "subtract_from": lambda a, b, c: _f32(b) - a,
    "multiply": lambda a, b, c: a * _f32(b),
    "maximum": lambda a, b, c: np.maximum(a, _f32(b)),
    "minimum": lambda a, b, c: np.minimum(a, _f32(b)),
    "multiply_add": lambda a, b, c: a * _f32(b) + np.float32(c),
    "high_subtract_from": _high_subtract_from,
    "high_and": _high_and,
    "high_shift": _high_shift,
    "low_to_high_shift": _low_to_high_shift,
    "scaled_add": lambda a, b, c: _f32(b) + a * np.float32(c),
    "high_add": _high_add,
}


def _sigmoid(x: F32) -> F32:
    return _precisely(lambda a: 1 / (1 + np.exp(-a)), x)


def _precisely(function: Callable[[NDArray[np.float64]], NDArray[np.float64]], x: F32) -> F32:
    """A function in 64 bits, rounded once: the same bits wherever it is computed."""
    return function(x.astype(np.float64)).astype(np.float32)


_LIBRARY: dict[str, Callable[[F32], F32]] = {
    "exp": partial(_precisely, np.exp),
    "reciprocal": partial(_precisely, np.reciprocal),
    "inverse_root": partial(_precisely, lambda a: 1 / np.sqrt(a)),
    "sigmoid": _sigmoid,
    "tanh": partial(_precisely, np.tanh),
    "silu": lambda x: x * _sigmoid(x),
    "quick_gelu": lambda x: x * _sigmoid(np.float32(1.702) * x),
    "gelu_tanh": lambda x: x * _sigmoid(np.float32(1.5957691) * (x + np.float32(0.044715) * x * x * x)),
}
