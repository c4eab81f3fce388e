"""Whole arrays to shares on cores and back, by the layout of a value. Knows no instruction and no program."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.layout import Shard, Spread, ways
from undiced.program.wafer.value import Value, shard_of

F32 = NDArray[np.float32]


def spread(value: Value, whole: F32, rows: int, columns: int) -> F32:
    """Shares [rows, columns, *local] of a whole array over the dimensions of `value`; padding and idle cores hold 0."""
    split = [_padded(whole, axis, dim.name, value) for axis, dim in enumerate(value.dims)]
    array = np.pad(whole, [(0, more) for more, _ in split]) if split else np.asarray(whole)
    shape: list[int] = []
    where: dict[str, int] = {}
    local: list[int] = []
    for dim, (_, part), size in zip(value.dims, split, array.shape, strict=True):
        if part is None:
            local.append(len(shape))
            shape.append(size)
            continue
        share = size // part.ways
        cyclic = part.order == "cyclic"
        shape += [share, part.ways] if cyclic else [part.ways, share]
        where[dim.name] = len(shape) - 1 - (not cyclic)
        local.append(len(shape) - 1 - cyclic)
    array = array.reshape(shape)
    ways_axes = [where[p.dim] for p in (*value.rows, *value.columns) if isinstance(p, Shard)]
    array = array.transpose(*ways_axes, *local)
    return _over_cores(array, value, rows, columns)


def _padded(whole: F32, axis: int, dim: str, value: Value) -> tuple[int, Shard | None]:
    part = shard_of(value, dim)
    size = whole.shape[axis]
    return (0 if part is None else -size % part.ways), part


def _over_cores(array: F32, value: Value, rows: int, columns: int) -> F32:
    """From [ways of shards..., *local] to all cores: repeated where parts repeat, 0 beyond the parts."""
    local = array.shape[len([p for p in (*value.rows, *value.columns) if isinstance(p, Shard)]) :]
    expanded, taken = array, 0
    shape: list[int] = []
    for part in (*value.rows, *value.columns):
        if not isinstance(part, Shard):
            expanded = np.expand_dims(expanded, taken)
        shape.append(part.ways)
        taken += 1
    expanded = np.broadcast_to(expanded, (*shape, *local))
    r, c = (ways(value.rows) if value.rows else 1), (ways(value.columns) if value.columns else 1)
    compact = expanded.reshape(r, c, *local)
    full = (rows if not value.rows else r, columns if not value.columns else c)
    compact = np.broadcast_to(compact, (*full, *local))
    if full == (rows, columns):
        return np.array(compact, dtype=np.float32)
    out = np.zeros((rows, columns, *local), dtype=np.float32)
    out[: full[0], : full[1]] = compact
    return out


def gather(value: Value, shares: F32, lead: int = 0, root: tuple[int, int] = (0, 0)) -> F32:
    """The inverse: the whole array [*lead dimensions, *dims] of shares [rows, columns, *lead dimensions, *local].

    Repeated parts are read from the core `root` of its row and column, where it is enough that one holds them.
    """
    r, c = (ways(value.rows) if value.rows else 1), (ways(value.columns) if value.columns else 1)
    array = shares[:r, :c].reshape(*_ways(value.rows), *_ways(value.columns), *shares.shape[2:])
    parts = (*value.rows, *value.columns)
    for axis in reversed(range(len(parts))):
        if not isinstance(parts[axis], Shard):
            array = array.take(root[axis >= len(value.rows)], axis)
    shards = [p for p in parts if isinstance(p, Shard)]
    order: list[int] = [len(shards) + i for i in range(lead)]
    sizes: list[int] = list(array.shape[len(shards) : len(shards) + lead])
    for i, dim in enumerate(value.dims):
        part = shard_of(value, dim.name)
        own = len(shards) + lead + i
        if part is None:
            order.append(own)
            sizes.append(array.shape[own])
            continue
        pair = [shards.index(part), own]
        order += pair[::-1] if part.order == "cyclic" else pair
        sizes.append(array.shape[own] * part.ways)
    whole = array.transpose(order).reshape(sizes)
    return whole[(..., *(slice(dim.size) for dim in value.dims))] if value.dims else whole


def _ways(parts: Spread) -> list[int]:
    return [part.ways for part in parts] or [1][:0]

