"""Lowers what depends on a token's id or position: looked-up rows, caches as rings, masks."""

from __future__ import annotations

import numpy as np

from undiced.core.errors import UnsupportedError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Shard
from undiced.program.wafer.value import GROUPS, shard_of
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.local_tables import integers
from undiced.sim.fabric.lower.lowered import Blocks
from undiced.sim.fabric.lower.operands import At, held, operations
from undiced.sim.fabric.lower.timed import at_once
from undiced.sim.fabric.microops import Immediate, Vector


def lookup(i: isa.Lookup, frame: Frame) -> Blocks:
    """The owner copies the row that the token's id or position says."""
    if frame.value(i.table).dtype in GROUPS:
        made = tuple(at_once(frame.wafer.core, work(i, frame.shares), integers(i, frame)))
        return tuple((role, made) for _, role in frame.makers(i.result))
    axes = walk.axes(frame, i.result)
    table = held(frame, axes, i.table, i.result)
    strides = frame.strides(i.table)
    first = frame.row(i.result) * strides[frame.row_dim(i.table, i.result)]
    here = At(
        table.address + first * size_of(table.dtype), table.dtype, tuple(strides[axis.dim] * axis.part for axis in axes)
    )
    group = operations("move", axes, held(frame, axes, i.result, i.result), here)
    ops = tuple(at_once(frame.wafer.core, work(i, frame.shares), [group]))
    return tuple((role, ops) for _, role in frame.makers(i.result))


def append(i: isa.Append, frame: Frame) -> Blocks:
    """The owner of the position puts it into its ring."""
    axes = walk.axes(frame, i.a)
    strides = frame.strides(i.cache)
    part, axis, size = _ring(i.cache, frame)
    local, who = divmod(frame.position % size, part.ways)
    dtype = frame.value(i.cache).dtype
    first = frame.address(i.cache) + local * strides[POSITION] * size_of(dtype)
    there = At(first, dtype, tuple(strides[each.dim] * each.part for each in axes))
    group = operations("move", axes, there, held(frame, axes, i.a, i.a))
    extent = frame.region.rows if axis is Axis.ROWS else frame.region.columns
    places = range(who, extent, part.ways)
    role = frame.role(places) if axis is Axis.ROWS else frame.role(None, places)
    return ((role, tuple(at_once(frame.wafer.core, work(i, frame.shares), [group]))),)


def _ring(cache: str, frame: Frame) -> tuple[Shard, Axis, int]:
    value = frame.value(cache)
    part = shard_of(value, POSITION)
    assert part is not None, cache
    axis = Axis.ROWS if part in value.rows else Axis.COLUMNS
    return part, axis, next(dim.size for dim in value.dims if dim.name == POSITION)


def mask(i: isa.Mask, frame: Frame) -> Blocks:
    """Slots of positions that may not be attended to are overwritten; cores with the same slots have one role.

    Nothing where every filled position may be attended to: what sums over positions takes the filled ones alone.

    Raises:
        UnsupportedError: the result is not what is masked.
    """
    if frame.address(i.result) != frame.address(i.a):
        raise UnsupportedError(
            f"{i.node} keeps {i.result} apart from {i.a}.", remedy="Compile the program again: masks work in place."
        )
    done = work(i, frame.shares)
    if not done.vectors:
        return ()
    part, axis, size = _ring(i.a, frame)
    share = frame.shares.shape(i.a)[frame.shares.names(i.a).index(POSITION)]
    places: dict[tuple[int, ...], list[int]] = {}
    for place in range(frame.region.rows if axis is Axis.ROWS else frame.region.columns):
        slots = (place % part.ways + local * part.ways for local in range(share))
        hidden = tuple(n for n, slot in enumerate(slots) if not _seen(i, slot, size, frame.position))
        places.setdefault(hidden, []).append(place)
    return tuple(
        (
            frame.role(at) if axis is Axis.ROWS else frame.role(None, at),
            tuple(at_once(frame.wafer.core, done, [[], _overwritten(i, hidden, frame)])),
        )
        for hidden, at in places.items()
    )


def _seen(i: isa.Mask, slot: int, size: int, at: int) -> bool:
    """Whether the position in a slot of the ring may be attended to from position `at`, the newest."""
    held = at - (at - slot) % size
    if slot >= size or held < 0:
        return False
    return not ((i.window and held <= at - i.window) or (i.chunk and held // i.chunk != at // i.chunk))


def _overwritten(i: isa.Mask, hidden: tuple[int, ...], frame: Frame) -> list[Vector]:
    """`otherwise` in some slots of every head."""
    axes = [axis for axis in walk.axes(frame, i.a) if axis.dim != POSITION]
    held_, by, size = held(frame, axes, i.a, i.a), frame.strides(i.a)[POSITION], size_of(frame.value(i.a).dtype)
    otherwise = Immediate(float(np.float32(i.otherwise)))
    out: list[Vector] = []
    for slot in hidden:
        out += operations("move", axes, At(held_.address + slot * by * size, held_.dtype, held_.strides), otherwise)
    return out
