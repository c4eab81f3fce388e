"""What each core-local instruction computes, on all cores of a region at once. Moves nothing between cores."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from undiced.core.errors import InvalidRequestError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis, Shard, indices
from undiced.program.wafer.sequences import SEQUENCES, Step
from undiced.program.wafer.value import DType, Kind, Value, shard_of
from undiced.sim.mesh.cores import F32, Cores, Ints
from undiced.sim.mesh.spreading import gather

_ELEMENTWISE: dict[str, Callable[..., F32]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
_FOLDS: dict[str, Callable[..., F32]] = {"sum": np.sum, "max": np.max}


def product(cores: Cores, i: isa.Product) -> None:
    """One tile after the other; what lies side by side differs in cost alone."""
    for weight, result in zip(i.weights, i.results, strict=True):
        made = _contract(cores, i, weight, result)
        cores.write(result, cores.read(result) + made if i.accumulate else made)


def _contract(cores: Cores, i: isa.Product, weight: str, result: str) -> F32:
    x, xdims = cores.read(i.x), _names(cores.values[i.x])
    w, r = cores.values[weight], _names(cores.values[result])
    wdims = _names(w)
    if w.kind is Kind.CACHE:
        parts = []
        for sequence, span in _spans(cores):
            cache = cores.caches[weight, sequence]
            at = wdims.index(POSITION)
            part = shard_of(w, POSITION)
            assert part is not None
            filled = min(cores.positions, w.dims[at].size)
            cache = cache[(slice(None),) * (2 + at) + (slice(-(-filled // part.ways)),)]
            parts.append(tile(x[:, :, span], cache, xdims, wdims, r, cores, result))
        return np.concatenate(parts, axis=2)
    array = cores.read(weight)
    if not i.expert:
        return tile(x, array, xdims, wdims, r, cores, result)
    ids = cores.read(i.expert)[0, 0, :, i.choice].astype(np.int64)
    taken = [tile(x[:, :, t : t + 1], array[:, :, e], xdims, wdims[1:], r, cores, result) for t, e in enumerate(ids)]
    return np.concatenate(taken, axis=2)


def _spans(cores: Cores) -> list[tuple[int, slice]]:
    """Each sequence's tokens."""
    sequences = cores.batch.sequences
    edges = [0, *(np.flatnonzero(np.diff(sequences)) + 1), len(sequences)]
    return [(int(sequences[a]), slice(int(a), int(b))) for a, b in zip(edges, edges[1:], strict=False)]


def tile(
    x: F32,
    w: F32,
    xdims: tuple[str, ...],
    wdims: tuple[str, ...],
    rdims: tuple[str, ...],
    cores: Cores,
    result: str,
) -> F32:
    """Contract x [rows, columns, tokens, *xdims] with w [rows, columns, *wdims] to [rows, columns, tokens, *rdims]."""
    both = [d for d in xdims if d in wdims]
    batch, inner = [d for d in both if d in rdims], [d for d in both if d not in rdims]
    left, right = [d for d in xdims if d not in both], [d for d in wdims if d not in both]
    size = {**dict(zip(xdims, x.shape[3:], strict=True)), **dict(zip(wdims, w.shape[2:], strict=True))}
    grid, tokens = w.shape[:2], x.shape[2]
    xs = x.transpose(0, 1, *(3 + xdims.index(d) for d in batch), 2, *(3 + xdims.index(d) for d in (*left, *inner)))
    ws = w.transpose(0, 1, *(2 + wdims.index(d) for d in (*batch, *inner, *right)))
    lead = [size[d] for d in batch]
    contracted = prod(size[d] for d in inner)
    xs = xs.reshape(*grid, *lead, tokens * prod(size[d] for d in left), contracted)
    ws = ws.reshape(*grid, *lead, contracted, prod(size[d] for d in right))
    made = _multiply(xs, ws, cores, cores.values[result].dtype)
    made = made.reshape(*grid, *lead, tokens, *(size[d] for d in (*left, *right)))
    have = ["rows", "columns", *batch, "tokens", *left, *right]
    return made.transpose([have.index(d) for d in ("rows", "columns", "tokens", *rdims)])


def _multiply(x: F32, w: F32, cores: Cores, dtype: DType) -> F32:
    """[..., m, k] by [..., k, n]; sums of 16 bits are rounded after every input."""
    if cores.numbers == "fp32" or dtype is not DType.F16:
        return np.matmul(x, w)
    total = np.zeros((*x.shape[:-1], w.shape[-1]), dtype=np.float32)
    for k in range(x.shape[-1]):
        total = (total + x[..., k, None] * w[..., k, None, :]).astype(np.float16).astype(np.float32)
    return total


def _names(value: Value) -> tuple[str, ...]:
    return tuple(dim.name for dim in value.dims)


def _aligned(cores: Cores, b: str, like: str) -> F32:
    """`b` with axes of length 1 where it lacks dimensions of `like`."""
    array, have, want = cores.per_token(b), _names(cores.values[b]), _names(cores.values[like])
    if have == want or set(have) - set(want):
        return array
    at = tuple(3 + n for n, name in enumerate(want) if name not in have)
    return np.expand_dims(array, at)


def combine(cores: Cores, i: isa.Combine) -> None:
    """Element by element."""
    cores.write(i.result, _ELEMENTWISE[i.operation](cores.per_token(i.a), _aligned(cores, i.b, i.a)))


def scale(cores: Cores, i: isa.Scale) -> None:
    """With a constant."""
    cores.write(i.result, _ELEMENTWISE[i.operation](cores.per_token(i.a), np.float32(i.constant)))


def copy(cores: Cores, i: isa.Copy) -> None:
    """As it is, in the result's type."""
    cores.write(i.result, cores.per_token(i.a))


def fill(cores: Cores, i: isa.Fill) -> None:
    """A constant."""
    shape = (cores.rows, cores.columns, cores.batch.size, *cores.shape(i.result))
    cores.write(i.result, np.full(shape, i.constant, dtype=np.float32))


def apply(cores: Cores, i: isa.Apply) -> None:
    """Step by step, in 32-bit floats."""
    cores.write(i.result, run_sequence(SEQUENCES[i.function], cores.read(i.a)))


def run_sequence(steps: tuple[Step, ...], x: F32) -> F32:
    """What a sequence makes of `x`."""
    registers: dict[str, F32] = {"x": np.ascontiguousarray(x)}
    result = registers["x"]
    with np.errstate(all="ignore"):
        for step in steps:
            b = registers[step.b] if isinstance(step.b, str) else step.b
            result = registers[step.result] = _STEPS[step.kind](registers[step.a], b, step.c)
    return result


def _halves(x: F32, high: bool) -> np.ndarray:
    return x.view(np.int16)[..., int(high) :: 2]


def _as_high(half: np.ndarray, shape: tuple[int, ...]) -> F32:
    out = np.zeros(shape, dtype=np.float32)
    if shape:
        out.view(np.int16)[..., 1::2] = half
    return out


def _integer_step(work: Callable[[np.ndarray, float], np.ndarray], high: bool) -> Callable[[F32, float, float], F32]:
    def run(a: F32, b: float, c: float) -> F32:
        flat = np.ascontiguousarray(a).reshape(-1)
        return _as_high(work(_halves(flat, high), b), flat.shape).reshape(a.shape)

    return run


def _high_add(a: F32, b: F32, c: float) -> F32:
    out = np.ascontiguousarray(a).reshape(-1).copy()
    out.view(np.int16)[1::2] += np.ascontiguousarray(b).reshape(-1).view(np.int16)[1::2]
    return out.reshape(a.shape)


_STEPS: dict[str, Callable[..., F32]] = {
    "add": lambda a, b, c: a + _f32(b),
    "subtract": lambda a, b, c: a - _f32(b),
    "subtract_from": lambda a, b, c: _f32(b) - a,
    "multiply": lambda a, b, c: a * _f32(b),
    "maximum": lambda a, b, c: np.maximum(a, _f32(b)),
    "minimum": lambda a, b, c: np.minimum(a, _f32(b)),
    "multiply_add": lambda a, b, c: a * np.float32(b) + np.float32(c),
    "high_subtract_from": _integer_step(lambda h, b: np.int16(b) - h, True),
    "high_and": _integer_step(lambda h, b: h & np.int16(b), True),
    "high_shift": _integer_step(lambda h, b: h >> np.int16(b), True),
    "low_to_high_shift": _integer_step(lambda h, b: h << np.int16(b), False),
    "high_add": _high_add,
}


def _f32(b: F32 | float) -> F32 | np.float32:
    return b if isinstance(b, np.ndarray) else np.float32(b)


def fold(cores: Cores, i: isa.Fold) -> None:
    """Over the dimensions that the result lacks."""
    a, have, keep = cores.read(i.a), _names(cores.values[i.a]), _names(cores.values[i.result])
    over = tuple(3 + n for n, name in enumerate(have) if name not in keep)
    cores.write(i.result, _FOLDS[i.operation](a, axis=over))


def rotate(cores: Cores, i: isa.Rotate) -> None:
    """Pairs are neighbors: the last dimension, or each two elements of a flat value."""
    a = cores.read(i.a)
    pairs = a.reshape(*a.shape[:-1], -1, 2)[..., ::-1].reshape(a.shape)
    cosine, sine = _aligned(cores, i.cosine, i.a), _aligned(cores, i.sine, i.a)
    cores.write(i.result, a * cosine + pairs * sine)


def _slots(cores: Cores, value: Value) -> Ints:
    """(rows, columns, local) ring slots of a value's positions, -1 for padding."""
    axis, part = _positions_part(value)
    size = next(dim.size for dim in value.dims if dim.name == POSITION)
    who = np.arange(cores.extent(axis)) % part.ways  # positions are the innermost shares of their axis
    local = np.arange(-(-min(cores.positions, size) // part.ways))
    slots = who[:, None] + local[None, :] * part.ways
    slots = np.where(slots < size, slots, -1)
    shape = (-1, 1, len(local)) if axis is Axis.ROWS else (1, -1, len(local))
    return np.broadcast_to(slots.reshape(shape), (cores.rows, cores.columns, len(local)))


def _positions_part(value: Value) -> tuple[Axis, Shard]:
    for axis, parts in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
        for part in parts:
            if isinstance(part, Shard) and part.dim == POSITION:
                return axis, part
    raise InvalidRequestError(f"{value.name} has no positions that cores share.")


def mask(cores: Cores, i: isa.Mask) -> None:
    """The newest position of a sequence says which position each slot of its ring holds."""
    value, batch = cores.values[i.a], cores.batch
    size = next(dim.size for dim in value.dims if dim.name == POSITION)
    slots = _slots(cores, value)[:, :, None, :]
    newest = np.array([cores.lengths[int(s)] - 1 for s in batch.sequences]).reshape(1, 1, -1, 1)
    held = newest - (newest - slots) % size
    at = batch.positions.reshape(1, 1, -1, 1)
    seen = (slots >= 0) & (held >= 0) & (held <= at)
    if i.window:
        seen = seen & (held > at - i.window)
    if i.chunk:
        seen = seen & (held // i.chunk == at // i.chunk)
    a = cores.read(i.a)
    lead = _names(value).index(POSITION)
    seen = seen.reshape(*seen.shape[:3], *(1,) * lead, seen.shape[3], *(1,) * (a.ndim - 4 - lead))
    cores.write(i.result, np.where(seen, a, np.float32(i.otherwise)))


def lookup(cores: Cores, i: isa.Lookup) -> None:
    """The owner of a row copies it; the others hold nothing."""
    table, value = cores.read(i.table), cores.values[i.table]
    dim = value.dims[0]
    axis = Axis.ROWS if any(isinstance(p, Shard) and p.dim == dim.name for p in value.rows) else Axis.COLUMNS
    part = shard_of(value, dim.name)
    assert part is not None and dim.name == _names(value)[0]
    wanted = cores.batch.tokens if i.index == "token" else cores.batch.positions
    if wanted.max() >= dim.size:
        raise InvalidRequestError(f"{i.index} {wanted.max()} is beyond the {dim.size} rows of {i.table}.")
    share = table.shape[2]
    owner, local = (wanted % part.ways, wanted // part.ways) if part.order == "cyclic" else divmod(wanted, share)
    made = np.full((cores.rows, cores.columns, len(wanted), *table.shape[3:]), np.nan, dtype=np.float32)
    for t, (who, at) in enumerate(zip(owner, local, strict=True)):
        here = (slice(None), who) if axis is Axis.COLUMNS else (who, slice(None))
        made[(*here, t)] = table[(*here, at)]
    cores.owners[i.result] = np.asarray(owner)
    cores.write(i.result, made)


def append(cores: Cores, i: isa.Append) -> None:
    """At the owner of the position, in its ring."""
    value, a, batch = cores.values[i.cache], cores.read(i.a), cores.batch
    at = _names(value).index(POSITION)
    size = value.dims[at].size
    axis, part = _positions_part(value)
    for t in range(batch.size):
        cache = cores.caches[i.cache, int(batch.sequences[t])]
        local, who = divmod(int(batch.positions[t]) % size, part.ways)
        here = (who, slice(None)) if axis is Axis.ROWS else (slice(None), who)
        moved = np.moveaxis(cache, 2 + at, 2)
        source = cores.rounded_as(a[(*here, t)], value.dtype)
        moved[(*here, local)] = source


def place(cores: Cores, i: isa.Place) -> None:
    """Through the whole value: each core keeps what it holds and needs, and has 0 for the rest."""
    source, target = cores.values[i.a], cores.values[i.result]
    a = cores.read(i.a)
    ids = _identities(cores, source)
    wanted = _identities(cores, target)
    flat, out = a.reshape(*a.shape[:3], -1), np.zeros((*a.shape[:3], wanted.shape[-1]), dtype=np.float32)
    for r in range(cores.rows):
        for c in range(cores.columns):
            match = wanted[r, c][:, None] == ids[r, c][None, :]
            found = match.any(1) & (wanted[r, c] >= 0)
            out[r, c][:, found] = flat[r, c][:, match.argmax(1)[found]]
    cores.write(i.result, out.reshape(*a.shape[:3], *cores.shape(i.result)))


def _identities(cores: Cores, value: Value) -> Ints:
    """(rows, columns, local elements): which element of the whole value each is; -1 for padding."""
    total = np.zeros((cores.rows, cores.columns), dtype=np.int64)[..., None]
    for dim in value.dims:
        own = _dim_identities(cores, value, dim.name, dim.size)
        total = np.where(
            (total[..., :, None] < 0) | (own[..., None, :] < 0), -1, total[..., :, None] * dim.size + own[..., None, :]
        ).reshape(cores.rows, cores.columns, -1)
    return total


def _dim_identities(cores: Cores, value: Value, name: str, size: int) -> Ints:
    for axis, parts in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
        for number, part in enumerate(parts):
            if isinstance(part, Shard) and part.dim == name:
                ids = np.array(indices(parts, number, size, cores.extent(axis)))
                ids = ids[:, None] if axis is Axis.ROWS else ids[None]
                return np.broadcast_to(ids, (cores.rows, cores.columns, ids.shape[-1]))
    return np.broadcast_to(np.arange(size), (cores.rows, cores.columns, size))


def select(cores: Cores, i: isa.Select) -> None:
    """Of equal values the one of lowest index comes first; padding never does."""
    value, a = cores.values[i.a], cores.read(i.a)
    dim = value.dims[-1]
    ids = _along_last(_dim_identities(cores, value, dim.name, dim.size), a.ndim)
    valued = np.where(ids >= 0, a, -np.inf)
    order = np.argsort(-valued, axis=-1, kind="stable")[..., : i.count]
    chosen = np.take_along_axis(np.broadcast_to(ids, a.shape), order, -1).astype(np.float32)
    carried = [np.take_along_axis(cores.read(i.carried), order, -1)] if i.carried else []
    rows = [(np.take_along_axis(valued, order, -1), -np.inf), (chosen, -1.0), *((row, 0.0) for row in carried)]
    more = [(0, 0)] * (a.ndim - 1) + [(0, i.count - order.shape[-1])]
    cores.write(i.result, np.stack([np.pad(row, more, constant_values=empty) for row, empty in rows], axis=3))


def _along_last(ids: Ints, ndim: int) -> Ints:
    """Identities of a last dimension, beside an array of `ndim` axes."""
    return ids.reshape(*ids.shape[:2], *(1,) * (ndim - 3), ids.shape[-1])


def mark(cores: Cores, i: isa.Mark) -> None:
    """Ids that a core's share does not have mark nothing there."""
    value = cores.values[i.result]
    dim = value.dims[-1]
    wanted = cores.read(i.ids)[..., None]
    ids = _along_last(_dim_identities(cores, value, dim.name, dim.size), wanted.ndim)
    cores.write(i.result, (wanted == ids).astype(np.float32))


def pick(cores: Cores, i: isa.Pick) -> None:
    """Every core that takes part holds the whole dimension."""
    ids = np.nan_to_num(cores.read(i.ids)).astype(np.int64)
    cores.write(i.result, np.take_along_axis(cores.read(i.a), ids, -1))


def whole(cores: Cores, name: str) -> F32:
    """The value as one array (tokens, *dims), gathered from all cores: for reports and comparisons."""
    return gather(cores.values[name], cores.read(name), lead=1)
