"""Lowers what is computed element by element: two values, a value and a constant, copies, fills, rotations."""

from __future__ import annotations

import numpy as np

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import wide, widest
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, Scratch, size_of
from undiced.sim.fabric.lower.operands import At, copied, held, operations
from undiced.sim.fabric.lower.walk import Axis
from undiced.sim.fabric.microops import Function, Immediate, Vector

Groups = list[list[Vector]]


def immediate(value: float) -> Immediate:
    """A constant as cores hold it."""
    return Immediate(float(np.float32(value)))


def operand(
    frame: Frame, axes: list[Axis], name: str, like: str, wanted: DType, scratch: Scratch, which: int, groups: Groups
) -> At:
    """A value in the width of `wanted`, over axes of `like`; what converts it goes before."""
    if wide(frame.value(name).dtype) == wide(wanted):
        return held(frame, axes, name, like, which)
    own = walk.axes(frame, name)
    copy = copied(frame, own, name, name, wanted, scratch)
    groups.append(operations("move", own, copy, held(frame, own, name, name, which)))
    return At(copy.address, wanted, tuple(walk.flat(axis, frame, name, like) for axis in axes))


def result(
    frame: Frame, axes: list[Axis], name: str, like: str, made: DType, scratch: Scratch, groups: Groups
) -> tuple[At, Groups]:
    """Where an operation of type `made` puts a value, and what converts that afterwards."""
    final = held(frame, axes, name, like)
    if wide(made) == wide(final.dtype):
        return final, []
    copy = copied(frame, axes, name, like, made, scratch)
    return copy, [operations("move", axes, final, copy)]


def combine(i: isa.Combine, frame: Frame, which: int) -> Groups:
    """Sums and differences take both widths; others have one operand converted first."""
    axes = walk.axes(frame, i.a, i.b, i.result)
    kinds = [frame.value(name).dtype for name in (i.a, i.b, i.result)]
    made, scratch, groups = widest(*kinds), frame.scratch(), Groups()
    if i.operation in ("add", "subtract"):
        sources = [held(frame, axes, name, i.a, which) for name in (i.a, i.b)]
    else:
        sources = [operand(frame, axes, name, i.a, made, scratch, which, groups) for name in (i.a, i.b)]
    target, after = result(frame, axes, i.result, i.a, made, scratch, groups)
    return [*groups, operations(i.operation, axes, target, *sources), *after]


def scale(i: isa.Scale, frame: Frame, which: int) -> Groups:
    """One operation, and a conversion where the result is narrower."""
    sources = [immediate(i.constant)]
    if i.operation == "multiply_add":
        sources.append(immediate(i.addend))
    return _unary(i.operation, i.a, i.result, frame, which, *sources)


def _unary(function: Function, a: str, made: str, frame: Frame, which: int, *sources: Immediate) -> Groups:
    axes = walk.axes(frame, a, made)
    kind = widest(frame.value(a).dtype, frame.value(made).dtype)
    target, after = result(frame, axes, made, a, kind, frame.scratch(), [])
    return [operations(function, axes, target, held(frame, axes, a, a, which), *sources), *after]


def copy(i: isa.Copy, frame: Frame, which: int) -> Groups:
    """One operation, whatever the types."""
    axes = walk.axes(frame, i.a, i.result)
    return [operations("move", axes, held(frame, axes, i.result, i.a), held(frame, axes, i.a, i.a, which))]


def fill(i: isa.Fill, frame: Frame, which: int) -> Groups:
    """Stores alone."""
    axes = walk.axes(frame, i.result)
    return [operations("move", axes, held(frame, axes, i.result, i.result), immediate(i.constant))]


def rotate(i: isa.Rotate, frame: Frame, which: int) -> Groups:
    """Two products and their sum; for the second the elements of each pair are read in turn."""
    axes = _by_pairs(walk.axes(frame, i.a, i.result))
    names = (i.a, i.cosine, i.sine)
    made = widest(frame.value(i.a).dtype, *(frame.value(name).dtype for name in (i.result, i.cosine, i.sine)))
    scratch, groups = frame.scratch(), Groups()
    a, cosine, sine = (operand(frame, axes, name, i.a, made, scratch, which, groups) for name in names)
    first, second = (copied(frame, axes, i.a, i.a, made, scratch) for _ in range(2))
    target, after = result(frame, axes, i.result, i.a, made, scratch, groups)
    return [
        *groups,
        operations("multiply", axes, first, a, cosine),
        operations("multiply", axes, second, _exchanged(a), sine),
        operations("add", axes, target, first, second),
        *after,
    ]


def _by_pairs(axes: list[Axis]) -> list[Axis]:
    """With a last axis of two."""
    *outer, last = axes
    if last.size == 2:
        return axes
    return [
        *outer,
        Axis(last.dim, last.size // 2, 2 * last.unit, 2 * last.part),
        Axis(last.dim, 2, last.unit, last.part),
    ]


def _exchanged(a: At) -> At:
    """The second of each pair before the first."""
    *outer, last = a.strides
    return At(a.address + last * size_of(a.dtype), a.dtype, (*outer, -last))
