"""Moment: a point in a stream's time, which knows what it waited for."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from msgspec import Struct

from undiced.machine.cost import ZERO, Cost


class Moment(Struct, frozen=True, eq=False, gc=False):
    """A point in time: `cost` after the moment `before`, spent by an instruction of a node."""

    cycles: float = 0.0
    before: Moment | None = None
    cost: Cost = ZERO
    node: str = ""
    kind: str = ""


BEGUN = Moment()
_CYCLES = attrgetter("cycles")


def latest(moments: Iterable[Moment]) -> Moment:
    """The last of them."""
    return max(moments, key=_CYCLES)
