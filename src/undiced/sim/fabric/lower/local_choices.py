"""Lowers what depends on the elements of a value that a core has: marks of ids, copies between layouts, elements by id.

Cores that have the same elements have one role. Knows frames and layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import DType
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.local_elementwise import Groups, immediate
from undiced.sim.fabric.lower.lowered import Blocks
from undiced.sim.fabric.lower.operands import At, converted, held, operations
from undiced.sim.fabric.lower.timed import at_once, timed_calls
from undiced.sim.fabric.lower.walk import Axis, Places, axes, runs
from undiced.sim.fabric.microops import Immediate, Memory, Vector
from undiced.sim.fabric.roles import Role
from undiced.sim.mesh.batch import Ints
from undiced.sim.mesh.identities import along, identities


def mark(i: isa.Mark, frame: Frame) -> Blocks:
    """Of each element of a core's share whether an id is its own, for all ids at once."""
    value = frame.value(i.result)
    own = along(value, value.dims[-1].name, value.dims[-1].size, frame.region.rows, frame.region.columns)
    return _alike(i, frame, own, lambda seen: [_zeros(i.result, frame) + _marked(i, frame, seen)])


def _marked(i: isa.Mark, frame: Frame, seen: tuple[int, ...]) -> list[Vector]:
    outer, size = axes(frame, i.ids), size_of(frame.value(i.result).dtype)
    ids = held(frame, outer, i.ids, i.ids)
    strides, last = frame.strides(i.result), frame.shares.names(i.result)[-1]
    out = list[Vector]()
    for place, each in enumerate(seen):
        there = At(
            frame.address(i.result) + place * strides[last] * size,
            frame.value(i.result).dtype,
            tuple(strides[axis.dim] * axis.part for axis in outer),
        )
        out += operations("equal", outer, there, ids, immediate(each)) if each >= 0 else []
    return out


def place(i: isa.Place, frame: Frame) -> Blocks:
    """A constant everywhere, then what the core both holds and needs, in runs."""
    rows, columns, filled = frame.region.rows, frame.region.columns, frame.position + 1
    given = identities(frame.value(i.a), rows, columns, filled)
    wanted = identities(frame.value(i.result), rows, columns, filled)
    both = np.concatenate([np.broadcast_to(ids, (rows, columns, ids.shape[-1])) for ids in (given, wanted)], axis=-1)
    count = given.shape[-1]
    return _alike(
        i,
        frame,
        both,
        lambda seen: [_zeros(i.result, frame, i.otherwise), _moved(i, frame, seen[:count], seen[count:])],
    )


def pick(i: isa.Pick, frame: Frame) -> Blocks:
    """Element by element, by scalar code that reads where it lies from memory."""
    done, made = work(i, frame.shares), tuple[Vector, ...](_picked(i, frame))
    return tuple(
        (role, tuple(timed_calls(frame.wafer.core, done, made))) for _, role in frame.makers(i.result, i.a, i.ids)
    )


def _picked(i: isa.Pick, frame: Frame) -> Iterator[Vector]:
    ids, scratch = i.ids, frame.scratch()
    if frame.value(ids).dtype is DType.F32:
        first, steps = frame.address(ids), [frame.step(ids, n) for n in range(frame.shares.size(ids))]
    else:
        first, ops = converted(frame, ids, DType.F32, scratch)
        steps = list(range(frame.shares.size(ids)))
        yield from ops
    a, to = (frame.value(name).dtype for name in (i.a, i.result))
    wanted, along = (frame.shares.shape(name)[-1] for name in (ids, i.a))
    for n, step in enumerate(steps):
        row = frame.address(i.a) + size_of(a) * frame.step(i.a, n // wanted * along)
        index, pitch = first + size_of(DType.F32) * step, size_of(a) * frame.strides(i.a)[i.dim]
        there = Memory(frame.address(i.result) + size_of(to) * frame.step(i.result, n), (1,), to)
        yield Vector("move", there, Memory(row, (1,), a, index, pitch))


def _moved(i: isa.Place, frame: Frame, given: tuple[int, ...], wanted: tuple[int, ...]) -> list[Vector]:
    at = {each: n for n, each in reversed(list(enumerate(given)))}
    pairs = [(at[each], n) for n, each in enumerate(wanted) if each >= 0 and each in at]
    steps: list[Places] = [(frame.step(i.a, source), frame.step(i.result, target)) for source, target in pairs]
    out = list[Vector]()
    for first, by, size in runs(steps):
        places = (
            At(frame.address(name) + start * size_of(frame.value(name).dtype), frame.value(name).dtype, (step,))
            for name, start, step in zip((i.result, i.a), reversed(first), reversed(by), strict=True)
        )
        out += operations("move", [Axis("", size, 1)], *places)
    return out


def _zeros(name: str, frame: Frame, otherwise: float = 0.0) -> list[Vector]:
    every = axes(frame, name)
    return operations("move", every, held(frame, every, name, name), Immediate(float(np.float32(otherwise))))


def _alike(i: isa.Mark | isa.Place, frame: Frame, seen: Ints, groups: Callable[[tuple[int, ...]], Groups]) -> Blocks:
    """A block for cores that have the same elements; `seen`: [rows, columns, elements], an axis may have length 1."""
    done = work(i, frame.shares)
    return tuple((role, tuple(at_once(frame.wafer.core, done, groups(each)))) for each, role in _roles(frame, seen))


def _roles(frame: Frame, seen: Ints) -> Iterator[tuple[tuple[int, ...], Role]]:
    keys = [[tuple(map(int, core)) for core in row] for row in seen]
    numbered = sorted(range(len(keys)), key=lambda row: keys[row])
    for columns, rows in groupby(numbered, key=lambda row: keys[row]):
        down = None if seen.shape[0] == 1 else list(rows)
        found: dict[tuple[int, ...], list[int]] = {}
        for column, key in enumerate(columns):
            found.setdefault(key, []).append(column)
        for key, across in found.items():
            yield key, frame.role(down, None if seen.shape[1] == 1 else across)
