"""Rules of instructions that look things up, rearrange them, or choose among them."""

from __future__ import annotations

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Keeper, Owner, Part, Partial, Shard, Spread, ways
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.operands import all_joined, apart, axes, is_of, together, whole
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.spreads import kept, same
from undiced.program.wafer.value import Kind, shard_of


def lookup(i: isa.Lookup, s: Scope) -> Faults:
    """What belongs to one index of a dimension that an axis shares, and the result lacks: at its owner."""
    yield from is_of(s, i.table, (Kind.TABLE, Kind.WEIGHT), "table")
    dims, made = s.values[i.table].dims, s.values[i.result].dims
    looked_up = [dim for dim in dims if dim not in made]
    if len(looked_up) != 1 or tuple(dim for dim in dims if dim in made) != made:
        yield Fault(f"{i.table} is {list(dims)}, of which {i.result} takes {list(made)}")
        return
    part = shard_of(s.values[i.table], looked_up[0].name)
    if part is None:
        yield Fault(f"no cores share {looked_up[0].name} of {i.table}")
        return
    for axis, parts in axes(s, i.table, i.result):
        if parts is None or not all(r == Owner(i.index, t.ways) if t == part else same(t, r) for t, r in parts):
            yield apart(s, axis, i.table, i.result)


def place(i: isa.Place, s: Scope) -> Faults:
    """Every element once: what cores share of `a` on an axis is a term of the result there, or the same share."""
    if s.values[i.a].dims != s.values[i.result].dims:
        yield Fault(f"{i.result} is {list(s.values[i.result].dims)}, and {i.a} {list(s.values[i.a].dims)}")
    both = [(axis, s.spread(i.a, axis), s.spread(i.result, axis)) for axis in Axis]
    spreads = [(axis, a, made) for axis, a, made in both if a is not None and made is not None]
    shared = {p.dim for _, a, made in spreads if not _terms(made) for p in a if isinstance(p, Shard) and p.ways > 1}
    for axis, a, made in spreads:
        if kept(a) or kept(made) or not _placed(a, made, shared):
            yield apart(s, axis, i.a, i.result)


def _terms(spread: Spread) -> Spread:
    return tuple(part for part in spread if isinstance(part, Partial) and part.ways > 1)


def _placed(a: Spread, made: Spread, shared: set[str]) -> bool:
    if _terms(made):
        alone = all(isinstance(part, (Shard, Partial)) or part.ways == 1 for part in a)
        return made == _terms(made) and bool(a) and alone and ways(a) <= ways(made)
    if _terms(a):
        return False
    mine = {part.dim: part for part in a if isinstance(part, Shard) and part.ways > 1}
    wanted = {part.dim: part for part in made if isinstance(part, Shard)}
    return all(wanted.get(dim) == part for dim, part in mine.items()) and all(
        dim in mine or dim not in shared for dim in wanted
    )


def select(i: isa.Select, s: Scope) -> Faults:
    """Lists of values, ids and what they carry; of what cores share, each has a list of its own."""
    made, dims = s.values[i.result].dims, s.values[i.a].dims
    rows, kept = 3 if i.carried else 2, made[1:-1]
    if len(made) < 2 or made[0].size != rows or kept != dims[: len(kept)] or len(kept) == len(dims):
        yield Fault(f"{i.result} is {list(made)}; lists of {i.a}, {list(dims)}, have {rows} rows first")
        return
    yield from whole(s, (i.a,), "is no number to choose yet")
    if i.carried:
        if s.values[i.carried].dims != dims:
            yield Fault(f"{i.carried} is {list(s.values[i.carried].dims)}, and {i.a} {list(dims)}")
        yield from together(s, i.a, (i.carried,))
    names = {dim.name for dim in kept}
    for axis, parts in axes(s, i.a, i.result):
        if parts is None and all_joined(s, axis, (i.a,), i.result, "max"):
            continue
        if parts is None or not all(_listed(a, r, names) for a, r in parts):
            yield apart(s, axis, i.a, i.result)


def _listed(a: Part, r: Part, left: set[str]) -> bool:
    if isinstance(a, Shard) and a.ways > 1 and a.dim not in left:
        return isinstance(r, Partial) and r.op == "max"
    return same(a, r) and not isinstance(a, Keeper)


def draw(i: isa.Draw, s: Scope) -> Faults:
    """One id, of lists that every core has."""
    dims = s.values[i.a].dims
    if len(dims) != 2 or dims[0].size < 2 or s.shares.size(i.result) != 1:
        yield Fault(f"{i.a} is {list(dims)}, no lists that {i.result} is one token of")
    yield from whole(s, (i.a,), "is no list yet")
    yield from together(s, i.result, (i.a,))


def mark(i: isa.Mark, s: Scope) -> Faults:
    """One more dimension than the ids have."""
    made, ids = s.values[i.result].dims, s.values[i.ids].dims
    if not made or made[:-1] != ids:
        yield Fault(f"{i.result} is {list(made)}, and {i.ids} {list(ids)}")
    yield from together(s, i.result, (i.ids,))
    yield from whole(s, (i.ids, i.result), "marks are whole")


def pick(i: isa.Pick, s: Scope) -> Faults:
    """Ids along a last dimension that every core has all of."""
    a, ids = s.values[i.a].dims, s.values[i.ids].dims
    if not a or a[-1].name != i.dim or a[:-1] != ids[:-1] or s.values[i.result].dims != ids:
        yield Fault(
            f"{i.result} is {list(s.values[i.result].dims)}, elements of {list(a)} along {i.dim} at {list(ids)}"
        )
    elif shard_of(s.values[i.a], i.dim) is not None:
        yield Fault(f"cores share {i.dim} of {i.a}")
    elif kept(s.values[i.a].rows) or kept(s.values[i.a].columns):
        yield Fault(f"{i.a} lies with its experts")
    yield from together(s, i.result, (i.a, i.ids))
    yield from whole(s, (i.a, i.ids), "is picked by its number")
