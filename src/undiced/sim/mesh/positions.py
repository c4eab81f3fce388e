"""What instructions compute that depend on a token's id or position: looked-up rows, caches as rings, masks."""

from __future__ import annotations

import numpy as np

from undiced.core.errors import InvalidRequestError, ProgramFileError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Shard
from undiced.program.wafer.value import shard_of
from undiced.sim.mesh.batch import Ints
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.declarations import Positions


def lookup(cores: Cores, i: isa.Lookup) -> None:
    """The owner of an index copies what belongs to it; the others hold nothing."""
    value, made_of = cores.values[i.table], cores.values.dims(i.result)
    at = next(n for n, dim in enumerate(value.dims) if dim.name not in made_of)
    table, dim = np.moveaxis(cores.full(cores.read(i.table)), 2 + at, 2), value.dims[at]
    part = shard_of(value, dim.name)
    if part is None:
        raise ProgramFileError(f"{i.table} is a table whose rows no cores share.")
    wanted = cores.batch.tokens if i.index == "token" else cores.batch.positions
    if wanted.max() >= dim.size:
        raise InvalidRequestError(f"The {i.index} {wanted.max()} is beyond the {dim.size} rows of {i.table}.")
    share = table.shape[2]
    owner, local = (wanted % part.ways, wanted // part.ways) if part.order == "cyclic" else divmod(wanted, share)
    on_rows = any(isinstance(p, Shard) and p.dim == dim.name for p in value.rows)
    made = np.full((cores.rows, cores.columns, len(wanted), *table.shape[3:]), np.nan, dtype=np.float32)
    for token, (who, row) in enumerate(zip(owner, local, strict=True)):
        here = _core(Axis.ROWS if on_rows else Axis.COLUMNS, int(who))
        made[(*here, token)] = table[(*here, row)]
    cores.owners[i.result] = np.asarray(owner)
    cores.keep(i.result, made)


def _core(axis: Axis, who: int) -> tuple[slice | int, ...]:
    """The index of all cores at place `who` of an axis."""
    return (who, slice(None)) if axis is Axis.ROWS else (slice(None), who)


def append(cores: Cores, i: isa.Append) -> None:
    """At the owner of the position, in its ring."""
    value, a, batch = cores.values[i.cache], cores.full(cores.read(i.a)), cores.batch
    how = cores.values.positions(i.cache)
    axis = cores.values.dims(i.cache).index(POSITION)
    a = cores.rounded(a, value.dtype)
    for token in range(batch.size):
        cache = np.moveaxis(cores.cache(i.cache, int(batch.sequences[token])), 2 + axis, 2)
        local, who = divmod(int(batch.positions[token]) % how.size, how.part.ways)
        for place in range(who, cores.extent(how.axis), how.part.ways):  # outer parts repeat the owner
            here = _core(how.axis, place)
            cache[(*here, local)] = a[(*here, token)]


def _slots(cores: Cores, how: Positions) -> Ints:
    """[rows, columns, 1, share]: ring slots of the positions that a core holds, -1 for padding."""
    who = np.arange(cores.extent(how.axis)) % how.part.ways
    local = np.arange(-(-min(cores.filled, how.size) // how.part.ways))
    slots = who[:, None] + local * how.part.ways
    slots = np.where(slots < how.size, slots, -1)
    return slots[:, None, None] if how.axis is Axis.ROWS else slots[None, :, None]


def mask(cores: Cores, i: isa.Mask) -> None:
    """The newest position of a sequence says which position each slot of its ring holds."""
    batch, how = cores.batch, cores.values.positions(i.a)
    _refuse_overrun(cores, i, how)
    slots = _slots(cores, how)
    newest = batch.lengths[:, None] - 1
    held = newest - (newest - slots) % how.size
    at = batch.positions[:, None]
    seen = (slots >= 0) & (held >= 0) & (held <= at)
    if i.window:
        seen &= held > at - i.window
    if i.chunk:
        seen &= held // i.chunk == at // i.chunk
    a, axis = cores.read(i.a), cores.values.dims(i.a).index(POSITION)
    seen = seen.reshape(*seen.shape[:3], *(1,) * axis, seen.shape[3], *(1,) * (a.ndim - 4 - axis))
    cores.keep(i.result, np.where(seen, a, np.float32(i.otherwise)))


def _refuse_overrun(cores: Cores, i: isa.Mask, how: Positions) -> None:
    """A ring must still hold what the first token of the step may attend to."""
    batch = cores.batch
    if i.chunk:
        oldest = batch.positions // i.chunk * i.chunk
    else:
        oldest = np.maximum(batch.positions - i.window + 1, 0) if i.window else np.zeros_like(batch.positions)
    short = (batch.lengths - oldest > how.size) & (batch.lengths > how.size)
    if short.any():
        raise InvalidRequestError(
            f"{i.node}: a ring of {how.size} positions does not hold what the step's first tokens attend to.",
            remedy="Give fewer tokens of a sequence in a step.",
        )
