"""The work of products: which operand of a multiply-add is a vector, how long, and which sums stay where they are.

Of a chunk the tokens are the vector, and each weight is the scalar of one operation; or tokens are multiplied one by
one, as those that meet experts always are.

Where groups of cores share a stack of experts out, it is the work of a core that has all experts that a token chose.
Others do as much: they hold the index of a choice to their share of the stack, and take 0 times what that gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod

from msgspec import Struct
from msgspec.structs import replace

from undiced.core.errors import CompileError
from undiced.program.wafer.instruction import Product
from undiced.program.wafer.integers import parts
from undiced.program.wafer.share import Shares
from undiced.program.wafer.unpacking import ARITHMETIC, FIELDS, Step
from undiced.program.wafer.value import DType, shard_of
from undiced.program.wafer.work import BYTES, Vectors, Work

HALF = 2  # bytes of a word, and of what becomes of it


class Tile(Struct, frozen=True, gc=False):
    """One matrix of a product on a core: loops by what they run over, and what lies where.

    Attributes:
        length: elements of an operation, along `inner`; sums: operations that add to the same ones; rest: the others.
        vector, scalar: names of the operands that are a vector and a scalar of each operation.
        members: weights and results of the tiles that are multiplied as one.
    """

    length: int
    sums: int
    rest: int
    vector: str
    scalar: str
    result: str
    stride: int
    members: tuple[tuple[str, str], ...]


def product(i: Product, s: Shares) -> Work:
    """One operation an input for all tiles whose results lie side by side; operands of two types are made one first."""
    vectors = _located(i, s)
    for tile in tiles(i, s):
        vectors += _conversions(tile, i, s, vectors)
        vectors += [_along_tokens(tile, i, s)] if s.step.tokens > 1 and not _singly(i) else _along_rows(tile, i, s)
    return Work(tuple(vectors))


def _singly(i: Product) -> bool:
    """Whether tokens of a chunk are multiplied one by one: no two of them are known to meet an expert."""
    return i.singly or bool(i.expert)


def tiles(i: Product, s: Shares) -> list[Tile]:
    """What is multiplied at once."""
    return _joined([_tile(i, s, w, r) for w, r in zip(i.weights, i.results, strict=True)], i, s)


def _shared_out(i: Product, s: Shares) -> bool:
    """Whether groups of cores share the experts out."""
    part = shard_of(s.values[i.weights[0]], s.names(i.weights[0])[0]) if i.expert else None
    return part is not None and part.ways != 1


def _located(i: Product, s: Shares) -> list[Vectors]:
    """Where experts are shared out: ids less the core's first, held to its share; and before a sum over choices what
    that has changed, and x times 0 there."""
    if not _shared_out(i, s):
        return []
    size, often = BYTES[DType.F32], s.step.size
    choices = s.size(i.expert)
    step = Vectors("maximum", DType.F32, DType.F32, choices, often, 1, size, size)
    found = [replace(step, arithmetic="add"), step, step]
    if set(s.names(i.expert)) <= set(s.names(i.results[0])):
        return found
    dtype, each = s.values[i.x].dtype, s.size(i.x) // choices
    zeroed = Vectors("multiply", dtype, dtype, each, choices * often, 1, BYTES[dtype], BYTES[dtype])
    if each == 1:
        zeroed = replace(zeroed, length=choices, count=often)
    return [*found, step, zeroed]


def _tile(i: Product, s: Shares, weight: str, result: str) -> Tile:
    names = (*s.names(i.expert), *s.names(weight)[1:]) if i.expert else s.names(weight)
    operands = (weight, i.x, i.expert) if i.expert else (weight, i.x)
    size = {dim: share for name in operands for dim, share in zip(s.names(name), s.shape(name), strict=True)}
    inner = tuple(d for d in i.inner if d in names or d in s.names(i.x))
    loops = {*names, *s.names(i.x)}
    kept = s.names(result)
    vector, scalar = _sides(i, s, weight, names, inner, kept)
    lacking = prod(size[d] for d in loops if d not in kept)
    rest = prod(size[d] for d in loops if d in kept and d not in inner)
    stride = _stride(s, vector, inner)
    return Tile(prod(size[d] for d in inner), lacking, rest, vector, scalar, result, stride, ((weight, result),))


def _sides(
    i: Product, s: Shares, weight: str, names: tuple[str, ...], inner: tuple[str, ...], kept: tuple[str, ...]
) -> tuple[str, str]:
    """The operand that is a vector along `inner`, and the one that is a scalar.

    Raises:
        CompileError: both or neither of them have those dimensions, or the result lacks one.
    """
    held = [all(d in have for d in inner) for have in (names, s.names(i.x))]
    apart = [not any(d in have for d in inner) for have in (names, s.names(i.x))]
    if not set(inner) <= set(kept) or not ((held[0] and apart[1]) or (held[1] and apart[0])):
        raise CompileError(
            f"{i.node}: no vector operation multiplies {i.x} by {weight} along {', '.join(inner) or 'nothing'}.",
            remedy="Exactly one of them must be a vector along it, and the result too.",
        )
    return (weight, i.x) if held[0] and apart[1] else (i.x, weight)


def _stride(s: Shares, name: str, inner: tuple[str, ...]) -> int:
    """Elements from one of an operation to the next."""
    names, shape = s.names(name), s.shape(name)
    last = max((names.index(d) for d in inner), default=len(names) - 1)
    return s.stride(name) * prod(shape[last + 1 :])


def _joined(tiles: list[Tile], i: Product, s: Shares) -> list[Tile]:
    """Tiles that take the same inputs and whose results are neighbors in memory are one."""
    out: list[Tile] = []
    for tile in tiles:
        last = out[-1] if out else None
        if last and _beside(last, tile, s) and tile.scalar == i.x and (last.sums, last.rest) == (tile.sums, tile.rest):
            members = last.members + tile.members
            out[-1] = replace(last, length=last.length + tile.length, result=tile.result, members=members)
        else:
            out.append(tile)
    return out


def _pieces(tile: Tile, i: Product, s: Shares) -> int:
    """Parts of a row, each with a scale and an operation of its own, of all matrices that are multiplied as one."""
    if s.values[tile.vector].dtype not in FIELDS:
        return 1
    return sum(len(found) for name, found in parts(i, s.values).items() if name in dict(tile.members))


def _beside(a: Tile, b: Tile, s: Shares) -> bool:
    """Whether b's results follow a's, or lie between them element by element."""
    first, second = s.extent(a.result), s.extent(b.result)
    if a.scalar != b.scalar or first.value != second.value:
        return False
    views = s.values[a.result].view, s.values[b.result].view
    if views[0] and views[1] and views[0].of == views[1].of > 1 and first == second:
        return views[1].pick == views[0].pick + views[0].count
    return first.stop == second.start


def factor(tile: Tile, s: Shares) -> DType:
    """The type that both operands are multiplied in: 16 bits where the sums have as many, else the wider one's."""
    types = [s.values[name].dtype for name in (tile.result, tile.vector, tile.scalar)]
    wide = [BYTES[dtype] == BYTES[DType.F32] for dtype in types]
    return DType.F32 if wide[0] and any(wide[1:]) else DType.F16


def _conversions(tile: Tile, i: Product, s: Shares, before: list[Vectors]) -> list[Vectors]:
    """Narrow rows become 16-bit floats, and x takes their scales; an operand of another type is converted once. Of
    stacked weights that is what the token takes.
    """
    out, wanted = list[Vectors](), factor(tile, s)
    tokens, each = (s.step.size, 1) if i.expert else (s.step.sequences, s.step.tokens)
    for name in (tile.vector, tile.scalar):
        dtype = s.values[name].dtype
        if name == tile.vector and dtype in FIELDS:
            scales = tile.sums * tile.rest * _pieces(tile, i, s)
            many = (scales, tokens) if each == 1 else (each, scales * tokens)
            scaled = Vectors("multiply", DType.F16, DType.F16, *many, 0, 4, 2)
            out += [*_unpacked(tile, i, s), scaled]
            dtype = DType.F16
        if BYTES[dtype] != BYTES[wanted]:
            stacked = bool(i.expert) and name != i.x
            size = s.size(name) // s.shape(name)[0] * s.size(i.expert) if stacked else s.size(name)
            times = tokens, 1 if s.constant(name) or stacked else each
            once = Vectors("convert", dtype, wanted, size * times[1], times[0], 1, BYTES[dtype], BYTES[wanted])
            out += [once] if once not in before else []
    return out


def unpack(steps: tuple[Step, ...], length: int, count: int, beside: float = 0, stride: int = 1) -> list[Vectors]:
    """The operations of steps on `length` words, each `count` times."""
    out = list[Vectors]()
    for step in steps:
        fed = 0 if out else HALF
        kind = ARITHMETIC[step.kind]
        at = 1 if out else stride
        out.append(Vectors(kind, DType.F16, DType.F16, length, count, 0, HALF, HALF, at, beside=beside, fed=fed))
    return out


def _unpacked(tile: Tile, i: Product, s: Shares) -> list[Vectors]:
    """Of each row of a word the operations that widen it, as many rows at once as the scratch holds; the scratch lies
    beside the datapath if that has room for it and the sums."""
    fields, out = FIELDS[s.values[tile.vector].dtype], list[Vectors]()
    room = s.size(i.scratch) if i.scratch else tile.length
    along = tile.length if s.step.tokens == 1 or _singly(i) else s.step.tokens
    beside = 0 if i.unpinned else HALF * room + BYTES[s.values[tile.result].dtype] * along
    rows = ceil(tile.sums * tile.rest / len(fields)) - _ahead(tile, i, s)
    at_once = max(1, min(rows, room // tile.length))
    often = max(1, ceil(ceil(rows / at_once) * _often(i, s))) if rows > 0 else 0
    for field in fields:
        out += unpack(field.steps, tile.length * at_once, often, beside)
    return out


def _ahead(tile: Tile, i: Product, s: Shares) -> int:
    """Rows of words that are widened already."""
    fields = FIELDS[s.values[tile.vector].dtype]
    return s.size(i.ahead) // (tile.length * sum(bool(field.steps) for field in fields)) if i.ahead else 0


def sums_in_memory(i: Product, s: Shares, cache_bytes: int) -> Iterator[tuple[Tile, str, str]]:
    """Tiles whose sums are read from memory beside their rows: unpinned, more than the cache holds, or there before.

    With the values where rows and sums begin; rows that are converted into an array without an address are left out.
    """
    first = dict(zip(i.weights, i.results, strict=True))
    for tile in tiles(i, s):
        kept = tile.length * BYTES[s.values[tile.result].dtype] <= cache_bytes and not i.unpinned
        if tile.length > 1 and (i.accumulate or (tile.sums > 1 and not kept)):
            dtype, result = s.values[tile.vector].dtype, first.get(tile.vector, tile.result)
            if dtype in FIELDS and i.scratch:
                yield tile, i.scratch, result
            elif dtype not in FIELDS and BYTES[dtype] == BYTES[factor(tile, s)]:
                yield tile, tile.vector, result


def _often(i: Product, s: Shares) -> float:
    """How often a step's rows are widened: those of a matrix once, of chosen experts once for each that is chosen."""
    return s.step.size * s.step.distinct * _crowded(i, s) if i.expert else 1.0


def _crowded(i: Product, s: Shares) -> float:
    """What part of all choices a core works on: all of them, but where groups of cores share experts out."""
    return s.step.crowd if _shared_out(i, s) else 1.0


def _along_tokens(tile: Tile, i: Product, s: Shares) -> Vectors:
    """An operation a weight: all tokens of a chunk by it, to sums of which each stays until it has all its inputs."""
    operand, result = factor(tile, s), s.values[tile.result].dtype
    single, many = tile.sums == 1 and not i.accumulate, tile.length * tile.rest * s.step.sequences
    return Vectors(
        "multiply" if single else "multiply_add",
        operand,
        result,
        s.step.tokens,
        many * tile.sums,
        1 if single else many,
        BYTES[operand],
        BYTES[result] if single else 0,
        sums=0 if single else tile.sums,
        added=i.accumulate,
        unpinned=i.unpinned,
    )


def _along_rows(tile: Tile, i: Product, s: Shares) -> list[Vectors]:
    """An operation an input, of each token; a chunk's sums leave for their places between those of other tokens."""
    made, tokens = [_multiply_adds(tile, i, s)], s.step.tokens
    if tokens > 1:
        result = s.values[tile.result].dtype
        size, count = BYTES[result], tile.rest * s.step.size
        made.append(Vectors("move", result, result, tile.length, count, 1, size, size, stride=tokens))
    return made


def _multiply_adds(tile: Tile, i: Product, s: Shares) -> Vectors:
    operand, result = factor(tile, s), s.values[tile.result].dtype
    single = tile.sums == 1 and not i.accumulate
    pieces = _pieces(tile, i, s)
    sums, count = tile.sums, tile.sums * tile.rest * pieces * s.step.size
    if (crowd := _crowded(i, s)) < 1.0:
        sums = sums if tile.rest > 1 else max(1, ceil(sums * crowd))
        count = max(1, ceil(count * crowd / sums)) * sums
    return Vectors(
        "multiply" if single else "multiply_add",
        operand,
        result,
        ceil(tile.length / pieces),
        count,
        s.step.size * (tile.rest if tile.sums > 1 else 1),
        BYTES[operand],
        BYTES[result] if single else 0,
        tile.stride,
        0 if single else sums,
        i.accumulate,
        i.unpinned,
    )
