"""Lowers the choice of the largest of each core's share, with their ids, and that of a token from such lists.

An element's id is that of its core's first plus its place: every core has the first in its memory, as code has what it
is loaded with. Where the largest is follows from a comparison with it: as many places as lie before the first that it
isn't above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, prod

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from undiced.core.errors import UnsupportedError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.value import DType
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.lowered import Blocks
from undiced.sim.fabric.lower.timed import at_once, timed_calls
from undiced.sim.fabric.microops import Immediate, Memory, MicroOp, Vector
from undiced.sim.fabric.roles import Role
from undiced.sim.mesh.identities import identities

_F32 = DType.F32
_VALUE, _ID, _CARRIED = range(3)
_EMPTY = (-inf, -1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Held:
    """What cores hold of the elements that are chosen among: `first` + n * `step` is the id of element n.

    Attributes:
        first, counts: [rows, columns].
    """

    first: NDArray[np.float32]
    counts: NDArray[np.int64]
    step: int

    @classmethod
    def of(cls, i: isa.Select, frame: Frame) -> Held:
        """By the layout of what is chosen from.

        Raises:
            UnsupportedError: ids of a core's elements aren't equally far apart.
        """
        value, kept = frame.value(i.a), len(frame.value(i.result).dims) - 2
        last = structs.replace(value, dims=value.dims[kept:])
        ids = identities(last, frame.region.rows, frame.region.columns)
        counts = (ids >= 0).sum(axis=2)
        step = int((ids[:, :, 1] - ids[:, :, 0])[counts > 1].max(initial=1)) if ids.shape[2] > 1 else 1
        places = np.arange(ids.shape[2])
        wanted = np.where(places < counts[:, :, None], ids[:, :, :1] + places * step, -1)
        if not (wanted == ids).all():
            raise UnsupportedError(
                f"{i.node} chooses from {i.a}, whose ids are not equally far apart on a core.",
                remedy="Choose along a dimension that cores share in blocks or in turn.",
            )
        return cls(ids[:, :, 0].astype(np.float32), counts, step)


def first_ids(i: isa.Select, frame: Frame) -> NDArray[np.float32]:
    """[rows, columns, 1]: what every core is loaded with."""
    return Held.of(i, frame).first[:, :, None]


def select(i: isa.Select, frame: Frame) -> Blocks:
    """List by list, the largest one by one; cores that hold as many elements have one role."""
    held, done, core = Held.of(i, frame), work(i, frame.shares), frame.wafer.core
    blocks: list[tuple[Role, tuple[MicroOp, ...]]] = []
    for count, role in _roles(held, i, frame):
        ops = [
            op for number in range(prod(_lists(i, frame))) for op in _Chooser.of(i, frame, number, held, count).ops()
        ]
        blocks.append((role, tuple(at_once(core, done, [ops]))))
    return tuple(blocks)


def draw(i: isa.Draw, frame: Frame) -> Blocks:
    """The first id of the lists, which is the likeliest's."""
    size, dtype = frame.shares.shape(i.a)[-1], frame.value(i.a).dtype
    first = Memory(frame.address(i.a) + size_of(dtype) * frame.step(i.a, size), (1,), dtype)
    made = Vector("move", Memory(frame.address(i.result), (1,), frame.value(i.result).dtype), first)
    ops = tuple(timed_calls(frame.wafer.core, work(i, frame.shares), [made]))
    return tuple((role, ops) for _, role in frame.makers(i.result, i.a))


def _lists(i: isa.Select, frame: Frame) -> tuple[int, ...]:
    """Sizes of the dimensions that stay."""
    return frame.shares.shape(i.a)[: len(frame.value(i.result).dims) - 2]


def _roles(held: Held, i: isa.Select, frame: Frame) -> Iterator[tuple[int, Role]]:
    """How many elements cores hold, rows that are alike together."""
    rows, columns = (
        sorted(at for _, each in frame.places(i.result, axis) for at in each) for axis in (Axis.ROWS, Axis.COLUMNS)
    )
    alike: dict[tuple[int, ...], list[int]] = {}
    for row in rows:
        alike.setdefault(tuple(held.counts[row, columns].tolist()), []).append(row)
    for counts, those in alike.items():
        for count in sorted(set(counts)):
            yield count, frame.role(those, [at for at, n in zip(columns, counts, strict=True) if n == count])


@dataclass(frozen=True, slots=True)
class _Chooser:
    """One list of one core.

    Attributes:
        values, carried: elements in memory, `stride` apart. made: the first bytes of the result's rows; far: bytes from
            one of a row to the next. passes: how many are found; wanted: how many the result has.
        registers: memory for five vectors of `count`.
    """

    values: Memory
    carried: Memory | None
    made: tuple[int, ...]
    far: int
    dtype: DType
    count: int
    passes: int
    wanted: int
    first: int
    step: int
    registers: int

    @classmethod
    def of(cls, i: isa.Select, frame: Frame, number: int, held: Held, count: int) -> _Chooser:
        """List `number`."""
        lists, dtype = prod(_lists(i, frame)), frame.value(i.result).dtype
        *_, wanted = frame.shares.shape(i.result)
        rows, size = frame.shares.shape(i.result)[0], size_of(dtype)
        steps = [frame.step(i.result, (row * lists + number) * wanted) for row in range(rows)]
        ahead = frame.step(i.result, (number * wanted) + 1) - steps[0] if wanted > 1 else 1
        made = tuple(frame.address(i.result) + size * step for step in steps)
        carried = _elements(i.carried, frame, number, lists) if i.carried else None
        values, scratch = _elements(i.a, frame, number, lists), frame.scratch()
        registers = scratch.take(size_of(_F32) * count * (4 if wanted > 1 else 2 if carried else 1))
        return cls(
            values, carried, made, size * ahead, dtype, count, min(wanted, count), wanted,
            frame.constants[i.result].address, held.step, registers,
        )  # fmt: skip

    def ops(self) -> list[Vector]:
        """All of them."""
        out = list[Vector]()
        if self.passes > 1:
            out += [self._over("move", self._left, self.values), self._over("move", self._taken, Immediate(0.0))]
        for which in range(self.passes):
            out += self._pass(which)
        for which in range(self.passes, self.wanted):
            rows = zip(range(len(self.made)), _EMPTY, strict=False)
            out += [Vector("move", self._found(row, which), Immediate(empty)) for row, empty in rows]
        return out

    def _pass(self, which: int) -> list[Vector]:
        """The largest of what is left, where it is, what is carried there; and it is left no more."""
        several, among = self.passes > 1, self._left if self.passes > 1 else self.values
        value, found = (self._found(row, which, each=0) for row in (_VALUE, _ID))
        before, here = self._register(0), self._register(1)
        out = [
            Vector("move", self._found(_VALUE, which), Immediate(-inf)),
            self._over("maximum", value, value, among),
            self._over("above", before, value, among),
        ]
        if several:
            out.append(self._over("choose", before, Immediate(1.0), before, self._taken))
        if self.count > 1:  # only those before the first that it isn't above stay
            later = self._register(0, 1)
            out.append(Vector("multiply", later, later, before, extents=(self.count - 1,)))
        out += [Vector("move", self._found(_ID, which), Immediate(0.0)), self._over("add", found, found, before)]
        if several or self.carried is not None:
            out += self._marked(before, here)
        if self.carried is not None:
            taken = self._found(_CARRIED, which, each=0)
            out += [
                Vector("move", self._found(_CARRIED, which), Immediate(0.0)),
                self._over("choose", taken, self.carried, taken, here),
            ]
        if several:
            out += [
                self._over("add", self._taken, self._taken, here),
                self._over("choose", self._left, Immediate(-inf), self._left, here),
            ]
        number, first = self._found(_ID, which), Memory(self.first, (1,), _F32)
        return [*out, Vector("multiply_add", number, number, Immediate(float(self.step)), first)]

    def _marked(self, before: Memory, here: Memory) -> list[Vector]:
        """1 where the largest is, else 0: where those before it end."""
        out = [Vector("subtract_from", here, before, Immediate(1.0))]
        if self.count > 1:
            extents = (self.count - 1,)
            out.append(Vector("subtract", self._register(1, 1), before, self._register(0, 1), extents=extents))
        return out

    @property
    def _left(self) -> Memory:
        return self._register(2)

    @property
    def _taken(self) -> Memory:
        return self._register(3)

    def _register(self, which: int, first: int = 0) -> Memory:
        return Memory(self.registers + size_of(_F32) * (which * self.count + first), (1,), _F32)

    def _found(self, row: int, which: int, each: int = 1) -> Memory:
        """An element of the result; `each` 0: the same for every element of an operation."""
        return Memory(self.made[row] + which * self.far, (each,), self.dtype)

    def _over(self, function: str, target: Memory, *sources: Memory | Immediate) -> Vector:
        a, b, c = (*sources, None, None)[:3]
        assert a is not None
        return Vector(function, target, a, b, c, (self.count,))  # type: ignore[arg-type]


def _elements(name: str, frame: Frame, number: int, lists: int) -> Memory:
    """The elements of one list in memory.

    Raises:
        UnsupportedError: they aren't equally far apart.
    """
    length, dtype = frame.shares.size(name) // lists, frame.value(name).dtype
    steps = [frame.step(name, number * length + at) for at in range(length)]
    stride = steps[1] - steps[0] if length > 1 else 1
    if any(step != steps[0] + at * stride for at, step in enumerate(steps)):
        raise UnsupportedError(f"Elements of {name} lie in rows.", remedy="Compile the program again.")
    return Memory(frame.address(name) + size_of(dtype) * steps[0], (stride,), dtype)
