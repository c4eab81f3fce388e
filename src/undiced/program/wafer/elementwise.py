"""The work of instructions that stay on their core, products apart: vector operations and scalar steps."""

from __future__ import annotations

from math import prod

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.products import UNPACKING
from undiced.program.wafer.sequences import CALLS, SEQUENCES
from undiced.program.wafer.sequences import Step as Move
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import DType, local_shape
from undiced.program.wafer.work import BYTES, Arithmetic, Vectors, Work, wide, widest

_ARITHMETIC: dict[str, Arithmetic] = {
    "add": "add",
    "subtract": "add",
    "subtract_from": "add",
    "multiply": "multiply",
    "maximum": "maximum",
    "minimum": "maximum",
    "multiply_add": "multiply_add",
    "scaled_add": "multiply_add",
    "high_subtract_from": "integer",
    "high_and": "integer",
    "high_add": "integer",
    "high_shift": "shift",
    "low_to_high_shift": "shift",
}
_HALF_STRIDE = 2  # halves of 32-bit elements: every other 16-bit one


def converted(s: Shares, source: DType, target: DType, length: int) -> tuple[Vectors, ...]:
    """What it takes to have `length` elements in another width; nothing where it is the same."""
    if wide(source) == wide(target):
        return ()
    return (Vectors("convert", source, target, length, s.step.size, 1, BYTES[source], BYTES[target]),)


def combine(i: isa.Combine, s: Shares) -> Work:
    """Vectors by vectors, or by scalars along the last dimensions that b lacks, one operation for each of the rest."""
    length, vector = along(i, s)
    kinds = [s.values[name].dtype for name in (i.a, i.b, i.result)]
    common = widest(*kinds)
    mixed = () if i.operation in ("add", "subtract") else kinds[:2]  # 16 bits may be added to 32 as they are
    before = tuple(
        v for name, kind in zip((i.a, i.b), mixed, strict=False) for v in converted(s, kind, common, s.size(name))
    )
    reads = BYTES[kinds[0]] + (BYTES[kinds[1]] if vector else 0)
    narrow = wide(common) and not wide(kinds[2])
    result = common if narrow else kinds[2]
    done = Vectors(
        _ARITHMETIC[i.operation],
        common,
        result,
        length,
        s.size(i.a) // max(length, 1) * s.step.size,
        1,
        reads,
        BYTES[result],
        max(s.stride(name) for name in (i.a, i.b, i.result)),
    )
    return Work((*before, done, *converted(s, result, kinds[2], s.size(i.a))))


def along(i: isa.Combine, s: Shares) -> tuple[int, bool]:
    """Length of an operation, and whether b is a vector along it."""
    shape = s.shape(i.a)
    if s.size(i.b) == s.size(i.a):
        return s.size(i.a), True
    if s.size(i.b) == 1:
        return s.size(i.a), False
    held = [name in s.names(i.b) for name in s.names(i.a)] if len(s.names(i.a)) == len(shape) else [True] * len(shape)
    last = next((n for n in reversed(range(len(held))) if held[n] != held[-1]), -1)
    return prod(shape[last + 1 :]), held[-1]


def scale(i: isa.Scale, s: Shares) -> Work:
    """One operation."""
    return _unary(s, _ARITHMETIC[i.operation], i.a, i.result)


def copy(i: isa.Copy, s: Shares) -> Work:
    """A move, or a conversion."""
    same = wide(s.values[i.a].dtype) == wide(s.values[i.result].dtype)
    return _unary(s, "move" if same else "convert", i.a, i.result)


def _unary(s: Shares, arithmetic: Arithmetic, a: str, result: str) -> Work:
    source, target = s.values[a].dtype, s.values[result].dtype
    stride = max(s.stride(a), s.stride(result))
    made = target if arithmetic == "convert" else widest(source, target)
    done = Vectors(arithmetic, source, made, s.size(a), s.step.size, 1, BYTES[source], BYTES[made], stride)
    return Work((done, *converted(s, made, target, s.size(a))))


def fill(i: isa.Fill, s: Shares) -> Work:
    """Stores alone."""
    dtype = s.values[i.result].dtype
    return Work((Vectors("move", dtype, dtype, s.size(i.result), s.step.size, 1, 0, BYTES[dtype]),))


def apply(i: isa.Apply, s: Shares) -> Work:
    """The library's calls; or the steps of the function's sequence, in 32-bit floats and on halves of them.

    A step that leaves the other half at 0 works in an array of its own, which was zeroed at load.
    """
    length = s.size(i.a)
    if i.by == "library":
        return Work(calls=CALLS[i.function] * length * s.step.size)
    source, target = s.values[i.a].dtype, s.values[i.result].dtype
    steps = tuple(_move(move, length, s) for move in SEQUENCES[i.function])
    return Work((*converted(s, source, DType.F32, length), *steps, *converted(s, DType.F32, target, length)))


def _move(move: Move, length: int, s: Shares) -> Vectors:
    arithmetic = _ARITHMETIC[move.kind]
    halves = arithmetic in ("integer", "shift")
    dtype, size = (DType.F16, 2) if halves else (DType.F32, 4)
    operands = 1 + isinstance(move.b, str)
    stride = _HALF_STRIDE if halves else 1
    return Vectors(arithmetic, dtype, dtype, length, s.step.size, 1, size * operands, size, stride)


def fold(i: isa.Fold, s: Shares) -> Work:
    """One element a cycle into a scalar; where the last dimension stays, vectors of it are joined instead."""
    names, shape = s.names(i.a), s.shape(i.a)
    dtype = s.values[i.a].dtype
    kept = [name in s.names(i.result) for name in names]
    if not kept or not kept[-1]:
        length = prod(size for size, keep in zip(shape, kept, strict=True) if not keep)
        count = s.size(i.a) // max(length, 1) * s.step.size
        return Work((Vectors("reduce", dtype, dtype, length, count, 1, BYTES[dtype]),))
    last = next((n for n in reversed(range(len(kept))) if not kept[n]), -1)
    length = prod(shape[last + 1 :])
    arithmetic: Arithmetic = "add" if i.operation == "sum" else "maximum"
    count = s.size(i.a) // max(length, 1) * s.step.size
    return Work((Vectors(arithmetic, dtype, dtype, length, count, 1, 2 * BYTES[dtype], BYTES[dtype]),))


def rotate(i: isa.Rotate, s: Shares) -> Work:
    """Two products of vectors and their sum; pairs are exchanged by how the second is read."""
    source, target = s.values[i.a].dtype, s.values[i.result].dtype
    common = widest(source, target, s.values[i.cosine].dtype, s.values[i.sine].dtype)
    length, size = s.size(i.a), BYTES[common]
    before = (
        *converted(s, source, common, length),
        *(v for name in (i.cosine, i.sine) for v in converted(s, s.values[name].dtype, common, s.size(name))),
    )
    one = Vectors("multiply", common, common, length, s.step.size, 1, 2 * size, size)
    both = Vectors("add", common, common, length, s.step.size, 1, 2 * size, size)
    return Work((*before, one, one, both, *converted(s, common, target, length)))


def mask(i: isa.Mask, s: Shares) -> Work:
    """A comparison and a choice; nothing where every filled position of a core's share may be attended to.

    That holds for one token a sequence, whose positions are the filled ones, unless a ring keeps more than the window.
    """
    ring = next(dim.size for dim in s.values[i.a].dims if dim.name == POSITION)
    if s.step.tokens == 1 and not i.chunk and (not i.window or i.window >= min(ring, s.step.context)):
        return Work()
    dtype, length = s.values[i.a].dtype, s.size(i.a)
    size = BYTES[dtype]
    compared = Vectors("maximum", dtype, dtype, length, s.step.size, 1, size, size)
    return Work((compared, Vectors("move", dtype, dtype, length, s.step.size, 1, 2 * size, size)))


def lookup(i: isa.Lookup, s: Shares) -> Work:
    """The owner finds the row and copies it; where the row is no outer dimension, its elements lie apart.

    Integers are widened first, and multiplied by the scales of their groups.
    """
    source, target, size = s.values[i.table].dtype, s.values[i.result].dtype, s.size(i.result)
    at = next((n for n, name in enumerate(s.names(i.table)) if name not in s.names(i.result)), 0)
    stride = prod(s.shape(i.table)[at:]) if at else 1
    if source in UNPACKING:
        row = Vectors("unpack", source, DType.F16, size, s.step.size, 1, BYTES[source], 2, stride)
        scaled = Vectors("multiply", DType.F16, target, size, s.step.size, 1, 4, BYTES[target])
        return Work((*[row] * UNPACKING[source], scaled), scalars=s.step.size)
    arithmetic: Arithmetic = "move" if wide(source) == wide(target) else "convert"
    row = Vectors(arithmetic, source, target, size, s.step.size, 1, BYTES[source], BYTES[target], stride)
    return Work((row,), scalars=s.step.size)


def append(i: isa.Append, s: Shares) -> Work:
    """The owner of the position stores it where it belongs; elements lie apart where positions are innermost."""
    source, target = s.values[i.a].dtype, s.values[i.cache].dtype
    at = s.names(i.cache).index(POSITION)
    innermost = at == len(s.names(i.cache)) - 1
    arithmetic: Arithmetic = "move" if wide(source) == wide(target) else "convert"
    stride = local_shape(s.values[i.cache])[at] if innermost else 1
    return Work(
        (Vectors(arithmetic, source, target, s.size(i.a), s.step.size, 1, BYTES[source], BYTES[target], stride),)
    )


def place(i: isa.Place, s: Shares) -> Work:
    """A constant everywhere, and a copy of what is held of it."""
    dtype = s.values[i.result].dtype
    held = min(s.size(i.a), s.size(i.result))
    moved = Vectors("move", s.values[i.a].dtype, dtype, held, s.step.size, 1, BYTES[s.values[i.a].dtype], BYTES[dtype])
    return Work((*fill(isa.Fill(i.node, i.result, 0.0), s).vectors, moved))


def select(i: isa.Select, s: Shares) -> Work:
    """For each of the largest: its value, then where it is, then steps that take it out and what is carried."""
    kept = prod(s.shape(i.result)[1:-1])  # lists
    dtype, length = s.values[i.a].dtype, s.size(i.a) // kept
    passes = min(s.shape(i.result)[-1], length) * kept * s.step.size
    found = Vectors("reduce", dtype, dtype, length, 2 * passes, 1, BYTES[dtype])
    return Work((found,), scalars=passes * (2 if i.carried else 1))


def draw(i: isa.Draw, s: Shares) -> Work:
    """One a token."""
    return Work(draws=s.step.size)


def mark(i: isa.Mark, s: Shares) -> Work:
    """Zeros, and a scalar step for each id."""
    return Work(fill(isa.Fill(i.node, i.result, 0.0), s).vectors, scalars=s.size(i.ids) * s.step.size)


def pick(i: isa.Pick, s: Shares) -> Work:
    """One scalar step an element."""
    return Work(scalars=s.size(i.result) * s.step.size)


def slice_(i: isa.Slice, s: Shares) -> Work:
    """An address."""
    return Work()
