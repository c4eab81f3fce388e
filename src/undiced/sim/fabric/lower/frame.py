"""The frame of a run: where values of its stream lie in the cores' memory, and which cores take part in what.

Knows one region, one token and its position. Places are logical rows and columns. Memory is counted in bytes, strides
in elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import UnsupportedError
from undiced.machine.wafer import Wafer
from undiced.program.wafer import elements
from undiced.program.wafer.layout import POSITION, Axis, Owner, Roots, Shard, Spread
from undiced.program.wafer.program import Region
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import roots
from undiced.program.wafer.value import GROUPS, DType, Kind, Value, shard_of
from undiced.program.wafer.work import BYTES
from undiced.sim.fabric.lower.channels import Channels
from undiced.sim.fabric.lower.joined import Row
from undiced.sim.fabric.lower.lowered import Span
from undiced.sim.fabric.roles import Role, progressions

_ALIGNMENT = 8


def size_of(dtype: DType) -> int:
    """Bytes of an element that is not of integers, whose rows know where they lie."""
    assert dtype not in GROUPS, dtype
    return int(BYTES[dtype])


def aligned(size: float) -> int:
    """Bytes rounded up to what values begin at."""
    return ceil(size / _ALIGNMENT) * _ALIGNMENT


@dataclass(slots=True)
class Scratch:
    """Memory that one instruction takes."""

    frame: Frame
    at: int

    def take(self, size: float) -> int:
        """The address of so many bytes."""
        found, self.at = self.at, self.at + aligned(size)
        self.frame.top = max(self.frame.top, self.at)
        return found


@dataclass(frozen=True, slots=True)
class Constant:
    """Numbers of its own that every core is loaded with: [rows, columns, count] of them, from a byte on."""

    address: int
    numbers: NDArray[np.float32]


@dataclass(slots=True)
class Frame:
    """One run of a stream on one region, for one token.

    Attributes:
        shares: local shapes in a step that ends with this position; full: with caches as large as they are declared.
        homes: the first byte of every value that has memory of its own. joined: weights whose rows lie beside others'.
        sliced: what is a root's slice: the value that it is an address in.
        tables: what is looked up: its table, and what says which row.
        channels: what colors and queues movers have.
        shifted: weights whose tiles lie where the first step of a product by shifts wants them.
        free: the first byte of memory that nothing has; top: where what instructions have taken of it ends.
        constants: what code is loaded with, by the result that it makes with it.
        hosted: the first byte of what the host sends, by what is made of it.
        origin: x and y of the region's first core on the mesh.
        regions: those of the program that are simulated, of which the region is the one of this number.
        before: a frame of the region that hands over to this one; first: of the one where embeddings are.
    """

    wafer: Wafer
    region: Region
    shares: Shares
    full: Shares
    homes: Mapping[str, int]
    joined: Mapping[str, Row]
    sliced: Mapping[str, str]
    tables: Mapping[str, tuple[str, str]]
    free: int
    token: int
    position: int
    channels: Channels
    top: int = 0
    shifted: frozenset[str] = frozenset()
    constants: dict[str, Constant] = field(default_factory=dict)
    hosted: dict[str, int] = field(default_factory=dict)
    origin: tuple[int, int] = (0, 0)
    regions: tuple[Region, ...] = ()
    number: int = 0
    before: Frame | None = None
    first: Frame | None = None

    @contextmanager
    def whole(self) -> Iterator[None]:
        """As if the step filled all positions that there is room for: what the others hold is sent and never read."""
        seen = self.shares
        self.shares = self.full
        try:
            yield
        finally:
            self.shares = seen

    def value(self, name: str) -> Value:
        """What is declared of a value."""
        return self.shares.values[name]

    # Memory

    def address(self, name: str, which: int = 0) -> int:
        """The first byte of a value's share; of a slice, at the root of slice `which`."""
        stored, size = self.shares.stored(name).name, size_of(self.value(name).dtype)
        first = elements.element(name, 0, self.lying(name))
        if stored in self.sliced:
            parent = self.sliced[stored]
            return self.address(parent) + size * self.step(parent, which * self.shares.size(stored) + first)
        return self.homes[stored] + size * first

    def step(self, name: str, index: int) -> int:
        """Elements of memory from a value's first element to the one of this index."""
        stored, lying = self.shares.stored(name).name, self.lying(name)
        apart = elements.element(name, index, lying) - elements.element(name, 0, lying)
        return self.step(self.sliced[stored], apart) if stored in self.sliced else apart

    def strides(self, name: str) -> dict[str, int]:
        """Elements of memory from one to the next of each dimension."""
        lying = self.lying(name)
        shape, unit, found = lying.shape(name), lying.size(name), dict[str, int]()
        for dim, size in zip(lying.names(name), shape, strict=True):
            unit //= size
            found[dim] = self.step(name, unit) if size > 1 else 0
        return found

    def span(self, name: str) -> Span:
        """All bytes that a value's share may take; of a slice, at any root."""
        stored = self.shares.stored(name).name
        if stored in self.sliced:
            return self.span(self.sliced[stored])
        if self.value(name).dtype in GROUPS:  # nothing writes them
            return Span(0, 0)
        last, size = self.lying(name).size(name) - 1, size_of(self.value(name).dtype)
        start = self.address(name)
        return Span(start, start + size * (self.step(name, last) + 1))

    def lying(self, name: str) -> Shares:
        """The shares that say how a value lies: caches as they are declared, however many positions are filled."""
        return self.full if self.shares.stored(name).kind is Kind.CACHE else self.shares

    def scratch(self) -> Scratch:
        """Memory for the time of one instruction."""
        return Scratch(self, self.free)

    def keep(self, size: int) -> int:
        """The address of so many bytes that nobody else takes in this run."""
        at = self.scratch().take(size)
        self.free = at + aligned(size)
        return at

    # Cores

    def role(self, rows: Iterable[int] | None = None, columns: Iterable[int] | None = None) -> Role:
        """The cores at these logical rows and columns; None: at all of them."""
        x, y = self.origin[::-1] if self.region.turned else self.origin
        across = progressions(sorted({x + at for at in (range(self.region.columns) if columns is None else columns)}))
        down = progressions(sorted({y + at for at in (range(self.region.rows) if rows is None else rows)}))
        return Role(down, across) if self.region.turned else Role(across, down)

    def places(self, name: str, axis: Axis) -> list[tuple[int, tuple[int, ...]]]:
        """Who has a value along an axis: (slice, places) of roots, else (0, places)."""
        parts: Spread = self._spread(name, axis)
        extent = self.region.rows if axis is Axis.ROWS else self.region.columns
        part = parts[-1] if parts else None
        if not isinstance(part, (Roots, Owner)):
            return [(0, tuple(range(extent)))]
        lines = range(0, extent // part.ways * part.ways, part.ways)
        if isinstance(part, Owner):
            return [(0, tuple(line + self.owner(name) for line in lines))]
        ends = roots(self.shares.trees[part.tree])
        return [(which, tuple(line + end for line in lines)) for which, end in enumerate(ends)]

    def makers(self, name: str, *read: str) -> list[tuple[int, Role]]:
        """The cores that make a value of others, with the slice whose root they are where that makes a difference."""
        rows, columns = self.places(name, Axis.ROWS), self.places(name, Axis.COLUMNS)
        if not any(self.shares.stored(other).name in self.sliced for other in read):
            rows, columns = ([(0, tuple(at for _, each in found for at in each))] for found in (rows, columns))
        return [(max(a, b), self.role(down, across)) for a, down in rows for b, across in columns]

    def owner(self, name: str) -> int:
        """The place along its axis of the core that has what is looked up."""
        table, index = self.tables[self.shares.stored(name).name]
        part, share = self._looked_up(table, name)
        at = self.token if index == "token" else self.position
        return at % part.ways if part.order == "cyclic" else at // share

    def row(self, name: str) -> int:
        """The index of what is looked up in its owner's share of the table."""
        table, index = self.tables[self.shares.stored(name).name]
        part, share = self._looked_up(table, name)
        at = self.token if index == "token" else self.position
        return at // part.ways if part.order == "cyclic" else at % share

    def row_dim(self, table: str, name: str) -> str:
        """The dimension of a table that what is looked up lacks."""
        return next(dim for dim in self.shares.names(table) if dim not in self.shares.names(name))

    def _looked_up(self, table: str, name: str) -> tuple[Shard, int]:
        dim = self.row_dim(table, name)
        part = shard_of(self.value(table), dim)
        assert part is not None, table
        return part, self.shares.shape(table)[self.shares.names(table).index(dim)]

    def _spread(self, name: str, axis: Axis) -> Spread:
        """Of a value, or of what it lies in where that says who has it."""
        value = self.value(name)
        while True:
            found = value.rows if axis is Axis.ROWS else value.columns
            if value.view is None or (found and isinstance(found[-1], (Roots, Owner))):
                return found
            value = self.value(value.view.parent)

    # Positions

    def filled(self, name: str) -> list[tuple[int, list[int], Axis]]:
        """How many of the positions of its share a core has, with the places along the axis that shares them."""
        value = self.value(name)
        size = next(dim.size for dim in value.dims if dim.name == POSITION)
        for axis, parts in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
            if parts and isinstance(parts[-1], Shard) and parts[-1].dim == POSITION:
                ways = parts[-1].ways
                extent = self.region.rows if axis is Axis.ROWS else self.region.columns
                share, more = divmod(min(self.position + 1, size), ways)
                full = [at for at in range(extent) if at % ways < more]
                rest = [at for at in range(extent) if at % ways >= more]
                return [(count, at, axis) for count, at in ((share + 1, full), (share, rest)) if at]
        raise UnsupportedError(f"{name} has no positions that cores share.", remedy="Compile the program again.")

    def at_positions(self, count: int, ways: int) -> Shares:
        """Shares of cores that have `count` positions each."""
        return Shares(self.shares.values, self.shares.trees, Step(context=count * ways))
