"""What `Product` computes: tiles of weights, or of a cache, by vectors; on all cores at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from undiced.core.errors import ProgramFileError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.integers import parts, scales
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.value import DType, Kind
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.experts import Names, Visit, visits
from undiced.sim.mesh.rounding import F32, rounded
from undiced.sim.mesh.sums import multiply_add
from undiced.sim.mesh.widening import codes, overlaid

_ROW = "row"  # stands for all dimensions of a row
Operand = tuple[slice, F32, Names, Visit | None]  # tokens, what they meet [rows, columns, *dims], of which experts


@dataclass(frozen=True, slots=True)
class Contraction:
    """How x over `x` and w over `w` become a result over `r`: axes of both by role, and the result's order.

    Attributes:
        batch: dimensions of all three, inner: of both operands alone, left and right: of one operand and the result.
    """

    batch: Names
    inner: Names
    left: Names
    right: Names
    x_axes: tuple[int, ...]
    w_axes: tuple[int, ...]
    r_axes: tuple[int, ...]


@lru_cache(maxsize=4096)
def contraction(x: Names, w: Names, r: Names) -> Contraction:
    """The contraction of two operands to a result."""
    both = [d for d in x if d in w]
    batch, inner = tuple(d for d in both if d in r), tuple(d for d in both if d not in r)
    left, right = tuple(d for d in x if d not in both), tuple(d for d in w if d not in both)
    have = ("rows", "columns", *batch, "tokens", *left, *right)
    return Contraction(
        batch, inner, left, right,
        (0, 1, *(3 + x.index(d) for d in batch), 2, *(3 + x.index(d) for d in (*left, *inner))),
        (0, 1, *(2 + w.index(d) for d in (*batch, *inner, *right))),
        tuple(have.index(d) for d in ("rows", "columns", "tokens", *r)),
    )  # fmt: skip


def product(cores: Cores, i: isa.Product) -> None:
    """One tile after the other; that they lie side by side makes a difference in cost alone."""
    x = cores.read(i.x)
    for weight, result in zip(i.weights, i.results, strict=True):
        start = cores.read(result) if i.accumulate else None
        operands = _visited(cores, i, weight) if i.expert else _operands(cores, weight)
        parts = []
        narrowed = halves(cores, result) and cores.values[weight].dtype is DType.F32
        for span, w, w_dims, visit in operands:
            w = rounded(w, DType.F16) if narrowed else w
            w = overlaid(cores, i, weight, w) if i.ahead and scales(weight) not in cores.bound else w
            met = visit.only(x[:, :, span], cores.values.dims(i.x), 0.0) if visit else x[:, :, span]
            began = start if start is None else start[:, :, span]
            if scales(weight) in cores.bound:
                part = _of_integers(cores, i, weight, result, met, w, w_dims, visit, began)
            else:
                part = tile(cores, i.x, result, met, w, w_dims, began)
            parts.append(visit.only(part, cores.values.dims(result), np.nan) if visit else part)
        made = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        cores.keep(result, made, cores.values[result].dtype if halves(cores, result) else DType.F32)


def _operands(cores: Cores, weight: str) -> Iterator[Operand]:
    """The weights for all tokens, or each sequence's cache."""
    dims = cores.values.dims(weight)
    if cores.values[weight].kind is Kind.CACHE:
        for sequence, span in cores.batch.spans():
            yield span, _filled(cores, weight, sequence), dims, None
        return
    yield slice(None), cores.read(weight), dims, None


def _visited(cores: Cores, i: isa.Product, weight: str) -> Iterator[Operand]:
    """Each token's experts."""
    array, dims = cores.read(weight), (*cores.values.dims(i.expert), *cores.values.dims(weight)[1:])
    for token, visit in enumerate(visits(cores, i.expert, weight)):
        yield slice(token, token + 1), visit.taken(array), dims, visit


def _filled(cores: Cores, cache: str, sequence: int) -> F32:
    """As much of a sequence's cache as the longest sequence of the step has filled."""
    axis = cores.values.dims(cache).index(POSITION)
    share = cores.shape(cache)[axis]
    return cores.cache(cache, sequence)[(slice(None),) * (2 + axis) + (slice(share),)]


def tile(cores: Cores, x_name: str, result: str, x: F32, w: F32, w_dims: Names, start: F32 | None) -> F32:
    """[rows, columns, tokens, *result's dims]; `start` is what the sums begin with."""
    half = halves(cores, result)
    x = rounded(x, DType.F16) if half and cores.values[x_name].dtype is not DType.F16 else x
    return _contracted(x, cores.values.dims(x_name), w, w_dims, cores.values.dims(result), start, half=half)


def _contracted(x: F32, x_dims: Names, w: F32, w_dims: Names, r_dims: Names, start: F32 | None, *, half: bool) -> F32:
    how = contraction(x_dims, w_dims, r_dims)
    size = {**dict(zip(x_dims, x.shape[3:], strict=True)), **dict(zip(w_dims, w.shape[2:], strict=True))}
    lead, left, right = ([size[d] for d in names] for names in (how.batch, how.left, how.right))
    inner = prod(size[d] for d in how.inner)
    xs = x.transpose(how.x_axes).reshape(*x.shape[:2], *lead, x.shape[2] * prod(left), inner)
    ws = w.transpose(how.w_axes).reshape(*w.shape[:2], *lead, inner, prod(right))
    began = None
    if start is not None:
        back = start.transpose([how.r_axes.index(axis) for axis in range(start.ndim)])
        began = back.reshape(*start.shape[:2], *lead, x.shape[2] * prod(left), prod(right))
    made = multiply_add(xs, ws, began, half=half)
    return made.reshape(*made.shape[:2], *lead, x.shape[2], *left, *right).transpose(how.r_axes)


def _of_integers(
    cores: Cores, i: isa.Product, weight: str, result: str, x: F32, w: F32, w_dims: Names, visit: Visit | None,
    start: F32 | None,
) -> F32:  # fmt: skip
    """Part by part of a row: x times the part's scale, rounded as cores do, by its codes."""
    r_dims, values = cores.values.dims(result), cores.values
    half, wide = halves(cores, result), values[result].dtype is values[i.x].dtype is DType.F32
    x = rounded(x, DType.F16) if half and values[i.x].dtype is not DType.F16 else x
    outer = tuple(dim for dim in w_dims if dim not in i.inner)
    own, inner = cores.bound[scales(weight)], len(set(i.inner) & set(w_dims))
    own = own.reshape(*own.shape[:2], *cores.shape(weight)[: len(values.dims(weight)) - inner], own.shape[-1])
    own, w_shape = visit.taken(own) if visit else own, w.shape
    kept = r_dims[: len(r_dims) - inner]
    if r_dims[len(kept) :] != w_dims[len(outer) :]:
        raise ProgramFileError(f"A row of {weight} is no row of {result}.")
    w, out = codes(w.reshape(*w.shape[: 2 + len(outer)], -1), own, values[weight].dtype), list[F32]()
    w = overlaid(cores, i, weight, w) if i.ahead else w
    begun = None if start is None else start.reshape(*start.shape[: 3 + len(kept)], -1)
    for number, part in enumerate(parts(i, values.all)[weight]):
        scale, columns = own[..., number], np.s_[..., part.start : part.stop]
        xs, xs_dims = _scaled(x, values.dims(i.x), scale, outer)
        xs = xs if wide else rounded(xs, DType.F16)
        first = None if begun is None else begun[columns]
        out.append(_contracted(xs, xs_dims, w[columns], (*outer, _ROW), (*kept, _ROW), first, half=half))
    made = np.concatenate(out, axis=-1)
    return made.reshape(*made.shape[:-1], *w_shape[2 + len(outer) :])


def _scaled(x: F32, x_dims: Names, scale: F32, dims: Names) -> tuple[F32, Names]:
    """x times the scales of rows, over the dimensions of both, those of x first."""
    more = tuple(dim for dim in dims if dim not in x_dims)
    every = (*x_dims, *more)
    order = sorted(range(len(dims)), key=lambda n: every.index(dims[n]))
    scale = scale.transpose(0, 1, *(2 + n for n in order))
    lacking = [3 + n for n, dim in enumerate(every) if dim not in dims]
    made: F32 = x.reshape(*x.shape, *(1,) * len(more)) * np.expand_dims(scale, (2, *lacking))
    return made, every


def halves(cores: Cores, result: str) -> bool:
    """Whether a product's sums are rounded to 16 bits at every input; its factors are of 16 bits then."""
    return cores.numbers == "wafer" and cores.values[result].dtype is DType.F16
