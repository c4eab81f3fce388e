"""How much of each value of a stream the fullest core holds, and where in memory a view's elements are.

Knows layouts, views and trees. Sizes follow the positions that a step fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, prod

from msgspec import Struct

from undiced.program.wafer.layout import Roots
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.step import FULL, Step
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Kind, Value, local_shape


def values_of(program: WaferProgram, stream: Stream) -> dict[str, Value]:
    """What a stream can name: its own values, and the states of all streams."""
    states = {v.name: v for other in program.streams for v in other.values if v.kind is Kind.STATE}
    return states | {v.name: v for v in stream.values}


class Extent(Struct, frozen=True, gc=False):
    """Elements `start` to `stop` of the flat share of a value that has memory of its own."""

    value: str
    start: int
    stop: int

    def meets(self, other: Extent) -> bool:
        """Whether both have an element in common, of one value."""
        return self.start < other.stop and other.start < self.stop


@dataclass(slots=True)
class Shares:
    """Local shapes of the values of one stream in a step; by default with caches as large as they are declared."""

    values: Mapping[str, Value]
    trees: tuple[Tree, ...]
    step: Step = FULL
    _shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _parts: dict[str, Roots | None] = field(default_factory=dict)
    _stored: dict[str, Value] = field(default_factory=dict)

    def names(self, name: str) -> tuple[str, ...]:
        """The dimensions of a value."""
        return tuple(dim.name for dim in self.values[name].dims)

    def shape(self, name: str) -> tuple[int, ...]:
        """A core's share of a value; at roots of slices it is flat, riders last."""
        if name not in self._shapes:
            value = self.values[name]
            self._shapes[name] = self._seen(value) if value.view else self._own(value)
        return self._shapes[name]

    def size(self, name: str) -> int:
        """Elements of the share."""
        size = self._sizes.get(name)
        if size is None:
            size = self._sizes[name] = prod(self.shape(name))
        return size

    def stored(self, name: str) -> Value:
        """The value whose memory a value lies in: itself, or what it is a view of."""
        found = self._stored.get(name)
        if found is None:
            found = self.values[name]
            while found.view is not None:
                found = self.values[found.view.parent]
            self._stored[name] = found
        return found

    def constant(self, name: str) -> bool:
        """Whether a value is the same for all tokens of a step."""
        stored = self.stored(name)
        return stored.once or stored.kind in (Kind.WEIGHT, Kind.TABLE)

    def roots(self, name: str) -> Roots | None:
        """The part of a value, or of what it is a view of, that lies at roots."""
        if name not in self._parts:
            value = self.values[name]
            while (part := _roots(value)) is None and value.view is not None:
                value = self.values[value.view.parent]
            self._parts[name] = part
        return self._parts[name]

    def stride(self, name: str) -> int:
        """Elements from one to the next: more than 1 where they are picked out of interleaved ones."""
        view = self.values[name].view
        return view.of if view is not None and view.count == 1 else 1

    def extent(self, name: str) -> Extent:
        """Where a value's share lies: the first to the last of the elements that it is picked from."""
        value = self.values[name]
        if value.view is None:
            return Extent(name, 0, max(self.size(name), 1))
        view, parent = value.view, self.extent(value.view.parent)
        length = self.size(view.parent)
        start = view.offset if view.offset >= 0 else length + view.offset
        taken = self.size(name) * view.of // view.count
        if self.stride(view.parent) > 1:
            return parent
        return Extent(parent.value, parent.start + start, parent.start + start + max(taken, 1))

    def _own(self, value: Value) -> tuple[int, ...]:
        shape, part = local_shape(value, self.step.context), _roots(value)
        if part is None or part.whole:
            return shape
        slices = self.trees[part.tree].slices
        share = part.granule * ceil((prod(shape) - part.riders) / part.granule / slices)
        return (share + part.riders,)

    def _seen(self, value: Value) -> tuple[int, ...]:
        """Local sizes of a view; a dimension of size 0 takes what its parent has, riders left out."""
        view = value.view
        assert view is not None
        shape = list(local_shape(value, self.step.context))
        if 0 in shape:
            part = _roots(self.values[view.parent])
            body = self.size(view.parent) - (part.riders if part else 0) - view.offset
            known = prod(size for size in shape if size)
            known = known * view.of // view.count
            shape[shape.index(0)] = body // known
        return tuple(shape)


def _roots(value: Value) -> Roots | None:
    for part in (*value.rows, *value.columns):
        if isinstance(part, Roots):
            return part
    return None
