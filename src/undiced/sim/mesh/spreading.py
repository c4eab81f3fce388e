"""Whole arrays to shares on cores and back, by the layout of a value. Knows no instruction and no program.

Shares are [rows, columns, *lead, *local]; an axis along which all cores hold the same has length 1. Padding, and cores
beyond the parts of an axis, hold 0: that is what a loader clears memory to.
"""

from __future__ import annotations

import numpy as np

from undiced.program.wafer.layout import Shard, ways
from undiced.program.wafer.value import Value, shard_of
from undiced.sim.mesh.rounding import F32


def spread(value: Value, whole: F32, rows: int, columns: int) -> F32:
    """Shares of a whole array [*lead, *dims] over the dimensions of `value`, as an array of its own."""
    lead = whole.ndim - len(value.dims)
    array = _padded(value, whole, lead)
    shape = list(array.shape[:lead])
    sharing: dict[str, int] = {}  # dimension: the axis of `array` that counts the cores which share it
    local = list(range(lead))
    for dim, size in zip(value.dims, array.shape[lead:], strict=True):
        part = shard_of(value, dim.name)
        if part is None:
            local.append(len(shape))
            shape.append(size)
            continue
        cyclic = part.order == "cyclic"
        local.append(len(shape) + (not cyclic))
        sharing[dim.name] = len(shape) + cyclic
        shape += [size // part.ways, part.ways] if cyclic else [part.ways, size // part.ways]
    shards = [part.dim for part in (*value.rows, *value.columns) if isinstance(part, Shard)]
    return _over_cores(value, array.reshape(shape).transpose(*(sharing[d] for d in shards), *local), rows, columns)


def _padded(value: Value, whole: F32, lead: int) -> F32:
    """Every dimension that is shared out, up to a multiple of its cores."""
    parts = [shard_of(value, dim.name) for dim in value.dims]
    missing = [-size % part.ways if part else 0 for size, part in zip(whole.shape[lead:], parts, strict=True)]
    return np.pad(whole, [(0, 0)] * lead + [(0, more) for more in missing]) if any(missing) else whole


def _over_cores(value: Value, array: F32, rows: int, columns: int) -> F32:
    """From [ways of shards..., *local] to cores: repeated where parts repeat, 0 beyond the parts."""
    parts = (*value.rows, *value.columns)
    local = array.shape[sum(isinstance(part, Shard) for part in parts) :]
    for number, part in enumerate(parts):
        if not isinstance(part, Shard):
            array = np.expand_dims(array, number)
    array = np.broadcast_to(array, (*(part.ways for part in parts), *local))
    taken = ways(value.rows), ways(value.columns)  # 1 where there are no parts
    wanted = rows if value.rows else 1, columns if value.columns else 1
    if taken == wanted:
        return np.array(array, dtype=np.float32, order="C").reshape(*wanted, *local)
    out = np.zeros((*wanted, *local), dtype=np.float32)
    out[: taken[0], : taken[1]] = array.reshape(*taken, *local)
    return out


def gather(value: Value, shares: F32, lead: int = 0) -> F32:
    """The inverse: the whole array [*lead, *dims]. Of what parts repeat, the first core's counts."""
    taken = ways(value.rows), ways(value.columns)
    shares = np.broadcast_to(shares, (*map(max, taken, shares.shape[:2]), *shares.shape[2:]))
    parts = (*value.rows, *value.columns)
    array = shares[: taken[0], : taken[1]].reshape((*(part.ways for part in parts), *shares.shape[2:]))
    for number in reversed(range(len(parts))):
        if not isinstance(parts[number], Shard):
            array = array.take([0], number).squeeze(number)
    shards = [part for part in parts if isinstance(part, Shard)]
    order = [len(shards) + number for number in range(lead)]
    sizes = list(shares.shape[2 : 2 + lead])
    for number, dim in enumerate(value.dims):
        part, own = shard_of(value, dim.name), len(shards) + lead + number
        pair = [] if part is None else [shards.index(part)]
        order += [own, *pair] if part is not None and part.order == "cyclic" else [*pair, own]
        sizes.append(array.shape[own] * (part.ways if part is not None else 1))
    whole: F32 = array.transpose(order).reshape(sizes)
    return whole[(slice(None),) * lead + tuple(slice(dim.size) for dim in value.dims)]
