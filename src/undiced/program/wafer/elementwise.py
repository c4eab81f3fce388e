"""The work of instructions that stay on their core, products apart: vector operations and scalar steps.

Of a chunk, tokens lie innermost: an operation on what exists once a token runs along them, too.
"""

from __future__ import annotations

from math import ceil, prod

from msgspec.structs import replace

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.products import unpack
from undiced.program.wafer.sequences import CALLS, SEQUENCES
from undiced.program.wafer.sequences import Step as Move
from undiced.program.wafer.share import Shares
from undiced.program.wafer.unpacking import FIELDS, longest
from undiced.program.wafer.value import DType, local_shape, shard_of
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
PIECE = 64  # elements of a chunk that a function takes at once: its registers have so many


def converted(s: Shares, source: DType, target: DType, length: int) -> tuple[Vectors, ...]:
    """What it takes to have `length` elements a token in another width; nothing where it is the same."""
    if wide(source) == wide(target):
        return ()
    count = length * s.step.tokens, s.step.sequences
    return (Vectors("convert", source, target, *count, 1, BYTES[source], BYTES[target]),)


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
        s.size(i.a) * s.step.tokens // max(length, 1) * s.step.sequences,
        1,
        reads,
        BYTES[result],
        1 if s.step.tokens > 1 else max(s.stride(name) for name in (i.a, i.b, i.result)),
    )
    return Work((*before, done, *converted(s, result, kinds[2], s.size(i.a))))


def along(i: isa.Combine, s: Shares) -> tuple[int, bool]:
    """Length of an operation, and whether b is a vector along it."""
    shape, names = (*s.shape(i.a), s.step.tokens), s.names(i.a)
    if s.size(i.b) in (1, s.size(i.a)):
        held = [s.size(i.b) == s.size(i.a)] * len(shape)
    else:
        held = [name in s.names(i.b) for name in names] if len(names) < len(shape) else [True] * len(shape)
        held = [*held[: len(shape) - 1], True]
    alone = [False] * len(shape)  # where b alone has a dimension: a is its scalar
    if s.step.tokens > 1:
        held[-1], alone[-1] = not s.constant(i.b), s.constant(i.a)
    else:
        shape, held, alone = shape[:-1], held[:-1], alone[:-1]
    last = next((n for n in reversed(range(len(held))) if (held[n], alone[n]) != (held[-1], alone[-1])), -1)
    return prod(shape[last + 1 :]), held[-1] and not alone[-1] if held else True


def scale(i: isa.Scale, s: Shares) -> Work:
    """One operation."""
    return _unary(s, _ARITHMETIC[i.operation], i.a, i.result)


def copy(i: isa.Copy, s: Shares) -> Work:
    """A move, or a conversion."""
    same = wide(s.values[i.a].dtype) == wide(s.values[i.result].dtype)
    return _unary(s, "move" if same else "convert", i.a, i.result)


def _unary(s: Shares, arithmetic: Arithmetic, a: str, result: str) -> Work:
    source, target = s.values[a].dtype, s.values[result].dtype
    stride = 1 if s.step.tokens > 1 else max(s.stride(a), s.stride(result))
    made = target if arithmetic == "convert" else widest(source, target)
    length = s.size(a) * s.step.tokens
    done = Vectors(arithmetic, source, made, length, s.step.sequences, 1, BYTES[source], BYTES[made], stride)
    return Work((done, *converted(s, made, target, s.size(a))))


def fill(i: isa.Fill, s: Shares) -> Work:
    """Stores alone."""
    dtype = s.values[i.result].dtype
    length = s.size(i.result) * s.step.tokens
    return Work((Vectors("move", dtype, dtype, length, s.step.sequences, 1, 0, BYTES[dtype]),))


def apply(i: isa.Apply, s: Shares) -> Work:
    """The library's calls; or the steps of the function's sequence, in 32-bit floats and on halves of them.

    A step that leaves the other half at 0 works in an array of its own, which was zeroed at load. A chunk is taken
    piece by piece, in registers that are there once; each operation of a piece loads its descriptors.
    """
    length = s.size(i.a)
    if i.by == "library":
        return Work(calls=CALLS[i.function] * length * s.step.size)
    source, target = s.values[i.a].dtype, s.values[i.result].dtype
    steps = tuple(_move(move, length, s) for move in SEQUENCES[i.function])
    vectors = (*converted(s, source, DType.F32, length), *steps, *converted(s, DType.F32, target, length))
    if s.step.tokens == 1:
        return Work(vectors)
    pieces = ceil(length * s.step.tokens / PIECE)
    each = ceil(length * s.step.tokens / pieces)
    return Work(tuple(replace(v, length=each, count=pieces * s.step.sequences, apart=True) for v in vectors))


def _move(move: Move, length: int, s: Shares) -> Vectors:
    arithmetic = _ARITHMETIC[move.kind]
    halves = arithmetic in ("integer", "shift")
    dtype, size = (DType.F16, 2) if halves else (DType.F32, 4)
    operands = 1 + isinstance(move.b, str)
    stride = _HALF_STRIDE if halves else 1
    return Vectors(arithmetic, dtype, dtype, length, s.step.sequences, 1, size * operands, size, stride)


def fold(i: isa.Fold, s: Shares) -> Work:
    """One element a cycle into a scalar; where the last dimension stays, vectors of it are joined instead."""
    names, shape = s.names(i.a), s.shape(i.a)
    dtype = s.values[i.a].dtype
    kept, tokens = [name in s.names(i.result) for name in names], s.step.tokens
    if tokens == 1 and (not kept or not kept[-1]):
        length = prod(size for size, keep in zip(shape, kept, strict=True) if not keep)
        count = s.size(i.a) // max(length, 1) * s.step.sequences
        return Work((Vectors("reduce", dtype, dtype, length, count, 1, BYTES[dtype]),))
    last = next((n for n in reversed(range(len(kept))) if not kept[n]), -1)
    length = prod(shape[last + 1 :]) * tokens
    arithmetic: Arithmetic = "add" if i.operation == "sum" else "maximum"
    count = s.size(i.a) * tokens // max(length, 1) * s.step.sequences
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
    count = length * s.step.tokens, s.step.sequences
    one = Vectors("multiply", common, common, *count, 1, 2 * size, size)
    both = Vectors("add", common, common, *count, 1, 2 * size, size)
    return Work((*before, one, one, both, *converted(s, common, target, length)))


def mask(i: isa.Mask, s: Shares) -> Work:
    """A comparison and a choice; nothing where every filled position of a core's share may be attended to.

    That holds for one token a sequence, whose positions are the filled ones, unless a ring keeps more than the window.
    Of a chunk it holds but for its own positions, and for those with which windows of its tokens begin: there the
    tokens before (or behind) are overwritten.
    """
    at, ring = next((n, dim.size) for n, dim in enumerate(s.values[i.a].dims) if dim.name == POSITION)
    tokens, whole = s.step.tokens, not i.window or i.window + s.step.tokens - 1 >= min(ring, s.step.context)
    dtype, length = s.values[i.a].dtype, s.size(i.a)
    size = BYTES[dtype]
    if not i.chunk and whole and tokens == 1:
        return Work()
    if not i.chunk and whole:
        own = min(ceil(tokens / _sharing(s, i.a)), s.shape(i.a)[at])
        edges = 2 if i.window and i.window < s.step.context else 1
        rows = length // s.shape(i.a)[at] * own * edges
        return Work((Vectors("move", dtype, dtype, tokens, rows * s.step.sequences, 1, 0, size),))
    count = length * tokens, s.step.sequences
    compared = Vectors("maximum", dtype, dtype, *count, 1, size, size)
    return Work((compared, Vectors("move", dtype, dtype, *count, 1, 2 * size, size)))


def _sharing(s: Shares, name: str) -> int:
    """Cores that a value's positions are dealt out to."""
    part = shard_of(s.values[name], POSITION)
    return part.ways if part else 1


def lookup(i: isa.Lookup, s: Shares) -> Work:
    """The owner finds the row and copies it; where the row is no outer dimension, its elements lie apart.

    Integers are widened first, and multiplied by the scales of their groups. All tokens of a chunk may have one owner;
    its positions are dealt out.
    """
    source, target, size = s.values[i.table].dtype, s.values[i.result].dtype, s.size(i.result)
    at = next((n for n, name in enumerate(s.names(i.table)) if name not in s.names(i.result)), 0)
    stride = prod(s.shape(i.table)[at:]) if at else 1
    part = shard_of(s.values[i.table], s.names(i.table)[at])
    owned = ceil(s.step.tokens / part.ways) if part and i.index == "position" else s.step.tokens
    count, stride = owned * s.step.sequences, max(stride, s.step.tokens)
    if source in FIELDS:
        scaled = Vectors("multiply", DType.F16, target, size, count, 1, 4, BYTES[target])
        return Work((*unpack(longest(source), size, count, stride=stride), scaled), scalars=count)
    arithmetic: Arithmetic = "move" if wide(source) == wide(target) else "convert"
    row = Vectors(arithmetic, source, target, size, count, 1, BYTES[source], BYTES[target], stride)
    return Work((row,), scalars=count)


def append(i: isa.Append, s: Shares) -> Work:
    """The owner of the position stores it where it belongs; elements lie apart where positions are innermost."""
    source, target = s.values[i.a].dtype, s.values[i.cache].dtype
    at = s.names(i.cache).index(POSITION)
    innermost = at == len(s.names(i.cache)) - 1
    arithmetic: Arithmetic = "move" if wide(source) == wide(target) else "convert"
    stride = max(local_shape(s.values[i.cache])[at] if innermost else 1, s.step.tokens)
    count = ceil(s.step.tokens / _sharing(s, i.cache)) * s.step.sequences
    return Work((Vectors(arithmetic, source, target, s.size(i.a), count, 1, BYTES[source], BYTES[target], stride),))


def place(i: isa.Place, s: Shares) -> Work:
    """A constant everywhere, and a copy of what is held of it."""
    dtype = s.values[i.result].dtype
    held, source = min(s.size(i.a), s.size(i.result)) * s.step.tokens, s.values[i.a].dtype
    moved = Vectors("move", source, dtype, held, s.step.sequences, 1, BYTES[source], BYTES[dtype])
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
