"""Rules of products by shifted tiles, and of prompts that lie over cores."""

from __future__ import annotations

import math

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import PROMPT, Shard
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.operands import alike, is_of, together, whole
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.value import GROUPS, Kind

_KINDS = (Kind.ACTIVATION, Kind.STATE)


def _sides(s: Scope, name: str) -> tuple[Shard, Shard] | None:
    """The dimensions that rows and columns share in blocks, each by as many cores."""
    value = s.values[name]
    parts = (*value.rows, *value.columns)
    if len(value.rows) != 1 or len(value.columns) != 1 or not all(isinstance(p, Shard) for p in parts):
        return None
    rows, columns = parts
    assert isinstance(rows, Shard) and isinstance(columns, Shard)
    return (rows, columns) if rows.ways == columns.ways and rows.order == columns.order == "block" else None


def _squares(s: Scope, names: tuple[str, ...]) -> Faults:
    """All of them lie over one square of cores, which is the whole region."""
    sides = set()
    for name in names:
        found = _sides(s, name)
        if found is None:
            yield Fault(f"{name} does not lie in blocks over a square of cores")
            return
        sides |= {found[0].ways}
    extents = {extent for region in s.regions for extent in (region.rows, region.columns)}
    if len(sides) > 1 or extents - sides:
        yield Fault(f"{', '.join(names)} lie over squares of {sorted(sides)} cores a side; the region has another")


def _contracted(i: isa.ShiftProduct | isa.ShiftScores, s: Scope) -> Faults:
    """Shares fit: what x and the other lack in the result is summed over, and both have it."""
    yield from is_of(s, i.x, _KINDS, "x")
    yield from is_of(s, i.result, _KINDS, "result")
    yield from whole(s, (i.x, i.a, i.result), "tiles are multiplied whole")
    have = dict(zip(s.shares.names(i.x), s.shares.shape(i.x), strict=False))
    for name, size in zip(s.shares.names(i.a), s.shares.shape(i.a), strict=False):
        if have.setdefault(name, size) != size:
            yield Fault(f"a core has {have[name]} of {name} of {i.x}, and {size} of {i.a}")
    made = dict(zip(s.shares.names(i.result), s.shares.shape(i.result), strict=False))
    x, other = set(s.shares.names(i.x)), set(s.shares.names(i.a))
    if (x ^ other) != set(made) or not x & other:
        yield Fault(f"{i.x} and {i.a} make {sorted(x ^ other)}, and {i.result} is {list(made)}")
    elif any(have[name] != size for name, size in made.items()):
        yield Fault(f"{i.result} has other shares than {i.x} and {i.a} make")


def shift_product(i: isa.ShiftProduct, s: Scope) -> Faults:
    """x shares the sum's dimension over columns, the other over rows."""
    yield from _squares(s, (i.x, i.a, i.result))
    yield from _contracted(i, s)
    first = next(each for each in s.stream.instructions if isinstance(each, isa.ShiftProduct) and each.x == i.x)
    if i.aligned and first.aligned:
        yield Fault(f"{i.x} is aligned, and no product before has aligned it")
    x, other, made = (_sides(s, name) for name in (i.x, i.a, i.result))
    if x and other and made and (x[0].dim != made[0].dim or other[1].dim != made[1].dim or x[1].dim != other[0].dim):
        yield Fault(f"{i.x}, {i.a} and {i.result} are not rows by sums, sums by columns, rows by columns")


def shift_scores(i: isa.ShiftScores, s: Scope) -> Faults:
    """Both share the sum's dimension over columns; the other's rows become the result's columns."""
    yield from _squares(s, (i.x, i.a, i.result))
    yield from _contracted(i, s)
    x, other, made = (_sides(s, name) for name in (i.x, i.a, i.result))
    if x and other and made and (x[0].dim != made[0].dim or other[0].dim != made[1].dim or x[1].dim != other[1].dim):
        yield Fault(f"{i.x}, {i.a} and {i.result} are not rows by sums, columns by sums, rows by columns")


def causal(i: isa.Causal, s: Scope) -> Faults:
    """Of two dimensions that cores share in blocks, one on each axis."""
    yield from alike(s, i.result, i.a)
    yield from together(s, i.result, (i.a,))
    yield from whole(s, (i.a,), "is no score yet")
    sides = _sides(s, i.a)
    if sides is None or {side.dim for side in sides} != {i.query, i.key}:
        yield Fault(f"{i.a} does not share {i.query} and {i.key} over rows and columns")
    if min(i.window, i.chunk) < 0 or not math.isfinite(i.otherwise):
        yield Fault(f"a window of {i.window}, a chunk of {i.chunk}, and {i.otherwise} elsewhere")


def read(i: isa.Read, s: Scope) -> Faults:
    """Columns of a slot by tokens of the prompt."""
    slots = {slot.name: slot for slot in s.program.slots}
    dims = s.values[i.result].dims
    slot = slots.get(i.slot)
    if slot is None:
        yield Fault(f"the host keeps no {i.slot!r}, which is no slot")
    elif len(dims) != 2 or dims[1].name != PROMPT or dims[0].size != slot.columns or slot.rows < s.program.vocab:
        yield Fault(f"{i.result} is {list(dims)}, and a row of {i.slot} has {slot.columns} numbers")
    elif dims[1].size > s.program.bounds.context:
        yield Fault(f"a prompt of {dims[1].size} tokens, and the program holds {s.program.bounds.context}")
    yield from is_of(s, i.result, _KINDS, "result")
    sides = _sides(s, i.result)
    if sides is None or sides[0].dim != PROMPT or s.values[i.result].dtype in GROUPS:
        yield Fault(f"{i.result} does not lie with tokens over rows, in floats")
    if not math.isfinite(i.scale):
        yield Fault(f"a scale of {i.scale}")
