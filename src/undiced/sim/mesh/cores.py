"""The memory of a region's cores while a step runs: values by name as arrays over all cores, and what is rounded how.

Arrays are [rows, columns, tokens, *local] (activations, states), [rows, columns, *local] (weights, tables), and one a
sequence (caches). What a core must not read is NaN: a layout that lies shows in the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.layout import Axis, Roots
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import DType, Kind, Value, local_shape
from undiced.sim.mesh.spreading import F32

Ints = NDArray[np.int64]
Numbers = Literal["fp32", "wafer"]


def rounded(value: F32, dtype: DType) -> F32:
    """`value` as the float32 numbers nearest to it that `dtype` can hold."""
    if dtype is DType.F16:
        return value.astype(np.float16).astype(np.float32)
    if dtype is DType.BF16:
        bits = np.ascontiguousarray(value).view(np.uint32)
        even = (bits >> np.uint32(16) & np.uint32(1)) + np.uint32(0x7FFF)
        return ((bits + even) & np.uint32(0xFFFF0000)).view(np.float32)
    return value


@dataclass(frozen=True, slots=True)
class Batch:
    """The tokens of a step: ids, positions and sequences, (T,) each; a sequence's tokens are neighbors, in order."""

    tokens: Ints
    positions: Ints
    sequences: Ints

    @property
    def size(self) -> int:
        """Tokens."""
        return len(self.tokens)


@dataclass(slots=True)
class Cores:
    """Arrays of one region.

    Attributes:
        values: what the running stream declares, by name.
        bound: weights and tables of the run, by name; caches by name and sequence.
        positions: KV positions that the longest sequence of the step has.
    """

    rows: int
    columns: int
    trees: tuple[Tree, ...]
    numbers: Numbers
    batch: Batch
    values: Mapping[str, Value] = field(default_factory=dict)
    bound: dict[str, F32] = field(default_factory=dict)
    caches: dict[tuple[str, int], F32] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    arrays: dict[str, F32] = field(default_factory=dict)
    owners: dict[str, Ints] = field(default_factory=dict)
    positions: int = 0

    def extent(self, axis: Axis) -> int:
        """Cores along an axis."""
        return self.rows if axis is Axis.ROWS else self.columns

    def roots_of(self, value: Value) -> tuple[Axis, Roots] | None:
        """The axis along which `value` lies at roots, if it does."""
        for axis, parts in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
            for part in parts:
                if isinstance(part, Roots):
                    return axis, part
        return None

    def shape(self, name: str) -> tuple[int, ...]:
        """A core's share of a value that lies in memory of its own."""
        value = self.values[name]
        shape = local_shape(value, self.positions)
        found = self.roots_of(value)
        if found is None or found[1].whole:
            return shape
        part = found[1]
        slices = self.trees[part.tree].slices
        share = part.granule * ceil((prod(shape) - part.riders) / part.granule / slices)
        return (share + part.riders,)

    def _viewed(self, name: str) -> F32:
        value = self.values[name]
        view = value.view
        assert view is not None
        parent = self.read(view.parent, allocate=True)
        lead = parent.shape[:2] if self.values[view.parent].kind in (Kind.WEIGHT, Kind.TABLE) else parent.shape[:3]
        flat = parent.reshape(*lead, -1)
        shape = self._view_shape(value, flat.shape[-1])
        if view.count > 1:
            shape = (*shape[:-1], view.of)
        elif view.of > 1:
            shape = (*shape, view.of)
        start = view.offset if view.offset >= 0 else flat.shape[-1] + view.offset
        seen = flat[..., start : start + prod(shape)].reshape(*lead, *shape)
        if view.of == 1:
            return seen
        return seen[..., view.pick] if view.count == 1 else seen[..., view.pick : view.pick + view.count]

    def _view_shape(self, value: Value, length: int) -> tuple[int, ...]:
        """Local sizes of a view; a dimension of size 0 takes what its parent has, riders left out."""
        view = value.view
        assert view is not None
        shape = list(local_shape(value, self.positions))
        if 0 in shape:
            found = self.roots_of(self.values[view.parent])
            body = length - (found[1].riders if found else 0) - view.offset
            known = prod(s for s in shape if s) * (view.of if view.count == 1 else 1)
            if view.count > 1:
                known = known // view.count * view.of
            shape[shape.index(0)] = body // known
        return tuple(shape)

    def read(self, name: str, *, allocate: bool = False) -> F32:
        """The array of a value; a view is a view of its parent's."""
        value = self.values[name]
        if value.view is not None:
            return self._viewed(name)
        if name in self.bound:
            return self.bound[name]
        if name not in self.arrays and allocate:
            self.arrays[name] = np.full(
                (self.rows, self.columns, self.batch.size, *self.shape(name)), np.nan, dtype=np.float32
            )
        return self.arrays[name]

    def write(self, name: str, array: F32) -> None:
        """Store a result, rounded to its element type where numbers are the wafer's."""
        value = self.values[name]
        if self.numbers == "wafer":
            array = rounded(array, value.dtype)
        if value.view is not None:
            self._viewed(name)[...] = array
        else:
            shape = (self.rows, self.columns, self.batch.size, *array.shape[3:])
            self.arrays[name] = np.array(np.broadcast_to(array, shape), dtype=np.float32, order="C")

    def per_token(self, name: str) -> F32:
        """`read`, with a token dimension also for weights and tables."""
        array = self.read(name)
        return array[:, :, None] if self._root(name).kind in (Kind.WEIGHT, Kind.TABLE) else array

    def _root(self, name: str) -> Value:
        value = self.values[name]
        while value.view is not None:
            value = self.values[value.view.parent]
        return value

    def rounded_as(self, array: F32, dtype: DType) -> F32:
        """`array` as `dtype` holds it, where numbers are the wafer's."""
        return rounded(array, dtype) if self.numbers == "wafer" else array
