"""What instructions compute that look for the largest, or take elements by index; and `Place`."""

from __future__ import annotations

import numpy as np
from msgspec import structs

from undiced.program.wafer import instruction as isa
from undiced.sim.mesh.batch import Ints
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.identities import identities
from undiced.sim.mesh.rounding import F32


def select(cores: Cores, i: isa.Select) -> None:
    """Of equal values the one of lowest index comes first; padding comes last, with index -1,
    and carries 0."""
    dims, result = cores.values[i.a].dims, cores.values[i.result].dims
    kept, count = len(result) - 2, result[-1].size
    a, ids = _listed(cores.read(i.a), kept), _last_ids(cores, i.a, len(dims) - kept)
    valued = np.where(ids >= 0, a, np.float32(-np.inf))
    if count == 1:
        order = valued.argmax(axis=-1, keepdims=True)
    else:
        order = np.argsort(-valued, axis=-1, kind="stable")[..., :count]
    chosen = np.take_along_axis(np.broadcast_to(ids, valued.shape), order, -1).astype(np.float32)
    rows = [(np.take_along_axis(valued, order, -1), -np.inf), (chosen, -1.0)]
    if i.carried:
        carried = np.where(ids >= 0, _listed(cores.read(i.carried), kept), np.float32(0))
        rows.append((np.take_along_axis(carried, order, -1), 0.0))
    more = [(0, 0)] * (a.ndim - 1) + [(0, count - order.shape[-1])]
    cores.keep(i.result, np.stack([np.pad(row, more, constant_values=empty) for row, empty in rows], axis=3))


def _listed(array: F32, kept: int) -> F32:
    """All dimensions of a share behind the first `kept` as one."""
    return array.reshape(*array.shape[: 3 + kept], -1)


def _last_ids(cores: Cores, name: str, last: int = 1) -> Ints:
    """The flat index over its last dimensions of each element of a share, beside an array where those are one."""
    value = cores.values[name]
    part = structs.replace(value, dims=value.dims[len(value.dims) - last :])
    ids = identities(part, cores.rows, cores.columns)
    return ids.reshape(*ids.shape[:2], *(1,) * (len(value.dims) - last + 1), ids.shape[-1])


def draw(cores: Cores, i: isa.Draw) -> None:
    """The likeliest: lists have the largest first."""
    lists = cores.read(i.a)
    cores.keep(i.result, lists[:, :, :, 1, :1].copy())


def mark(cores: Cores, i: isa.Mark) -> None:
    """Ids that a core's share does not have mark nothing there."""
    wanted = cores.read(i.ids)[..., None]
    cores.keep(i.result, (wanted == _last_ids(cores, i.result)).astype(np.float32))


def pick(cores: Cores, i: isa.Pick) -> None:
    """Every core that takes part holds the whole of the last dimension."""
    a, ids = cores.full(cores.read(i.a)), cores.full(cores.read(i.ids))
    cores.keep(i.result, np.take_along_axis(a, np.nan_to_num(ids).astype(np.int64), -1))


def place(cores: Cores, i: isa.Place) -> None:
    """Each core keeps what it both holds and needs."""
    a = cores.full(cores.read(i.a))
    held = identities(cores.values[i.a], cores.rows, cores.columns, cores.filled)
    wanted = identities(cores.values[i.result], cores.rows, cores.columns, cores.filled)
    flat = a.reshape(*a.shape[:3], -1)
    made = np.full((*a.shape[:3], wanted.shape[-1]), i.otherwise, dtype=np.float32)
    for row in range(cores.rows):  # row by row, because a match is elements by elements
        held_row, wanted_row = np.broadcast_arrays(held[row, :, None, :], wanted[row, :, :, None])
        match = (held_row == wanted_row) & (wanted_row >= 0)
        taken = np.take_along_axis(flat[row], match.argmax(axis=2)[:, None], -1)
        np.copyto(made[row], taken, where=match.any(axis=2)[:, None])
    cores.keep(i.result, made.reshape(*a.shape[:3], *cores.shape(i.result)))
