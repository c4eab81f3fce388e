"""Rules of values by themselves: dimensions, spreads, views, and what states share. Knows what instructions name."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from undiced.program.wafer.layout import FLAT, POSITION, Axis, Dim, Keeper, Owner, Part, Roots, Shard, ways
from undiced.program.wafer.lifetimes import own_reads
from undiced.program.wafer.operands import writes
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.limits import DIMS_MAX, NUMBER_MAX, PARTS_MAX, SHARE_MAX, SIZE_MAX, WAYS_MAX
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.share import Shares
from undiced.program.wafer.spreads import WORDS, aligned, kept, same, words
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import Kind, Value, View

VIEWS_MAX = 8  # views of views


def declared(program: WaferProgram) -> Iterator[tuple[Stream, Fault]]:
    """What must hold of every value before anything is computed from it; equal declarations of states."""
    states: dict[str, Value] = {}
    for stream in program.streams:
        found: dict[str, Value] = {}
        for value in stream.values:
            if value.name in found or not value.name:
                yield stream, Fault(f"two values are called {value.name!r}")
            found[value.name] = value
            if value.kind is Kind.STATE:
                other = states.setdefault(value.name, value)
                if (other.dims, other.dtype, other.rows, other.columns, other.address, other.view) != (
                    value.dims, value.dtype, value.rows, value.columns, value.address, value.view,
                ):  # fmt: skip
                    yield stream, Fault(f"state {value.name} is declared otherwise than in another stream")
            yield from ((stream, Fault(f"{value.name} {what}")) for what in _alone(value, program))
        for value in stream.values:
            yield from ((stream, Fault(f"{value.name} {what}")) for what in _chain(value, found))


def _alone(value: Value, program: WaferProgram) -> Iterator[str]:
    names = [dim.name for dim in value.dims]
    if len(names) > DIMS_MAX or len(set(names)) < len(names):
        yield f"has dimensions {names}"
    least = 0 if value.view is not None else 1
    if any(not least <= dim.size <= SIZE_MAX for dim in value.dims) or sum(dim.size == 0 for dim in value.dims) > 1:
        yield f"has dimensions of {[dim.size for dim in value.dims]}; they are 1 to {SIZE_MAX}"
    shards = [part for part in (*value.rows, *value.columns) if isinstance(part, Shard)]
    shared = [part.dim for part in shards]
    if len(set(shared)) < len(shared) or (set(shared) - set(names) and FLAT not in names):
        yield f"shares out {shared} of its dimensions {names}"
    elif any(dim.size == 0 for dim in value.dims if dim.name in shared):
        yield "shares out a dimension of unknown size"
    yield from _spreads(value, program)
    table = value.kind is Kind.TABLE and value.view is None
    if table != (value.table is not None) or (value.weights and value.kind is not Kind.WEIGHT):
        yield f"is {value.kind.value}, and says what {'a table' if value.table else 'a weight'} holds"
    if value.again and (value.weights is None or value.view is not None):
        yield "is read again, and no weight with memory of its own"
    if value.once and value.kind not in (Kind.ACTIVATION, Kind.STATE):
        yield f"is {value.kind.value}, and said to be there once"
    if value.view is not None and value.kind is Kind.CACHE:
        yield f"is {value.kind.value}, which has memory of its own, and a view"
    if not -1 <= value.address < NUMBER_MAX:
        yield f"lies at {value.address}"


def _spreads(value: Value, program: WaferProgram) -> Iterator[str]:
    for axis, spread in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
        if len(spread) > PARTS_MAX or not all(1 <= part.ways <= WAYS_MAX for part in spread) or ways(spread) > WAYS_MAX:
            yield f"takes {[part.ways for part in spread][:PARTS_MAX]} cores of its {WORDS[axis]}"
        for number, part in enumerate(spread):
            inner = number == len(spread) - 1
            yield from (f"{what} on {WORDS[axis]}" for what in _part(part, inner, value, program))
    kinds = [type(part) for part in (*value.rows, *value.columns)]
    if kinds.count(Roots) + kinds.count(Owner) > 1:
        yield "lies at roots or owners on both axes, or twice"


def _part(part: Part, inner: bool, value: Value, program: WaferProgram) -> Iterator[str]:
    if isinstance(part, (Roots, Owner)) and not inner:
        yield "lies at roots or owners of lines that have gaps"
    if isinstance(part, Shard) and part.dim == POSITION and not (inner and part.order == "cyclic"):
        yield "has positions that neighbors do not take in turn"
    if isinstance(part, Keeper) and not (value.kind is Kind.ACTIVATION and 1 <= part.share <= SIZE_MAX):
        yield f"is {value.kind.value}, and lies with experts of which cores have {part.share}"
    if not isinstance(part, Roots):
        return
    if not 0 <= part.tree < len(program.trees):
        yield f"lies at the roots of tree {part.tree} of {len(program.trees)}"
    elif program.trees[part.tree].span != part.ways:
        yield f"lies at roots of {part.ways} cores; tree {part.tree} spans {program.trees[part.tree].span}"
    if not 1 <= part.granule <= SIZE_MAX or not 0 <= part.riders <= SIZE_MAX:
        yield f"has granules of {part.granule} and {part.riders} riders"
    elif value.view is None and part.riders >= prod(dim.size for dim in value.dims):
        yield f"has {part.riders} riders, and no more elements"


def _chain(value: Value, found: dict[str, Value]) -> Iterator[str]:
    """A view ends at a value with memory of its own, which has its element type and kind."""
    seen, at = 0, value
    while at.view is not None:
        if at.view.parent not in found:
            yield f"lies in {at.view.parent!r}, which the stream does not declare"
            return
        at, seen = found[at.view.parent], seen + 1
        if seen > VIEWS_MAX:
            yield "is a view of too many views, or of itself"
            return
    if seen and at.dtype is not value.dtype:
        yield f"is {value.dtype.value} inside {at.name}, which is {at.dtype.value}"
    if seen and at.kind is not value.kind:
        yield f"is {value.kind.value} inside {at.name}, which is {at.kind.value}"


def placed(scope: Scope) -> Faults:
    """Shares that a core can hold, cores that the regions have, and views inside what they lie in."""
    named = {name for i in scope.stream.instructions for name in (*own_reads(i), *writes(i))}
    for value in scope.values.values():
        name = value.name
        if value not in scope.stream.values and name not in named:
            continue  # another stream's state may be of another region
        for axis, spread in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
            extent = scope.extent(axis)
            if extent and ways(spread) > extent:
                yield Fault(f"{name} takes {ways(spread)} {WORDS[axis]} of a region that has {extent}")
    few = Shares(scope.values, scope.program.trees, Step(context=1))
    for name, value in scope.values.items():
        for shares in (scope.shares, few):
            if not 0 < shares.size(name) <= SHARE_MAX:
                yield Fault(f"{name} has {shares.size(name)} elements on a core; they are 1 to {SHARE_MAX}")
            elif value.view is not None:
                yield from (Fault(f"{name} {what}") for what in _view(name, value.view, shares))
        for part in (*value.rows, *value.columns):
            if isinstance(part, Keeper):
                yield from (Fault(f"{name} {what}") for what in _keeper(scope, value, part))
        if value.view is not None:
            yield from (Fault(f"{name} {what}") for what in _beside(scope, name, value.view.parent))


def _keeper(scope: Scope, value: Value, part: Keeper) -> Iterator[str]:
    """Who has experts follows from ids that are written once; of each choice a core has all or nothing."""
    if part.ids not in scope.values:
        yield f"lies with the experts of {part.ids!r}, which the stream does not declare"
        return
    choices = scope.values[part.ids].dims
    shared = {p.dim for p in (*value.rows, *value.columns) if isinstance(p, Shard)}
    if any(dim.name in shared or not (dim in value.dims or _flat(value)) for dim in choices):
        yield f"lies with the experts of {part.ids}, and has not all of {[dim.name for dim in choices]} on a core"
    holder = scope.shares.stored(part.ids).name
    written = [name for i in scope.stream.instructions for name in writes(i) if name in scope.values]
    if sum(scope.shares.stored(name).name == holder for name in written) > 1:
        yield f"lies with the experts of {part.ids}, which is written more than once"


def _flat(value: Value) -> bool:
    return any(dim.name == FLAT for dim in value.dims)


def _view(name: str, view: View, shares: Shares) -> Iterator[str]:
    if not (1 <= view.of <= SIZE_MAX and view.pick >= 0 and view.count >= 1 and view.pick + view.count <= view.of):
        yield f"takes elements {view.pick} to {view.pick + view.count} of every {view.of}"
        return
    if view.count > 1 and view.of > 1 and shares.shape(name)[-1:] != (view.count,):
        yield f"takes {view.count} elements at a time; its last dimension has {shares.shape(name)[-1:]}"
        return
    parent = shares.values[view.parent].view
    if parent is not None and parent.of != parent.count:
        yield f"is a view of {view.parent}, which skips elements"
    length = shares.size(view.parent)
    start = view.offset if view.offset >= 0 else length + view.offset
    end = start + shares.size(name) // view.count * view.of
    if start < 0 or end > length:
        yield f"takes elements {start} to {end} of {view.parent}, which has {length} on a core"


def _sizes(dims: tuple[Dim, ...]) -> tuple[int, ...]:
    return tuple(dim.size for dim in dims)


def _renamed(a: Part, b: Part, names: dict[str, str]) -> bool:
    """Whether both share out one dimension, which has another name in a view."""
    alike = isinstance(a, Shard) and isinstance(b, Shard) and (a.ways, a.order) == (b.ways, b.order)
    return alike and names.get(a.dim) == b.dim  # type: ignore[union-attr]


def _beside(scope: Scope, name: str, parent: str) -> Iterator[str]:
    """What a view lies in is on the same cores, and terms of sums alike; the same dimensions may have other names."""
    seen, own = scope.values[name].dims, scope.values[parent].dims
    names = {a.name: b.name for a, b in zip(own, seen, strict=False)} if _sizes(own) == _sizes(seen) else {}
    for axis in Axis:
        outer, inner = scope.spread(parent, axis), scope.spread(name, axis)
        if outer is None or (inner is None and not kept(outer)):
            continue
        pairs = None if inner is None else aligned(outer, inner)
        if pairs is None or not all(same(a, b) or _renamed(a, b, names) for a, b in pairs):
            yield f"lies on {WORDS[axis]} as {words(inner)}; {parent} as {words(outer)}"
