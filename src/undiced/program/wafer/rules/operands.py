"""What rules of instructions ask of operands: kinds, equal shapes, the same cores. Answers are faults."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from undiced.program.wafer.layout import Axis, Keeper, Part, Partial, Shard
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.spreads import WORDS, aligned, kept, local, repeats, same, words
from undiced.program.wafer.value import Kind

Stack = tuple[Shard, Keeper]  # how experts are shared out, and where each choice is then


def is_of(scope: Scope, name: str, kinds: tuple[Kind, ...], role: str) -> Faults:
    """`role` of an instruction takes values of some kinds alone."""
    kind = scope.values[name].kind
    if kind not in kinds:
        yield Fault(f"{role} {name} is {kind.value}, and must be {' or '.join(each.value for each in kinds)}")


def alike(scope: Scope, result: str, a: str) -> Faults:
    """The same dimensions; or, where memory is seen flat, as many elements on a core."""
    if scope.values[result].dims == scope.values[a].dims and scope.shares.size(result) == scope.shares.size(a):
        return
    if scope.shares.size(result) != scope.shares.size(a):
        yield Fault(
            f"{result} has {scope.shares.size(result)} elements on a core {_dims(scope, result)}, "
            f"{a} has {scope.shares.size(a)} {_dims(scope, a)}"
        )


def _dims(scope: Scope, name: str) -> str:
    return "(" + ", ".join(f"{dim.name} {dim.size}" for dim in scope.values[name].dims) + ")"


def broadcast(scope: Scope, b: str, a: str) -> Faults:
    """`b` has some of `a`'s dimensions, or as many elements on a core."""
    have, want = scope.shares.names(b), scope.shares.names(a)
    if set(have) - set(want) or scope.shares.roots(a) is not None:
        if scope.shares.size(b) not in (1, scope.shares.size(a)) and not _leads(scope, b, a):
            yield from alike(scope, b, a)
        return
    if have != tuple(name for name in want if name in have):
        yield Fault(f"{b} {_dims(scope, b)} has the dimensions of {a} {_dims(scope, a)} in another order")
    shapes = dict(zip(want, scope.shares.shape(a), strict=True))
    for name, size in zip(have, scope.shares.shape(b), strict=True):
        if size != shapes[name]:
            yield Fault(f"a core has {size} of {name} of {b}, and {shapes[name]} of {a}")


def _leads(scope: Scope, b: str, a: str) -> bool:
    """Whether b's dimensions are a's first ones, on a core."""
    have, want = scope.shares.shape(b), scope.shares.shape(a)
    return want[: len(have)] == have


def together(scope: Scope, result: str, operands: tuple[str, ...]) -> Faults:
    """Each core that makes a share of `result` has what that takes of every operand."""
    for axis in Axis:
        made = scope.spread(result, axis)
        for name in operands:
            held = scope.spread(name, axis)
            if held is None or (made is None and not kept(held)):
                continue
            pairs = None if made is None else aligned(made, held)
            names = scope.shares.names(name)
            if pairs is None or not all(_fits(r, p, names) for r, p in pairs):
                yield Fault(f"{name} lies on {WORDS[axis]} as {words(held)}, {result} as {words(made)}")


def _fits(made: Part, held: Part, names: tuple[str, ...]) -> bool:
    if isinstance(made, Shard):
        return same(made, held) or (repeats(held) and (made.dim not in names or made.ways == 1))
    if isinstance(made, Partial) or local(made):
        return same(made, held) or repeats(held)
    return repeats(made) and repeats(held)


def terms(scope: Scope, name: str) -> frozenset[str]:
    """The operators that a value's terms are still to be joined by."""
    value = scope.values[name]
    return frozenset(p.op for p in (*value.rows, *value.columns) if isinstance(p, Partial) and p.ways > 1)


def whole(scope: Scope, names: tuple[str, ...], why: str) -> Faults:
    """No operand is a term of a sum that is not taken yet."""
    for name in names:
        if terms(scope, name):
            yield Fault(f"{name} is a term that is still to be joined, and {why}", "Reduce it first.")


def axes(scope: Scope, *names: str) -> Iterator[tuple[Axis, list[tuple[Part, ...]] | None]]:
    """Of each axis the parts of all values side by side; axes where one of them is flat memory are left out, unless
    another lies there with its experts."""
    for axis in Axis:
        spreads = [scope.spread(name, axis) for name in names]
        if any(spread is None for spread in spreads):
            if any(kept(spread) for spread in spreads):
                yield axis, None
        else:
            yield axis, aligned(*(spread for spread in spreads if spread is not None))


def apart(scope: Scope, axis: Axis, *names: str) -> Fault:
    """What to say where spreads do not fit."""
    laid = "; ".join(f"{name} as {words(scope.spread(name, axis))}" for name in names)
    return Fault(f"on {WORDS[axis]} lie {laid}")


def all_joined(
    s: Scope, axis: Axis, operands: tuple[str, ...], result: str, operation: str, stack: Stack | None = None
) -> bool:
    """Whether all that cores of an axis share is joined, so that each has a term of it; those beyond have none. Of a
    `stack` that is shared out, the choices are."""
    spreads = [spread for name in operands if (spread := s.spread(name, axis)) is not None]
    parts, made = aligned(*spreads), s.spread(result, axis)
    if not parts or made is None or len(made) != 1 or not isinstance(made[0], Partial) or made[0].op != operation:
        return False
    names = s.shares.names(result)
    once = all(
        (stack is not None and each[1] == stack[0] and (each[0] == stack[1] or repeats(each[0])))
        or (len(set(each)) == 1 and isinstance(each[0], Shard) and each[0].dim not in names)
        for each in parts
    )
    return once and prod(each[0].ways for each in parts) <= made[0].ways
