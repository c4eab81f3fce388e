"""What cores make of two terms of a reduction: sums, maxima, the two largest of two pairs, the largest of two lists.

Knows memory, no line. Sums and maxima are one function, which wavelets take as they come. Pairs and lists are joined in
memory, once all of one has come: pairs by maxima and minima, lists by comparing and choosing. Of two elements the one
of the larger value goes first, of equal values the one of the lower id.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.core import Core
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.movement import reduce as hauled
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import Arithmetic, Work
from undiced.sim.fabric.lower.frame import size_of
from undiced.sim.fabric.lower.timed import at_once, timed_calls
from undiced.sim.fabric.microops import Function, Immediate, Memory, MicroOp, Vector

AS_IT_COMES: dict[str, tuple[Function, Arithmetic]] = {"sum": ("add", "add"), "max": ("maximum", "maximum")}
_REGISTER = DType.F32


@dataclass(frozen=True, slots=True)
class Lists:
    """`lists` lists side by side of `length` elements each in `rows` rows: values, ids and what they carry."""

    address: int
    rows: int
    lists: int
    length: int
    dtype: DType = DType.F32

    def row(self, which: int, *, first: int = 0, step: int = 1) -> Memory:
        """Every `step`-th element of the lists of one row, from `first` on; extents are (lists, elements)."""
        return Memory(self._at(which, first), (self.length, step), self.dtype)

    def all(self, *, first: int = 0, step: int = 1) -> Memory:
        """The same of all rows; extents are (rows, lists, elements)."""
        return Memory(self._at(0, first), (self.lists * self.length, self.length, step), self.dtype)

    def _at(self, which: int, first: int) -> int:
        return self.address + size_of(self.dtype) * (which * self.lists * self.length + first)

    @property
    def size(self) -> int:
        """Elements of all."""
        return self.rows * self.lists * self.length


@dataclass(frozen=True, slots=True)
class Joining:
    """How terms that have come are joined to a core's own.

    Attributes:
        rows, lists, length: as of `Lists`; of pairs there is one row.
    """

    operation: isa.Join
    rows: int
    lists: int
    length: int
    kept: DType
    work: Work

    @classmethod
    def of(cls, i: isa.Reduce, shares: Shares) -> Joining:
        """Of a reduction."""
        shape, haul = shares.shape(i.a), hauled(i, shares).haul
        assert haul is not None
        rows, length = (shape[0] if i.operation == "top" else 1), (shape[-1] if shape else 1)
        work = Work(haul.joining, scalars=haul.merging)
        kept = shares.values[i.result].dtype
        return cls(i.operation, rows, shares.size(i.a) // rows // max(length, 1), length, kept, work)

    @property
    def in_memory(self) -> bool:
        """Whether terms are joined once they are there."""
        return self.operation not in AS_IT_COMES

    @property
    def bytes(self) -> int:
        """Memory that it takes beside the sums: what has come, and registers."""
        size, beside = self.rows * self.lists * self.length, self.lists * self.length
        return size_of(self.kept) * size + size_of(_REGISTER) * (3 * beside + (size if self.length > 1 else 0))

    def ops(self, core: Core, own: int, heard: int) -> list[MicroOp]:
        """Join what lies at `heard`, with registers behind it, to what lies at `own`."""
        mine, other = (Lists(at, self.rows, self.lists, self.length, self.kept) for at in (own, heard))
        registers = heard + size_of(self.kept) * mine.size
        if self.operation == "two":
            return at_once(core, self.work, [_two(mine, other, registers)])
        return timed_calls(core, self.work, [*_better(mine, other, registers), *_sorted(mine, registers)])


def _two(mine: Lists, other: Lists, registers: int) -> list[Vector]:
    """The larger of the first elements; the smaller of them, or the larger of the second ones."""
    pairs = (mine.lists, mine.length // 2)
    (a, b), (c, d) = ([each.row(0, first=n, step=2) for n in range(2)] for each in (mine, other))
    smaller = Memory(registers, (pairs[1], 1), mine.dtype)
    return [
        Vector("minimum", smaller, a, c, extents=pairs),
        Vector("maximum", a, a, c, extents=pairs),
        Vector("maximum", b, b, d, extents=pairs),
        Vector("maximum", b, smaller, b, extents=pairs),
    ]


def _better(mine: Lists, other: Lists, registers: int) -> list[Vector]:
    """Of each element and its opposite in the other list the one that goes first: together the largest of both."""
    there = {"first": mine.length - 1, "step": -1}
    found, ops = _earlier(
        (other.row(0, **there), other.row(1, **there)), (mine.row(0), mine.row(1)), registers, mine.lists, mine.length
    )
    return [*ops, _choice(mine.all(), other.all(**there), mine.all(), found, (mine.rows, mine.lists, mine.length))]


def _sorted(mine: Lists, registers: int) -> list[Vector]:
    """Neighbors exchanged where the second goes first, as often as a list has elements."""
    ops: list[Vector] = []
    for turn in range(mine.length):
        count, start = (mine.length - turn % 2) // 2, turn % 2
        if not count:
            continue
        low, high = ({"first": start + n, "step": 2} for n in range(2))
        found, compared = _earlier(
            (mine.row(0, **high), mine.row(1, **high)), (mine.row(0, **low), mine.row(1, **low)),
            registers, mine.lists, count,
        )  # fmt: skip
        extents = (mine.rows, mine.lists, count)
        beside = registers + 3 * size_of(_REGISTER) * mine.lists * mine.length
        kept = Memory(beside, (mine.lists * count, count, 1), mine.dtype)
        ops += [
            *compared,
            _choice(kept, mine.all(**high), mine.all(**low), found, extents),
            _choice(mine.all(**high), mine.all(**low), mine.all(**high), found, extents),
            Vector("move", mine.all(**low), kept, extents=extents),
        ]
    return ops


def _choice(target: Memory, a: Memory, b: Memory, which: Memory, extents: tuple[int, ...]) -> Vector:
    """`a` where `which`, the same for all rows, is not 0; else `b`."""
    return Vector("choose", target, a, b, Memory(which.address, (0, *which.strides), which.dtype), extents)


def _earlier(
    second: tuple[Memory, Memory], first: tuple[Memory, Memory], registers: int, lists: int, count: int
) -> tuple[Memory, list[Vector]]:
    """Whether (1 or 0) elements of `second`, values and ids, go before those of `first`."""
    size = size_of(_REGISTER) * lists * count
    larger, smaller, found = (Memory(registers + n * size, (count, 1), _REGISTER) for n in range(3))
    extents = (lists, count)
    return found, [
        Vector("above", larger, second[0], first[0], extents=extents),
        Vector("above", smaller, first[0], second[0], extents=extents),
        Vector("above", found, first[1], second[1], extents=extents),
        Vector("choose", found, Immediate(0.0), found, smaller, extents=extents),
        Vector("choose", found, Immediate(1.0), found, larger, extents=extents),
    ]
