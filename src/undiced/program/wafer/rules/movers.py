"""Rules of what moves between cores: lines, trees, wires, and the layouts before and after."""

from __future__ import annotations

from math import prod

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Owner, Partial, Replicate, Roots, Spread
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.operands import apart, is_of, terms, whole
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.spreads import WORDS, aligned, kept, repeats, same
from undiced.program.wafer.value import Kind

_TERMS = {"sum": "sum", "max": "max", "two": "max", "top": "max"}
_COLORS_MAX = 255  # ours: far above any machine's
_DISTANCE_MAX = 1 << 24


def _line(s: Scope, line: isa.Line) -> Faults:
    extent = s.extent(line.axis)
    if line.span < 1 or (extent and line.span > extent):
        yield Fault(f"a line of {line.span} cores along {WORDS[line.axis]}, of which the region has {extent}")


def _other(s: Scope, axis: Axis, result: str, a: str) -> Faults:
    """On the axis that a line does not run along, nothing changes."""
    spreads = s.spread(result, axis), s.spread(a, axis)
    if spreads[0] is None or spreads[1] is None:
        if kept(spreads[0]) or kept(spreads[1]):
            yield apart(s, axis, result, a)
        return
    parts = aligned(spreads[0], spreads[1])
    if parts is None or not all(same(r, p) for r, p in parts):
        yield apart(s, axis, result, a)


def _own(s: Scope, name: str, axis: Axis) -> Spread:
    value = s.values[name]
    return value.rows if axis is Axis.ROWS else value.columns


def reduce(i: isa.Reduce, s: Scope) -> Faults:
    """The innermost terms along the line become roots of its tree; nothing else changes."""
    yield from _line(s, i.line)
    axis = i.line.axis
    before, after = _own(s, i.a, axis), _own(s, i.result, axis)
    term = Partial(_TERMS[i.operation], i.line.span)  # type: ignore[arg-type]
    if not before or before[-1] != term:
        yield Fault(f"{i.a} has no terms of a {term.op} on each {i.line.span} {WORDS[axis]}")
        return
    root = after[-1] if after else None
    if not isinstance(root, Roots) or root.ways != i.line.span or after[:-1] != before[:-1]:
        yield apart(s, axis, i.a, i.result)
        return
    yield from _other(s, Axis.COLUMNS if axis is Axis.ROWS else Axis.ROWS, i.result, i.a)
    if s.values[i.a].dims != s.values[i.result].dims:
        yield Fault(f"{i.result} has other dimensions than {i.a}")
    elif not root.whole and (root.riders >= s.shares.size(i.a) or root.granule > s.shares.size(i.a) - root.riders):
        yield Fault(f"{i.a} has {s.shares.size(i.a)} elements: less than a granule of {root.granule} and {root.riders}")
    if s.values[i.result].view is not None:
        yield Fault(f"{i.result} is a view, and sums need memory of their own")
    if i.operation == "top" and not (root.whole and len(s.values[i.a].dims) > 1 and s.values[i.a].dims[0].size > 1):
        yield Fault(f"{i.a} is no list, or its roots take a part of it each")
    if i.operation == "two" and not (root.whole and s.values[i.a].dims and s.values[i.a].dims[-1].size == 2):
        yield Fault(f"{i.a} has no pairs, or its roots take a part of them each")


def multicast(i: isa.Multicast, s: Scope) -> Faults:
    """What roots or owners of a line hold, all of its cores have."""
    yield from _line(s, i.line)
    axis = i.line.axis
    held = _own(s, i.a, axis)
    if not held or not isinstance(held[-1], (Roots, Owner)) or held[-1].ways != i.line.span:
        yield Fault(f"{i.a} is not held by roots or owners of {i.line.span} {WORDS[axis]}")
        return
    yield from whole(s, (i.result,), "is sent to all")
    everywhere = (*held[:-1], Replicate(i.line.span))
    made = _own(s, i.result, axis)
    parts = aligned(everywhere, made)
    if parts is None or not all(same(a, b) or (repeats(a) and repeats(b)) for a, b in parts):
        yield apart(s, axis, i.a, i.result)
    yield from _other(s, Axis.COLUMNS if axis is Axis.ROWS else Axis.ROWS, i.result, i.a)
    has, wanted, part = s.shares.size(i.a), s.shares.size(i.result), held[-1]
    slices = 1 if isinstance(part, Owner) or part.whole else s.program.trees[part.tree].slices
    if not (has == wanted or (slices > 1 and has < wanted <= slices * has)):
        yield Fault(f"{slices} roots hold {has} elements of {i.a} each, and {i.result} has {wanted} on a core")


def slice_(i: isa.Slice, s: Scope) -> Faults:
    """All of it is on every core of the line, and each root takes its own."""
    found = [
        (axis, spread[-1]) for axis in Axis if (spread := _own(s, i.result, axis)) and isinstance(spread[-1], Roots)
    ]
    if not found:
        yield Fault(f"{i.result} does not lie at roots")
        return
    axis, root = found[0]
    assert isinstance(root, Roots)
    slices = 1 if root.whole else s.program.trees[root.tree].slices
    spreads = s.spread(i.a, axis)
    parts = None if spreads is None else aligned(_own(s, i.result, axis), spreads)
    if spreads is not None and (parts is None or not all(same(r, a) or repeats(a) for r, a in parts)):
        yield apart(s, axis, i.result, i.a)
    yield from _other(s, Axis.COLUMNS if axis is Axis.ROWS else Axis.ROWS, i.result, i.a)
    yield from whole(s, (i.a,), "is taken as it is")
    if slices * s.shares.size(i.result) < s.shares.size(i.a) or root.riders:
        yield Fault(f"{slices} roots take {s.shares.size(i.result)} each of {i.a}, which has {s.shares.size(i.a)}")


def transfer(i: isa.Transfer, s: Scope) -> Faults:
    """A state of the region before, as it is declared there."""
    yield from is_of(s, i.a, (Kind.STATE,), "a")
    yield from is_of(s, i.result, (Kind.STATE,), "result")
    yield from whole(s, (i.a, i.result), "is handed on")
    if prod(d.size for d in s.values[i.a].dims) != prod(d.size for d in s.values[i.result].dims):
        yield Fault(f"{i.result} has other dimensions than {i.a}")
    yield from _distance(i.distance)


def return_(i: isa.Return, s: Scope) -> Faults:
    """A number that every core has."""
    if terms(s, i.a) or not s.shares.size(i.a) >= 1:
        yield Fault(f"{i.a} is no token")
    yield from _distance(i.distance)


def rebind(i: isa.Rebind, s: Scope) -> Faults:
    """A queue and two colors; whether they are bound so is a rule of routes."""
    if min(i.queue, i.before, i.after) < 0 or max(i.queue, i.before, i.after) > _COLORS_MAX:
        yield Fault(f"queue {i.queue} changes from color {i.before} to {i.after}")


def repaint(i: isa.Repaint, s: Scope) -> Faults:
    """From one tree's routes to another's; whether colors have them then is a rule of routes."""
    trees = len(s.program.trees)
    if i.before == i.after or not (0 <= i.before < trees and 0 <= i.after < trees):
        yield Fault(f"routes of tree {i.before} give way to those of tree {i.after}, and there are {trees}")


def _distance(distance: int) -> Faults:
    if not 0 <= distance <= _DISTANCE_MAX:
        yield Fault(f"a distance of {distance} hops")
