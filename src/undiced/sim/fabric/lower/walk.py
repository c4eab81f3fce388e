"""Loops over the elements of values: how far each operand of an operation advances in each. Knows frames, no function.

A loop has a size and a stride for every operand, outermost first. Loops that follow each other in all operands are one;
an operation has few loops, so that the outermost of too many become operations of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from undiced.program.wafer import elements
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.microops import EXTENTS_MAX


@dataclass(frozen=True, slots=True)
class Loop:
    """`size` iterations, and by how many elements each operand advances in one."""

    size: int
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A loop over a value's elements: of dimension `dim` ("" where it has none), `unit` elements apart, which are
    `part` of that dimension's own."""

    dim: str
    size: int
    unit: int
    part: int = 1


def axes(frame: Frame, name: str, *beside: str) -> list[Axis]:
    """Loops over all elements of a value, in their order, cut where it or one as large is picked in runs."""
    shares = frame.shares
    shape, names, unit = shares.shape(name), shares.names(name), shares.size(name)
    dims = names if len(names) == len(shape) else ("",) * len(shape)
    same = [other for other in (name, *beside) if shares.size(other) == shares.size(name)]
    cuts = {run for other in same for run in elements.runs(other, shares)}
    found: list[Axis] = []
    for dim, size in zip(dims, shape, strict=True):
        unit //= size
        found += _cut(dim, size, unit, sorted(cuts, reverse=True))
    return found


def _cut(dim: str, size: int, unit: int, cuts: list[int]) -> Iterator[Axis]:
    whole = unit
    for cut in cuts:
        if unit < cut < unit * size and cut % unit == 0 and unit * size % cut == 0:
            yield Axis(dim, unit * size // cut, cut, cut // whole)
            size = cut // unit
    yield Axis(dim, size, unit)


def flat(axis: Axis, frame: Frame, name: str, like: str) -> int:
    """Elements of `name` (counted in its own order) that an iteration over `like` advances: 0 where it lacks that."""
    shares = frame.shares
    if shares.size(name) == shares.size(like):
        return axis.unit
    if shares.size(name) == 1 or axis.dim not in shares.names(name):
        return 0
    at = shares.names(name).index(axis.dim)
    return prod(shares.shape(name)[at + 1 :]) * axis.part


def lying(axis: Axis, frame: Frame, name: str, like: str) -> int:
    """The same, in elements of memory."""
    if axis.dim in frame.shares.names(name) and frame.lying(name) is not frame.shares:
        return frame.strides(name)[axis.dim] * axis.part
    ahead = flat(axis, frame, name, like)
    return frame.step(name, ahead) if ahead else 0


def merged(loops: list[Loop]) -> list[Loop]:
    """As few loops as there can be."""
    out: list[Loop] = []
    for loop in (loop for loop in loops if loop.size != 1):
        inside = tuple(stride * loop.size for stride in loop.strides)
        if out and out[-1].strides == inside:
            out[-1] = Loop(out[-1].size * loop.size, loop.strides)
        else:
            out.append(loop)
    return out or [Loop(1, (0,) * (len(loops[0].strides) if loops else 1))]


def pieces(loops: list[Loop]) -> Iterator[tuple[tuple[int, ...], list[Loop]]]:
    """Operations with few enough loops: how far into each operand each begins, and its loops."""
    outer, inner = loops[: -EXTENTS_MAX or None], loops[-EXTENTS_MAX:]
    if len(loops) <= EXTENTS_MAX:
        outer = []
    for at in product(*(range(loop.size) for loop in outer)):
        starts = [
            sum(index * loop.strides[n] for index, loop in zip(at, outer, strict=True))
            for n in range(len(loops[0].strides))
        ]
        yield tuple(starts), inner


Places = tuple[int, ...]
Run = tuple[Places, Places, int]
"""Places of several operands that follow each other: the first ones, how far it is to the next, and how many."""


def runs(places: list[Places]) -> Iterator[Run]:
    """As few as there are: each as long as all operands go on equally far."""
    left = places
    while left:
        by = _apart(left[0], left[1]) if len(left) > 1 else (0,) * len(left[0])
        size = 1
        while size < len(left) and _apart(left[size - 1], left[size]) == by:
            size += 1
        yield left[0], by, size
        left = left[size:]


def _apart(one: Places, two: Places) -> Places:
    return tuple(b - a for a, b in zip(one, two, strict=True))


def limited(axes: list[Axis], dim: str, count: int) -> list[Axis]:
    """With `count` iterations along a dimension; -1: as they are."""
    return [replace(axis, size=count) if axis.dim == dim and count >= 0 else axis for axis in axes]
