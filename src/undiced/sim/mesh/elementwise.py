"""What instructions compute element by element, or by folding a core's own elements. Moves nothing between cores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.sequences import CLAMP
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import widest
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.functions import run_function, run_library
from undiced.sim.mesh.rounding import F32

_ELEMENTWISE: dict[isa.Elementwise, Callable[[F32, F32 | np.float32], F32]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def aligned(cores: Cores, b: str, like: str) -> F32:
    """`b` with axes of length 1 where it lacks dimensions of `like`; as it is where it has others."""
    array, have, want = cores.per_token(b), cores.values.dims(b), cores.values.dims(like)
    if have == want or set(have) - set(want):
        return array
    return np.expand_dims(array, tuple(3 + n for n, name in enumerate(want) if name not in have))


def combine(cores: Cores, i: isa.Combine) -> None:
    """Two values."""
    cores.keep(i.result, _ELEMENTWISE[i.operation](cores.per_token(i.a), aligned(cores, i.b, i.a)))


def scale(cores: Cores, i: isa.Scale) -> None:
    """A value and a constant."""
    if i.operation == "multiply_add":
        made = cores.per_token(i.a) * np.float32(i.constant) + np.float32(i.addend)
    else:
        made = _ELEMENTWISE[i.operation](cores.per_token(i.a), np.float32(i.constant))
    cores.keep(i.result, made)


def copy(cores: Cores, i: isa.Copy) -> None:
    """As it is; `keep` converts it."""
    cores.keep(i.result, cores.per_token(i.a).copy(), cores.values[i.a].dtype)


def fill(cores: Cores, i: isa.Fill) -> None:
    """The same on every core."""
    shape = (1, 1, cores.batch.size, *cores.shape(i.result))
    cores.keep(i.result, np.full(shape, i.constant, dtype=np.float32))


def apply(cores: Cores, i: isa.Apply) -> None:
    """Step by step, or as the library does; in 32-bit floats."""
    a = cores.read(i.a)
    if i.function == "exp" and i.by == "vectors":
        cores.clamped += int(np.count_nonzero(a > CLAMP))
    run = run_library if i.by == "library" else run_function
    cores.keep(i.result, run(i.function, a))


def fold(cores: Cores, i: isa.Fold) -> None:
    """Over the dimensions that the result lacks, one element after the other, in the result's type."""
    keep, dtype = cores.values.dims(i.result), cores.values[i.result].dtype
    a, names = cores.read(i.a), cores.values.dims(i.a)
    kept, over = ([3 + n for n, name in enumerate(names) if (name in keep) is which] for which in (True, False))
    turned = a.transpose(*over, 0, 1, 2, *kept).reshape(-1, *a.shape[:3], *(a.shape[axis] for axis in kept))
    made = np.full(turned.shape[1:], 0.0 if i.operation == "sum" else -np.inf, dtype=np.float32)
    for each in turned:
        made = cores.rounded(made + each, dtype) if i.operation == "sum" else np.maximum(made, each)
    cores.keep(i.result, made, dtype if i.operation == "sum" else DType.F32)


def rotate(cores: Cores, i: isa.Rotate) -> None:
    """Pairs are neighbors: the last dimension, or every two elements of a flat value."""
    a, names = cores.read(i.a), (i.a, i.result, i.cosine, i.sine)
    dtype = widest(*(cores.values[name].dtype for name in names))
    exchanged = a.reshape(*a.shape[:-1], -1, 2)[..., ::-1].reshape(a.shape)
    sides = (a * aligned(cores, i.cosine, i.a), exchanged * aligned(cores, i.sine, i.a))
    first, second = (cores.rounded(side, dtype) for side in sides)
    cores.keep(i.result, first + second)
