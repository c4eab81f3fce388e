"""Lowers folds: a core's own elements joined one after the other, into a value that was cleared."""

from __future__ import annotations

from math import inf

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.operands import At, held, operations
from undiced.sim.fabric.microops import Function, Immediate, Vector

_CLEARED: dict[str, tuple[Function, float]] = {"sum": ("add", 0.0), "max": ("maximum", -inf)}


def fold(i: isa.Fold, frame: Frame, which: int, positions: int = -1) -> list[Vector]:
    """`positions`: how many of its share's the core has, where these are folded."""
    function, cleared = _CLEARED[i.operation]
    own = walk.axes(frame, i.result)
    target = held(frame, own, i.result, i.result)
    first = operations("move", own, target, Immediate(cleared))
    axes = walk.limited(walk.axes(frame, i.a), POSITION, positions)
    if any(axis.size == 0 for axis in axes):
        return first
    onto = At(target.address, target.dtype, tuple(_onto(axis, frame, i) for axis in axes))
    return [*first, *operations(function, axes, onto, onto, held(frame, axes, i.a, i.a, which))]


def _onto(axis: walk.Axis, frame: Frame, i: isa.Fold) -> int:
    """How far it is in the result to where the next element along an axis of `a` is joined."""
    ahead = walk.flat(axis, frame, i.result, i.a) if axis.dim in frame.shares.names(i.result) else 0
    return frame.step(i.result, ahead) if ahead else 0
