"""Lowers what prompts have whose tokens lie over cores: rows that the host sends, and scores that are not attended to.

Knows frames and positions. A prompt's positions are counted over blocks of cores, padding included.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Shard
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.lowered import Blocks
from undiced.sim.fabric.lower.operands import At, held, operations
from undiced.sim.fabric.lower.payload import moving
from undiced.sim.fabric.lower.timed import at_once
from undiced.sim.fabric.microops import Delay, Immediate, Vector

Seen = NDArray[np.bool_]


def read(i: isa.Read, frame: Frame) -> Blocks:
    """What the host has sent is there once its links have had their time. Its way over the wafer is not simulated."""
    system, haul = frame.wafer.system, work(i, frame.shares).haul
    assert haul is not None
    seconds = haul.host_bytes / system.host_to_device_bytes_per_s.value
    axes, dtype, count = walk.axes(frame, i.result), frame.value(i.result).dtype, frame.shares.size(i.result)
    sent = At(frame.hosted[i.result], dtype, tuple(axis.unit for axis in axes))
    (*others, last) = operations("move", axes, held(frame, axes, i.result, i.result), sent)
    setup = frame.wafer.core.straight_setup_cycles.value
    taken = Vector(
        last.function, last.target, last.a, extents=last.extents, setup=setup,
        cycles=moving(frame.wafer.core, dtype, dtype, count),
    )  # fmt: skip
    return ((frame.role(), (Delay(seconds * system.clock_hz.value), *others, taken)),)


def causal(i: isa.Causal, frame: Frame) -> Blocks:
    """Scores that a position may not attend to are overwritten; cores that hide the same ones have one role."""
    core, done, size = frame.wafer.core, work(i, frame.shares), size_of(frame.value(i.result).dtype)
    axes = walk.axes(frame, i.a, i.result)
    to, given = (held(frame, axes, name, i.a) for name in (i.result, i.a))
    copied = [] if frame.address(i.result) == frame.address(i.a) else operations("move", axes, to, given)
    steps = [frame.step(i.result, n) for n in range(frame.shares.size(i.result))]
    otherwise = Immediate(float(np.float32(i.otherwise)))
    blocks = []
    for hidden, rows, columns in _alike(~_seen(i, frame)):
        out = list(copied)
        for (first,), (by,), count in walk.runs([(steps[n],) for n in hidden]):
            there = At(to.address + first * size, to.dtype, (by,))
            out += operations("move", [walk.Axis("", count, 1)], there, otherwise)
        blocks.append((frame.role(rows, columns), tuple(at_once(core, done, [[], out]))))
    return tuple(blocks)


def _seen(i: isa.Causal, frame: Frame) -> Seen:
    """[rows, columns, elements of the result]: whether the query of an element may attend to its key."""
    query, key = (_positions(i.result, dim, frame) for dim in (i.query, i.key))
    seen = key <= query
    if i.window:
        seen &= key > query - i.window
    if i.chunk:
        seen &= key // i.chunk == query // i.chunk
    rows, columns = frame.region.rows, frame.region.columns
    return np.broadcast_to(seen, (rows, columns, *seen.shape[2:])).reshape(rows, columns, -1)


def _positions(name: str, dim: str, frame: Frame) -> NDArray[np.int64]:
    """The position of each element along a dimension that an axis shares in blocks: [rows, columns, *share], of length
    1 where all are alike."""
    value, names, shape = frame.value(name), frame.shares.names(name), frame.shares.shape(name)
    at = names.index(dim)
    down = any(isinstance(part, Shard) and part.dim == dim for part in value.rows)
    extent = frame.region.rows if down else frame.region.columns
    found = np.arange(extent * shape[at]).reshape(extent, *(shape[at] if n == at else 1 for n in range(len(names))))
    return found[:, None] if down else found[None]


def _alike(hidden: Seen) -> Iterator[tuple[tuple[int, ...], list[int], list[int]]]:
    """Which elements some cores hide, with those cores as rows by columns."""
    kinds, numbers = np.unique(hidden.reshape(-1, hidden.shape[2]), axis=0, return_inverse=True)
    grid = numbers.reshape(hidden.shape[:2])
    for number, kind in enumerate(kinds):
        places = tuple(int(n) for n in np.flatnonzero(kind))
        found: dict[tuple[int, ...], list[int]] = {}
        for row in range(len(grid)):
            columns = tuple(int(n) for n in np.flatnonzero(grid[row] == number))
            if columns:
                found.setdefault(columns, []).append(row)
        for columns, rows in found.items():
            yield places, rows, list(columns)
