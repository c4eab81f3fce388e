"""Lowers functions: the steps of a sequence, or of the library's functions, over registers in scratch memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.sequences import SEQUENCES, Step
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, Scratch
from undiced.sim.fabric.lower.local_elementwise import Groups, immediate, operand, result
from undiced.sim.fabric.lower.operands import At, copied, held, operations
from undiced.sim.fabric.lower.walk import Axis
from undiced.sim.fabric.microops import Function, Immediate, Vector

_INTEGERS = frozenset({"high_subtract_from", "high_and", "high_shift", "low_to_high_shift"})  # of integer constants


@dataclass(frozen=True, slots=True)
class _Call:
    """register = function(operands), of registers and constants."""

    function: Function
    result: str
    operands: tuple[str | Immediate, ...]


def apply(i: isa.Apply, frame: Frame, which: int) -> Groups:
    """The steps in 32-bit floats, with conversions around them."""
    axes, scratch, groups = walk.axes(frame, i.a, i.result), frame.scratch(), Groups()
    x = operand(frame, axes, i.a, i.a, DType.F32, scratch, which, groups)
    target, after = result(frame, axes, i.result, i.a, DType.F32, scratch, groups)
    return [*groups, *_walked(tuple(map(_call, SEQUENCES[i.function])), axes, x, target, i, frame, scratch), *after]


def library(i: isa.Apply, frame: Frame, which: int) -> list[Vector]:
    """The library's scalar code, operation by operation."""
    axes = walk.axes(frame, i.a, i.result)
    x, target = held(frame, axes, i.a, i.a, which), held(frame, axes, i.result, i.a)
    found = _walked(_LIBRARY[i.function], axes, x, target, i, frame, frame.scratch())
    return [operation for group in found for operation in group]


def _walked(
    calls: Sequence[_Call], axes: list[Axis], x: At, target: At, i: isa.Apply, frame: Frame, scratch: Scratch
) -> Groups:
    """A register's memory is free for others after its last use."""
    registers, spare, groups = {"x": x}, list[At](), Groups()
    for number, call in enumerate(calls):
        sources = [each if isinstance(each, Immediate) else registers[each] for each in call.operands]
        to = target
        if number < len(calls) - 1:
            to = spare.pop() if spare else copied(frame, axes, i.a, i.a, DType.F32, scratch)
        groups.append(operations(call.function, axes, to, *sources))
        needed = {"x", *(name for later in calls[number + 1 :] for name in later.operands)}
        spare += [registers.pop(name) for name in list(registers) if name not in needed]
        registers[call.result] = to
    return groups


def _call(step: Step) -> _Call:
    """b + a * c is a multiply-add that adds b."""
    if isinstance(step.b, str):
        b: str | Immediate = step.b
    else:
        b = Immediate(step.b) if step.kind in _INTEGERS else immediate(step.b)
    if step.kind == "scaled_add":
        return _Call("multiply_add", step.result, (step.a, immediate(step.c), b))
    if step.kind == "multiply_add":
        return _Call("multiply_add", step.result, (step.a, b, immediate(step.c)))
    return _Call(step.kind, step.result, (step.a, b))


def _one(function: Function) -> tuple[_Call, ...]:
    return (_Call(function, "y", ("x",)),)


def _gated(*before: _Call) -> tuple[_Call, ...]:
    """x times the sigmoid of what comes before."""
    of = before[-1].result if before else "x"
    return (*before, _Call("sigmoid", "s", (of,)), _Call("multiply", "y", ("x", "s")))


_LIBRARY: dict[str, tuple[_Call, ...]] = {
    "exp": _one("exp"),
    "reciprocal": _one("reciprocal"),
    "inverse_root": _one("inverse_root"),
    "sigmoid": _one("sigmoid"),
    "tanh": _one("tanh"),
    "silu": _gated(),
    "quick_gelu": _gated(_Call("multiply", "u", ("x", immediate(1.702)))),
    "gelu_tanh": _gated(
        _Call("multiply", "p", ("x", immediate(0.044715))),
        _Call("multiply", "q", ("p", "x")),
        _Call("multiply", "r", ("q", "x")),
        _Call("add", "t", ("x", "r")),
        _Call("multiply", "u", ("t", immediate(1.5957691))),
    ),
}
