"""Rules of instructions that stay on their core: dimensions by name, the same cores, what terms of sums allow."""

from __future__ import annotations

from math import ceil

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Keeper, Part, Partial, Shard
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.operands import (
    Stack,
    alike,
    all_joined,
    apart,
    axes,
    broadcast,
    is_of,
    terms,
    together,
    whole,
)
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.rules.widening import taken_ahead
from undiced.program.wafer.sequences import CALLS, SEQUENCES
from undiced.program.wafer.spreads import local, repeats, same
from undiced.program.wafer.value import DType, Kind, shard_of


def product(i: isa.Product, s: Scope) -> Faults:
    """Every matrix with its result."""
    if not i.weights or len(i.weights) != len(i.results):
        yield Fault(f"{len(i.weights)} weights make {len(i.results)} results")
        return
    if i.scratch and (s.values[i.scratch].dtype is not DType.F16 or s.values[i.scratch].kind is not Kind.ACTIVATION):
        yield Fault(f"scratch {i.scratch} does not hold 16-bit floats for the moment")
    yield from taken_ahead(i, s)
    for weight, result in zip(i.weights, i.results, strict=True):
        yield from is_of(s, weight, (Kind.WEIGHT, Kind.CACHE), "weights")
        if i.expert:
            yield from _expert(i, s, weight)
        yield from _contraction(i, s, weight, result)
        made, stack = s.shares.names(result), _stack(i, s, weight)
        left = stack is not None and set(s.shares.names(i.expert)) <= set(made)
        for axis, parts in axes(s, i.x, weight, result):
            if parts is None and not left and all_joined(s, axis, (i.x, weight), result, "sum", stack):
                continue
            if parts is None or not all(
                _chosen(x, r, stack, left) if stack and w == stack[0] else _multiplied(x, w, r, made)
                for x, w, r in parts
            ):
                yield apart(s, axis, i.x, weight, result)


def _expert(i: isa.Product, s: Scope, weight: str) -> Faults:
    if s.values[weight].kind is not Kind.WEIGHT or len(s.shares.names(weight)) < 2:
        yield Fault(f"weights {weight} are no stack of experts")
    for _, parts in axes(s, i.expert):
        if not all(repeats(part) for (part,) in parts or ()):
            yield Fault(f"expert {i.expert} is not the same on every core")
    stack = _stack(i, s, weight)
    if stack and stack[0].order != "block":
        yield Fault(f"experts of {weight} are shared out in turn")


def _stack(i: isa.Product, s: Scope, weight: str) -> Stack | None:
    """How groups of cores share out a stack of experts, and where what each makes of a choice then is."""
    dims = s.values[weight].dims
    part = shard_of(s.values[weight], dims[0].name) if i.expert and dims else None
    if part is None or part.ways == 1:
        return None
    return part, Keeper(i.expert, part.ways, ceil(dims[0].size / part.ways))


def _chosen(x: Part, r: Part, stack: Stack, left: bool) -> bool:
    """Of a stack that is shared out: what is `left` of each choice is where its expert is; a sum over choices is not
    joined yet."""
    part, keeper = stack
    return (repeats(x) or x == keeper) and r == (keeper if left else Partial("sum", part.ways))


def _contraction(i: isa.Product, s: Scope, weight: str, result: str) -> Faults:
    x, made = s.shares.names(i.x), s.shares.names(result)
    names, shape = s.shares.names(weight), s.shares.shape(weight)
    if i.expert:  # what a token takes of a stack
        names, shape = (*s.shares.names(i.expert), *names[1:]), (*s.shares.shape(i.expert), *shape[1:])
    have = dict(zip(x, s.shares.shape(i.x), strict=len(x) == len(s.shares.shape(i.x))))
    for name, size in zip(names, shape, strict=True):
        if have.setdefault(name, size) != size:
            yield Fault(f"a core has {have[name]} of {name} of x {i.x}, and {size} of {weight}")
    for name in have:
        if name not in made and not (name in x and name in names):
            yield Fault(f"{name} is summed over, and not both x {i.x} and {weight} have it")
    for name, size in zip(made, s.shares.shape(result), strict=False):
        if have.get(name) != size:
            yield Fault(f"result {result} has {size} of {name} on a core, and its operands {have.get(name, 'none')}")
    inner = [name for name in i.inner if name in have]  # of all results side by side each has some
    sides = [[name in side for name in inner] for side in (names, x)]
    if not set(inner) <= set(made) or not any(all(a) and not any(b) for a, b in (sides, sides[::-1]) if inner):
        yield Fault(
            f"operations run along {', '.join(inner) or 'nothing'}",
            f"Exactly one of {i.x} and {weight} must have it, and {result} too.",
        )


def _multiplied(x: Part, w: Part, r: Part, made: tuple[str, ...]) -> bool:
    """Whether a part of the result is what parts of both operands make of it."""
    if repeats(x) and repeats(w):
        return repeats(r) or isinstance(r, Keeper)
    if isinstance(x, Partial) or isinstance(w, Partial):
        return isinstance(r, Partial) and r.op == "sum" and (repeats(w) if isinstance(x, Partial) else repeats(x))
    if local(x) or local(w):
        return same(r, x) and (repeats(w) or same(x, w))
    part = x if isinstance(x, Shard) and x.ways > 1 else w
    if not isinstance(part, Shard):
        return False
    both = isinstance(x, Shard) and isinstance(w, Shard) and x.ways > 1
    if both and x != w:
        return False
    return same(r, part) if part.dim in made else both and r == Partial("sum", part.ways)


def combine(i: isa.Combine, s: Scope) -> Faults:
    """Shapes, cores, and sums of terms with terms alone."""
    yield from alike(s, i.result, i.a)
    yield from broadcast(s, i.b, i.a)
    yield from together(s, i.result, (i.a, i.b))
    a, b, made = terms(s, i.a), terms(s, i.b), terms(s, i.result)
    fine = {
        "add": a == b == made,
        "subtract": a == b == made,
        "multiply": not (a and b) and (a | b) == made <= {"sum"},
        "maximum": "sum" not in a | b | made and (a | b) == made,
    }
    if not fine.get(i.operation, not (a | b | made)):
        yield Fault(f"{i.operation} of {i.a} and {i.b} mixes terms of sums with whole numbers", "Reduce them first.")


def scale(i: isa.Scale, s: Scope) -> Faults:
    """A term of a sum may be multiplied."""
    yield from _unary(i.result, i.a, s)
    if i.operation != "multiply":
        yield from whole(s, (i.a,), f"{i.operation} of a constant would count once a term")


def copy(i: isa.Copy, s: Scope) -> Faults:
    """As it is."""
    yield from _unary(i.result, i.a, s)


def apply(i: isa.Apply, s: Scope) -> Faults:
    """A function that exists, of what is whole."""
    if i.function not in SEQUENCES:
        yield Fault(f"{i.function!r} is no function", f"There are {', '.join(SEQUENCES)}.")
    elif i.by == "library" and i.function not in CALLS:
        yield Fault(f"{i.function!r} is no function of the library", f"There are {', '.join(CALLS)}.")
    yield from _unary(i.result, i.a, s)
    yield from whole(s, (i.a,), f"{i.function} of a term is no term")


def _unary(result: str, a: str, s: Scope) -> Faults:
    yield from alike(s, result, a)
    yield from together(s, result, (a,))
    if terms(s, result) != terms(s, a):
        yield Fault(f"{result} is a term of a sum and {a} is none, or the other way round")


def fill(i: isa.Fill, s: Scope) -> Faults:
    """Anything may be filled; a term of a sum with 0 alone."""
    if i.constant and "sum" in terms(s, i.result):
        yield Fault(f"{i.constant:g} in {i.result} would count once a term")


def fold(i: isa.Fold, s: Scope) -> Faults:
    """Some of the dimensions; of those that cores share a term stays on each."""
    names, made = s.shares.names(i.a), s.shares.names(i.result)
    if made != tuple(name for name in names if name in made):
        yield Fault(f"{i.result} has dimensions {list(made)}, which are not those of {i.a}, {list(names)}, less some")
    yield from _kept_sizes(s, i.result, i.a)
    for axis, parts in axes(s, i.a, i.result):
        if parts is None and all_joined(s, axis, (i.a,), i.result, i.operation):
            continue
        if parts is None or not all(_folded(a, r, made, i.operation) for a, r in parts):
            yield apart(s, axis, i.a, i.result)


def _kept_sizes(s: Scope, result: str, a: str) -> Faults:
    if len(s.shares.names(a)) != len(s.shares.shape(a)):
        return
    shapes = dict(zip(s.shares.names(a), s.shares.shape(a), strict=True))
    for name, size in zip(s.shares.names(result), s.shares.shape(result), strict=False):
        if shapes.get(name, size) != size:
            yield Fault(f"{result} has {size} of {name} on a core, and {a} {shapes[name]}")


def _folded(a: Part, r: Part, made: tuple[str, ...], operation: str) -> bool:
    if isinstance(a, Shard) and a.ways > 1:
        return same(a, r) if a.dim in made else isinstance(r, Partial) and r.op == operation
    if isinstance(a, Partial) and a.ways > 1:
        return a == r and a.op == operation
    return same(a, r) or (repeats(a) and repeats(r))


def rotate(i: isa.Rotate, s: Scope) -> Faults:
    """Pairs of neighbors; cosines and sines for each."""
    yield from _unary(i.result, i.a, s)
    if s.shares.shape(i.a)[-1:] == () or s.shares.shape(i.a)[-1] % 2:
        yield Fault(f"{i.a} has no pairs of neighbors")
    for name in (i.cosine, i.sine):
        yield from broadcast(s, name, i.a)
        yield from together(s, i.result, (name,))
        yield from whole(s, (name,), "turns others")


def mask(i: isa.Mask, s: Scope) -> Faults:
    """Positions that cores share."""
    yield from _unary(i.result, i.a, s)
    if POSITION not in s.shares.names(i.a):
        yield Fault(f"{i.a} has no positions")
    elif not any(isinstance(p, Shard) and p.dim == POSITION for p in (*s.values[i.a].rows, *s.values[i.a].columns)):
        yield Fault(f"no cores share the positions of {i.a}")
    if s.values[i.result].dims != s.values[i.a].dims:
        yield Fault(f"{i.result} has other dimensions than {i.a}")
    if i.window < 0 or i.chunk < 0:
        yield Fault(f"a window of {i.window} and chunks of {i.chunk}")
    if i.otherwise:
        yield from whole(s, (i.a,), "what is masked would count once a term")


def append(i: isa.Append, s: Scope) -> Faults:
    """The cache's dimensions but positions, which owners among those that hold all of `a` take in turn."""
    yield from is_of(s, i.cache, (Kind.CACHE,), "cache")
    yield from whole(s, (i.a,), "is kept")
    names = tuple(dim for dim in s.values[i.cache].dims if dim.name != POSITION)
    if names != s.values[i.a].dims or len(names) == len(s.values[i.cache].dims):
        yield Fault(f"{i.cache} has positions of {list(names)}, and {i.a} is {list(s.values[i.a].dims)}")
    for axis, parts in axes(s, i.cache, i.a):
        if parts is None or not all(
            same(c, a) or (isinstance(c, Shard) and c.dim == POSITION and repeats(a)) for c, a in parts
        ):
            yield apart(s, axis, i.cache, i.a)
    if not any(
        isinstance(p, Shard) and p.dim == POSITION for p in (*s.values[i.cache].rows, *s.values[i.cache].columns)
    ):
        yield Fault(f"no cores share the positions of {i.cache}")
