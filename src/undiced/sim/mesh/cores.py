"""The memory of a region's cores while a stream runs: values by name as arrays over all cores.

Arrays are [rows, columns, tokens, *share]; those of weights and tables lack tokens. An axis along which all cores hold
the same has length 1. What a core must not read is NaN, so that a layout that lies shows in the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from undiced.core.errors import ProgramFileError
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.value import DType, Kind
from undiced.sim.mesh.batch import Batch, Ints
from undiced.sim.mesh.caches import Caches
from undiced.sim.mesh.declarations import Declarations, Shape
from undiced.sim.mesh.ground import Ground
from undiced.sim.mesh.rounding import F32, Numbers, narrower, rounded


class Cores:
    """One region's cores, stream after stream.

    Attributes:
        before: the region that hands on to this one. ground: where its cores lie on a wafer with defects.
        filled: positions of the longest sequence once the step is done.
        values: what the running stream declares.
        bound: weights and tables of the run.
        caches: of the run.
        arrays: what instructions have written.
        owners: of each token, where along its axis the core is that holds a looked-up value.
        clamped: exponents that were held at the ends of what an exponential by vectors takes.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        numbers: Numbers,
        batch: Batch,
        before: Cores | None = None,
        ground: Ground | None = None,
    ) -> None:
        self.rows, self.columns, self.numbers, self.batch, self.before = rows, columns, numbers, batch, before
        self.ground = ground
        self.filled = batch.filled
        self.values = Declarations((), ())
        self.bound: Mapping[str, F32] = {}
        self.caches = Caches(rows, columns, self.values)
        self.arrays: dict[str, F32] = {}
        self.owners: dict[str, Ints] = {}
        self.clamped = 0

    def begin(self, values: Declarations, bound: Mapping[str, F32], caches: Caches) -> None:
        """Begin a run of a stream; states stay."""
        self.values, self.bound, self.caches = values, bound, caches
        self.owners = {}

    def keep_last(self) -> None:
        """Go on with the last token of each sequence alone."""
        ends = self.batch.ends
        if len(ends) < self.batch.size:
            self.arrays = {
                name: array if self.values[name].once else np.ascontiguousarray(array[:, :, ends])
                for name, array in self.arrays.items()
            }
            self.batch = self.batch.at(ends)

    def leave_states(self) -> None:
        """End a run: everything but states is gone."""
        self.arrays = {n: array for n, array in self.arrays.items() if self.values[n].kind is Kind.STATE}

    def cache(self, name: str, sequence: int) -> F32:
        """The array [rows, columns, *share] of a cache of the run, with room for the positions of the step."""
        return self.caches.array(name, sequence, self.filled)

    def extent(self, axis: Axis) -> int:
        """Cores along an axis."""
        return self.rows if axis is Axis.ROWS else self.columns

    def shape(self, name: str) -> Shape:
        """A core's share of a value."""
        return self.values.shape(name, self.filled)

    def full(self, array: F32) -> F32:
        """With every core for itself (read only)."""
        grid = (self.rows, self.columns)
        return array if array.shape[:2] == grid else np.broadcast_to(array, (*grid, *array.shape[2:]))

    def read(self, name: str) -> F32:
        """The array of a value; a view's is a view of its parent's.

        Raises:
            ProgramFileError: nobody has written it.
        """
        value = self.values[name]
        if value.view is not None:
            return self._seen(name, self.read(value.view.parent))
        found = self.bound.get(name, self.arrays.get(name))
        if found is None:
            raise ProgramFileError(f"The program reads {name} before it writes it.")
        return found

    def per_token(self, name: str) -> F32:
        """`read`, with a dimension of tokens for weights and tables too."""
        array = self.read(name)
        return array[:, :, None] if self.values.constant(name) else array

    def keep(self, name: str, array: F32, held: DType = DType.F32) -> None:
        """Store a result, rounded to its element type where numbers are the wafer's.

        Args:
            array: the caller's own; it shares no memory with any value.
            held: the type that its numbers have already.
        """
        value = self.values[name]
        array = self.rounded(array, value.dtype, held)
        if value.view is None:
            self.arrays[name] = self._settled(np.ascontiguousarray(self._with_tokens(array)))
            return
        holder = self.values.holder(name)
        self._open(holder.name, array.shape[:2])
        self.read(name)[...] = self._settled(self.rounded(array, holder.dtype, narrower(held, value.dtype)))

    def _settled(self, array: F32) -> F32:
        return array if self.ground is None else self.ground.settled(array)

    def rounded(self, array: F32, dtype: DType, held: DType = DType.F32) -> F32:
        """`array`, of numbers of type `held`, as `dtype` holds it, where numbers are the wafer's."""
        return rounded(array, dtype) if self.numbers == "wafer" and dtype is not held else array

    def _copies(self, name: str) -> int:
        """How many there are of a value with memory of its own: of a state that is the same for all tokens one."""
        value = self.values[name]
        return 1 if value.once and value.kind is Kind.STATE else self.batch.size

    def _with_tokens(self, array: F32) -> F32:
        if array.shape[2] == self.batch.size:
            return array
        return np.broadcast_to(array, (*array.shape[:2], self.batch.size, *array.shape[3:]))

    def _open(self, name: str, grid: Shape) -> None:
        """Make sure that a value's array is there, with as many cores as `grid` has."""
        found = self.arrays.get(name)
        if found is None:
            shape = (self.rows, self.columns, self._copies(name), *self.shape(name))
            self.arrays[name] = np.full(shape, np.nan, dtype=np.float32)
        elif found.shape[0] < grid[0] or found.shape[1] < grid[1]:
            self.arrays[name] = np.array(self.full(found))

    def _seen(self, name: str, parent: F32) -> F32:
        view = self.values[name].view
        assert view is not None
        lead = parent.shape[: 2 if self.values.constant(name) else 3]
        flat = parent.reshape(*lead, -1)
        if not np.may_share_memory(flat, parent):
            raise ProgramFileError(f"{name} is a view of a view that skips elements.")
        shape = self.shape(name)
        start = view.offset if view.offset >= 0 else flat.shape[-1] + view.offset
        if view.of == 1:
            return flat[..., start : start + prod(shape)].reshape(*lead, *shape)
        outer = shape if view.count == 1 else shape[:-1]
        seen = flat[..., start : start + prod(outer) * view.of].reshape(*lead, *outer, view.of)
        return seen[..., view.pick] if view.count == 1 else seen[..., view.pick : view.pick + view.count]
