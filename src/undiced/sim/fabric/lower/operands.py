"""Operands of vector operations: values where they lie, scratch beside them, and the operations over their elements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, Scratch, size_of
from undiced.sim.fabric.lower.walk import Axis, Loop
from undiced.sim.fabric.microops import Function, Immediate, Memory, Vector


@dataclass(frozen=True, slots=True)
class At:
    """Elements of memory from `address` on, and how far it is to the next along each axis.

    Attributes:
        index, pitch: the byte of a number that says how many times so many bytes further on they lie; -1: none does.
    """

    address: int
    dtype: DType
    strides: tuple[int, ...]
    index: int = -1
    pitch: int = 0


def held(frame: Frame, axes: Iterable[Axis], name: str, like: str, which: int = 0) -> At:
    """A value where it lies, over axes of the value `like`."""
    strides = tuple(walk.lying(axis, frame, name, like) for axis in axes)
    return At(frame.address(name, which), frame.value(name).dtype, strides)


def copied(frame: Frame, axes: Iterable[Axis], name: str, like: str, dtype: DType, scratch: Scratch) -> At:
    """Room for a copy of a value, element by element, over axes of the value `like`."""
    strides = tuple(walk.flat(axis, frame, name, like) for axis in axes)
    return At(scratch.take(frame.shares.size(name) * size_of(dtype)), dtype, strides)


def operations(function: Function, axes: Iterable[Axis], target: At, *sources: At | Immediate) -> list[Vector]:
    """target = function(sources), element by element, by as few operations as there can be."""
    lying = [target, *(source for source in sources if isinstance(source, At))]
    loops = [Loop(axis.size, tuple(each.strides[n] for each in lying)) for n, axis in enumerate(axes)]
    out = []
    for starts, inner in walk.pieces(walk.merged(loops) if loops else walk.merged([Loop(1, (0,) * len(lying))])):
        places = iter(
            Memory(
                each.address + start * size_of(each.dtype),
                tuple(loop.strides[n] for loop in inner),
                each.dtype,
                each.index,
                each.pitch,
            )
            for n, (each, start) in enumerate(zip(lying, starts, strict=True))
        )
        to = next(places)
        operands = [source if isinstance(source, Immediate) else next(places) for source in sources]
        a, b, c = (*operands, None, None)[:3]
        assert a is not None
        out.append(Vector(function, to, a, b, c, tuple(loop.size for loop in inner)))
    return out


def converted(frame: Frame, name: str, to: DType, scratch: Scratch, which: int = 0) -> tuple[int, list[Vector]]:
    """A value in another type: where, and the operations that put it there."""
    axes = walk.axes(frame, name)
    copy = copied(frame, axes, name, name, to, scratch)
    return copy.address, operations("move", axes, copy, held(frame, axes, name, name, which))
