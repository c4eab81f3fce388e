"""What products by shifted tiles compute, step by step as tiles pass, and what prompts need that lie over cores."""

from __future__ import annotations

import numpy as np

from undiced.core.errors import ProgramFileError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Shard
from undiced.program.wafer.shifts import ring
from undiced.program.wafer.value import DType
from undiced.sim.mesh.batch import Ints
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.products import halves, tile
from undiced.sim.mesh.rounding import F32
from undiced.sim.mesh.spreading import spread


def _passing(cores: Cores, step: int) -> tuple[Ints, Ints, Ints]:
    """Rows, columns, and the block of the summed dimension that each core has in a step, all by their places."""
    rows, columns = np.arange(cores.rows)[:, None], np.arange(cores.columns)[None, :]
    order = np.array(ring(cores.rows))
    number = np.argsort(order)
    return rows, columns, order[(number[rows] + number[columns] + step) % cores.rows]


def shift_product(cores: Cores, i: isa.ShiftProduct) -> None:
    """In step s core (r, c) of the rings multiplies block r + c + s of its row's x and its column's other operand."""
    x, other = cores.full(cores.read(i.x)), _tiles(cores, i.a)
    total: F32 | None = None
    for step in range(cores.rows):
        rows, columns, block = _passing(cores, step)
        total = tile(cores, i.x, i.result, x[rows, block], other[block, columns], cores.values.dims(i.a), total)
    assert total is not None
    cores.keep(i.result, total, _kept(cores, i.result))


def _tiles(cores: Cores, name: str) -> F32:
    """[rows, columns, *share]: a weight, or what the prompt made of one."""
    array = cores.full(cores.read(name))
    return array if cores.values.constant(name) else array[:, :, 0]


def _kept(cores: Cores, result: str) -> DType:
    return cores.values[result].dtype if halves(cores, result) else DType.F32


def shift_scores(cores: Cores, i: isa.ShiftScores) -> None:
    """In step s the cores of row r hold block r + s of `a`; the core of that column is the chains' root."""
    x, other = cores.full(cores.read(i.x)), _tiles(cores, i.a)
    made: F32 | None = None
    for step in range(cores.rows):
        rows, columns, _ = _passing(cores, step)
        order = np.array(ring(cores.rows))
        root = order[(np.argsort(order)[rows] + step) % cores.rows]
        terms = tile(cores, i.x, i.result, x, other[root, columns], cores.values.dims(i.a), None)
        joined = _chained(cores, i.result, terms, root[:, 0])
        if made is None:
            made = np.zeros_like(terms)
        made[rows[:, 0], root[:, 0]] = joined
    assert made is not None
    cores.keep(i.result, made, _kept(cores, i.result))


def _chained(cores: Cores, result: str, terms: F32, roots: Ints) -> F32:
    """[rows, tokens, *share] at each row's root: both arms, hop by hop, the lower one first."""
    kept = cores.values[result].dtype

    def added(a: F32, b: F32) -> F32:
        return cores.rounded(a + b, kept)

    lower, upper = terms.copy(), terms.copy()
    last = terms.shape[1] - 1
    for column in range(1, last + 1):
        lower[:, column] = added(terms[:, column], lower[:, column - 1])
        upper[:, last - column] = added(terms[:, last - column], upper[:, last - column + 1])
    rows = np.arange(terms.shape[0])
    at = lower[rows, roots]
    beyond = upper[rows, np.minimum(roots + 1, last)]
    more = (roots < last).reshape(-1, *(1,) * (at.ndim - 1))
    return np.where(more, added(at, beyond), at)


def causal(cores: Cores, i: isa.Causal) -> None:
    """Positions are counted over blocks of cores, padding included: nothing attends to what comes later."""
    dims = cores.values.dims(i.a)
    query, key = _positions(cores, i.a, i.query), _positions(cores, i.a, i.key)
    at, to = (_along(positions, dims.index(name), len(dims)) for positions, name in ((query, i.query), (key, i.key)))
    seen = to <= at
    if i.window:
        seen &= to > at - i.window
    if i.chunk:
        seen &= to // i.chunk == at // i.chunk
    cores.keep(i.result, np.where(seen, cores.full(cores.read(i.a)), np.float32(i.otherwise)))


def _positions(cores: Cores, name: str, dim: str) -> Ints:
    """[rows, columns, share] of a dimension that an axis shares in blocks."""
    value = cores.values[name]
    share = cores.shape(name)[cores.values.dims(name).index(dim)]
    for on_rows, spread_ in ((True, value.rows), (False, value.columns)):
        if spread_ and isinstance(spread_[0], Shard) and spread_[0].dim == dim:
            extent = cores.rows if on_rows else cores.columns
            found = np.arange(extent)[:, None] * share + np.arange(share)
            return found[:, None] if on_rows else found[None]
    raise ProgramFileError(f"{name} has no {dim} that cores share.")


def _along(positions: Ints, axis: int, dims: int) -> Ints:
    """[rows, columns, 1, *dims], one but along `axis`."""
    shape = [1] * dims
    shape[axis] = positions.shape[-1]
    return positions.reshape(*positions.shape[:2], 1, *shape)


def read(cores: Cores, i: isa.Read) -> None:
    """The prompt's rows, zeros where it is shorter than the program's."""
    value = cores.values[i.result]
    if cores.batch.rows is None:
        raise ProgramFileError("The program takes a prompt.")
    rows = cores.batch.rows[i.slot] * np.float32(i.scale)
    length = value.dims[-1].size
    whole = cores.rounded(np.pad(rows, [(0, length - len(rows)), (0, 0)]).T, value.dtype)
    cores.keep(i.result, spread(value, whole[None], cores.rows, cores.columns), value.dtype)
