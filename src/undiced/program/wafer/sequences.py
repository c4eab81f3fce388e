"""Functions as sequences of vector operations: what `Apply` runs. Data; executors and costs walk the same steps.

Registers hold one vector each; "x" is the argument, the last step's result the function's. Integer steps act on the
16-bit halves of 32-bit floats, which 16-bit integer operations reach with a stride of two. The hardware's multiply-add
takes a scalar factor, so a product of two vectors and a sum are two steps. Good to 1e-4 relative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt
from typing import Literal

StepKind = Literal[
    "add",
    "subtract",  # a - b
    "subtract_from",  # b - a
    "multiply",
    "maximum",
    "minimum",
    "multiply_add",  # a * b + c, b and c constants
    "scaled_add",  # b + a * c, c constant
    "high_subtract_from",  # integer b less the high half of a, the low half 0
    "high_and",  # the high half of a and integer b, the low half 0
    "high_shift",  # the high half of a shifted right by b, the low half 0
    "low_to_high_shift",  # the low half of a shifted left by b, as a high half
    "high_add",  # a with the high half of b added to its own
]

_LOG2_E = 1.4426950408889634
_ROUND = 12582912.0  # 1.5 * 2^23: adding and subtracting it rounds to an integer
_EXP2 = (0.99992811, 0.69326099, 0.24261054, 0.05517132)  # 2^f on [-0.5, 0.5], least relative error: 7.5e-5
_RECIPROCAL_MAGIC = 0x7EF3
_RSQRT_MAGIC = 0x5F37
_FIRST_TWO = 2.0015  # instead of 2 in the first Newton step: centers the guess's error
CLAMP = 80.0
_EXPONENT_BITS = 0x7F80
_ONE_TWICE = 0x7F00  # the exponent field of 1, doubled
_ERF = (0.3275911, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)  # Abramowitz, Stegun 7.1.26


@dataclass(frozen=True, slots=True)
class Step:
    """One vector operation: result = kind(a, b), operands registers or constants."""

    kind: StepKind
    result: str
    a: str
    b: str | float
    c: float = 0.0


class _Steps:
    """Writes steps; each call returns the register of its result."""

    def __init__(self) -> None:
        self.done: list[Step] = []

    def op(self, kind: StepKind, a: str, b: str | float, c: float = 0.0) -> str:
        result = f"r{len(self.done)}"
        self.done.append(Step(kind, result, a, b, c))
        return result

    def exponential(self, x: str, factor: float = 1.0) -> str:
        """e^(factor x), its exponent clamped to +-80: 2^n by the exponent field, 2^f by a polynomial of degree 3."""
        limit, power = CLAMP / abs(factor), factor * _LOG2_E
        held = self.op("maximum", self.op("minimum", x, limit), -limit)
        rounded = self.op("multiply_add", held, power, _ROUND)
        f = self.op("scaled_add", held, self.op("subtract_from", rounded, _ROUND), power)
        y = self.op("multiply_add", f, _EXP2[3], _EXP2[2])
        for coefficient in (_EXP2[1], _EXP2[0]):
            y = self.op("add", self.op("multiply", y, f), coefficient)
        return self.op("high_add", y, self.op("low_to_high_shift", rounded, 7))

    def reciprocal(self, x: str) -> str:
        """1 / x of a normal positive x: an integer guess and two Newton steps."""
        y = self.op("high_subtract_from", x, _RECIPROCAL_MAGIC)
        for two in (_FIRST_TWO, 2.0):
            y = self.op("multiply", y, self.op("subtract_from", self.op("multiply", x, y), two))
        return y

    def inverse_root(self, x: str) -> str:
        """1 / sqrt(x) of a normal positive x: an integer guess and two Newton steps."""
        y = self.op("high_subtract_from", self.op("high_shift", x, 1), _RSQRT_MAGIC)
        half = self.op("multiply", x, 0.5)
        for _ in range(2):
            y = self.op("multiply", y, self._root_error(half, y))
        return y

    def _root_error(self, half: str, y: str) -> str:
        return self.op("subtract_from", self.op("multiply", self.op("multiply", y, y), half), 1.5)

    def sigmoid(self, x: str, factor: float = 1.0) -> str:
        """1 / (1 + e^(-factor x))."""
        return self.reciprocal(self.op("add", self.exponential(x, -factor), 1.0))

    def gelu(self) -> str:
        """max(x, 0) - |x| / 2 * erfc(|x| / sqrt(2))."""
        size = self.op("maximum", "x", self.op("multiply", "x", -1.0))
        t = self.reciprocal(self.op("multiply_add", size, _ERF[0] / sqrt(2), 1.0))
        poly = self.op("multiply_add", t, _ERF[5], _ERF[4])
        for coefficient in (_ERF[3], _ERF[2], _ERF[1]):
            poly = self.op("add", self.op("multiply", poly, t), coefficient)
        tail = self.op(
            "multiply", self.op("multiply", poly, t), self.exponential(self.op("multiply", size, size), -0.5)
        )
        half = self.op("multiply", self.op("multiply", tail, size), 0.5)
        return self.op("subtract", self.op("maximum", "x", 0.0), half)

    def gelu_tanh(self) -> str:
        """x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))."""
        factor = 2 * sqrt(2 / pi)
        u = self.op("multiply_add", self.op("multiply", "x", "x"), 0.044715 * factor, factor)
        return self.op("multiply", "x", self.sigmoid(self.op("multiply", u, "x")))


_WRITERS: dict[str, Callable[[_Steps], str]] = {
    "exp": lambda s: s.exponential("x"),
    "reciprocal": lambda s: s.reciprocal("x"),
    "inverse_root": lambda s: s.inverse_root("x"),
    "power_of_two": lambda s: s.op("high_and", "x", _EXPONENT_BITS),
    "inverse_power": lambda s: s.op("high_subtract_from", "x", _ONE_TWICE),  # of a power of two, exactly
    "sigmoid": lambda s: s.sigmoid("x"),
    "tanh": lambda s: s.op("multiply_add", s.sigmoid("x", 2.0), 2.0, -1.0),
    "silu": lambda s: s.op("multiply", "x", s.sigmoid("x")),
    "quick_gelu": lambda s: s.op("multiply", "x", s.sigmoid("x", 1.702)),
    "gelu": _Steps.gelu,
    "gelu_tanh": _Steps.gelu_tanh,
}


def _steps(write: Callable[[_Steps], str]) -> tuple[Step, ...]:
    steps = _Steps()
    write(steps)
    return tuple(steps.done)


SEQUENCES: dict[str, tuple[Step, ...]] = {name: _steps(write) for name, write in _WRITERS.items()}


def _alive(steps: tuple[Step, ...]) -> int:
    """Registers that hold something still needed, at most, the argument and the result among them."""
    last = {name: at for at, step in enumerate(steps) for name in (step.a, step.b) if isinstance(name, str)}
    made = {"x": -1} | {step.result: at for at, step in enumerate(steps)}
    return max(sum(made[name] <= at <= last.get(name, at) for name in made) for at in range(len(steps)))


REGISTERS: dict[str, int] = {name: _alive(steps) for name, steps in SEQUENCES.items()}

CALLS: dict[str, int] = {  # of the library's scalar exponential, root and division, by function
    "exp": 1,
    "reciprocal": 1,
    "inverse_root": 2,
    "sigmoid": 2,
    "tanh": 2,
    "silu": 2,
    "quick_gelu": 2,
    "gelu_tanh": 2,
}
