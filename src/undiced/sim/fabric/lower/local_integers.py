"""Lowers products with integer weights: rows become 16-bit floats in scratch, some at once, and x takes their scales.

Knows frames, rows and what parts of them share a scale; of experts where the number of a chosen one lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product as every
from math import prod

from undiced.machine.arithmetic import vector_cost
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.ahead import rows_of_widen
from undiced.program.wafer.integers import NIBBLES, Part, scales
from undiced.program.wafer.products import Tile, factor, tiles
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES, Vectors
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, Scratch, size_of
from undiced.sim.fabric.lower.joined import Row
from undiced.sim.fabric.lower.local_products import Operand, packed, where
from undiced.sim.fabric.lower.operands import At, copied, operations
from undiced.sim.fabric.lower.timed import timed
from undiced.sim.fabric.lower.walk import Axis
from undiced.sim.fabric.microops import Delay, Immediate, Memory, MicroOp, Vector


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a token's experts: its place among them, and the byte that says where it lies in the core's stack."""

    dim: str
    number: int
    index: int


@dataclass(slots=True)
class Widened:
    """One product on one core.

    Attributes:
        x: its first operand, once it is known where that lies. choices: of a token; None stands for no experts.
    """

    i: isa.Product
    frame: Frame
    scratch: Scratch
    x: Operand
    choices: Sequence[Choice | None] = (None,)
    made: list[MicroOp] = field(default_factory=list)

    @classmethod
    def of(cls, i: isa.Product, frame: Frame, which: int) -> Widened:
        return cls(i, frame, frame.scratch(), where(frame, i.x, which, {}))

    def ops(self, counted: Sequence[Vectors] | None = None) -> list[MicroOp]:
        """All tiles, in the time of what `work` counts."""
        left = iter(work(self.i, self.frame.shares).vectors if counted is None else counted)
        for tile in tiles(self.i, self.frame.shares):
            unpacked = [next(left) for field in FIELDS[self.frame.value(tile.vector).dtype] for _ in field.steps]
            scaled, last = next(left), next(left)
            while last.arithmetic == "convert":
                self._convert(last, factor(tile, self.frame.shares))
                last = next(left)
            self._tile(tile, unpacked, scaled, last)
        return self.made

    def _convert(self, counted: Vectors, wanted: DType) -> None:
        """x in 16 bits; where sums have 32, products read widened rows as they are, and the time is all."""
        core, name = self.frame.wafer.core, self.i.x
        if BYTES[self.x.dtype] == BYTES[wanted]:
            self.made.append(Delay(vector_cost(core, counted).cycles))
            return
        axes = walk.axes(self.frame, name)
        strides = tuple(self.x.strides[axis.dim] * axis.part for axis in axes)
        copy = copied(self.frame, axes, name, name, wanted, self.scratch)
        self.made += timed(core, counted, operations("move", axes, copy, At(self.x.address, self.x.dtype, strides)))
        self.x = Operand(copy.address, wanted, packed(self.frame, name))

    def _tile(self, tile: Tile, unpacked: list[Vectors], scaled: Vectors, counted: Vectors) -> None:
        core, blocks = self.frame.wafer.core, [_Block.of(self, tile, choice) for choice in self.choices]
        multiplied = timed(core, scaled, [op for block in blocks for op in block.scaled()])
        steps = [step for number, block in enumerate(blocks) for step in block.steps(self._fresh(tile, number))]
        moves = max(len(step.widened) for step in steps)
        widened = [
            iter(timed(core, each, [step.widened[n] for step in steps if step.widened]))
            for n, each in enumerate(unpacked[:moves])
        ]
        self.made += [each for more in unpacked[moves:] for each in timed(core, more, [])]
        added = iter(timed(core, counted, [op for step in steps for op in step.added]))
        self.made += multiplied
        for step in steps:
            self.made += [next(each) for each in widened if step.widened]
            self.made += [next(added) for _ in step.added]

    def _fresh(self, tile: Tile, number: int) -> bool:
        """Whether sums begin at 0 with a choice; those over choices begin with the first."""
        choice = self.choices[number]
        over = choice is not None and choice.dim not in self.frame.shares.names(tile.result)
        return not self.i.accumulate and not (over and number)


@dataclass(frozen=True, slots=True)
class _Step:
    """Rows that are widened at once, by an operation each of its kinds; and what is added meanwhile.

    Integers lie here byte by byte, or nibble by nibble: operations read them so, in the time of what takes words apart.
    """

    widened: tuple[Vector, ...]
    added: tuple[Vector, ...]


@dataclass(slots=True)
class _Block:
    """The rows of a tile, of one choice where there are some.

    Attributes:
        row: where a row's elements lie. outer: dimensions of which there is a row each; left: those of x alone.
        inputs: of each weight and each part of its row, where x times its scales lies.
    """

    of_product: Widened
    tile: Tile
    choice: Choice | None
    row: Row
    x: Operand
    outer: dict[str, int]
    left: dict[str, int]
    inputs: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, widened: Widened, tile: Tile, choice: Choice | None) -> _Block:
        shares, i = widened.frame.shares, widened.i
        weight = tile.members[0][0]
        outer = {
            dim: size
            for dim, size in zip(shares.names(weight), shares.shape(weight), strict=True)
            if dim not in i.inner
        }
        if choice is not None:
            outer.pop(shares.names(weight)[0])
        x = widened.x if choice is None else widened.x.at(choice.dim, choice.number)
        sizes = dict(zip(shares.names(i.x), shares.shape(i.x), strict=True))
        left = {dim: sizes[dim] for dim in x.strides if dim not in outer}
        return cls(widened, tile, choice, widened.frame.joined[weight], x, outer, left)

    @property
    def frame(self) -> Frame:
        """The product's."""
        return self.of_product.frame

    @property
    def count(self) -> int:
        """Rows."""
        return prod(self.outer.values())

    @property
    def dtype(self) -> DType:
        """Of the integers."""
        return self.frame.value(self.tile.vector).dtype

    def _picked(self, pitch: int) -> tuple[int, int]:
        """Where the number of the chosen expert lies, and its bytes; of none where all is one matrix."""
        return (-1, 0) if self.choice is None else (self.choice.index, pitch)

    # x times scales

    def scaled(self) -> Iterator[Vector]:
        """For each part of a row, of all rows."""
        sizes = {**self.left, **self.outer}
        by = {dim: prod(list(sizes.values())[n + 1 :]) for n, dim in enumerate(sizes)}
        axes = [Axis(dim, size, by[dim]) for dim, size in sizes.items()] or [Axis("", 1, 1)]
        for weight, _ in self.tile.members:
            parts = self.frame.joined[weight].parts
            first, over = self.frame.homes[scales(weight)], self._outer_units()
            for number in range(len(parts)):
                to = self.of_product.scratch.take(prod(sizes.values()) * size_of(self.x.dtype))
                self.inputs[weight, number] = to
                made = At(to, self.x.dtype, tuple(by.get(axis.dim, 0) for axis in axes))
                strides = tuple(over.get(axis.dim, 0) * len(parts) for axis in axes)
                size = size_of(DType.F16)
                factors = At(first + size * number, DType.F16, strides, *self._picked(self.count * len(parts) * size))
                yield from operations("multiply", axes, made, self.x.over(axes), factors)

    def _outer_units(self) -> dict[str, int]:
        """Rows from one to the next of each dimension."""
        sizes = list(self.outer.values())
        return {dim: prod(sizes[n + 1 :]) for n, dim in enumerate(self.outer)}

    # Rows

    def steps(self, fresh: bool) -> Iterator[_Step]:
        """As many rows at once as the scratch holds."""
        length = self.row.pitch
        room = self.frame.shares.size(self.of_product.i.scratch) if self.of_product.i.scratch else length
        at_once, ahead = max(1, min(self.count, room // length)), self._ahead
        if fresh:
            yield _Step((), tuple(op for _, result in self.tile.members for op in self._cleared(result)))
        if ahead:
            there = self.frame.address(self.of_product.i.ahead)
            yield _Step((), tuple(op for row in range(ahead) for op in self._added(row, there, row)))
        for first in range(ahead, self.count, at_once):
            rows = range(first, min(first + at_once, self.count))
            added = tuple(op for row in rows for op in self._added(row, self._room, row - first))
            yield _Step(self._widened(rows), added)

    @property
    def _ahead(self) -> int:
        """Rows that are widened already: of integers all of a word's are."""
        name = self.of_product.i.ahead
        return min(self.count, self.frame.shares.size(name) // self.row.pitch) if name else 0

    @property
    def _room(self) -> int:
        """Where widened rows lie."""
        name = self.of_product.i.scratch
        assert name, self.of_product.i.node
        return self.frame.address(name)

    def _widened(self, rows: range) -> tuple[Vector, ...]:
        bytes_ = self.row.bytes(self.dtype)
        first = self.frame.homes[self.row.block] + rows.start * bytes_
        return _floats(
            Memory(self._room, (self.row.pitch, 1), DType.F16),
            Memory(first, (_pitch(bytes_, self.dtype), 1), self.dtype, *self._picked(self.count * bytes_)),
            (len(rows), self.row.pitch),
        )

    def _added(self, row: int, there: int, place: int) -> Iterator[Vector]:
        """One row of all weights, times its x, added to its results; it is the `place`-th of the rows `there`."""
        at = dict(zip(self.outer, list(every(*map(range, self.outer.values())))[row], strict=True))
        sizes = {**self.left, **self.outer}
        by = {dim: prod(list(sizes.values())[n + 1 :]) for n, dim in enumerate(sizes)}
        for weight, result in self.tile.members:
            to = self._result(result, at)
            for number, part in enumerate(self.frame.joined[weight].parts):
                x = self.inputs[weight, number] + size_of(self.x.dtype) * sum(by[dim] * n for dim, n in at.items())
                for (source, target), (step, apart), size in self._runs(weight, result, part):
                    axes = [*(Axis(dim, count, 1) for dim, count in self.left.items()), Axis("", size, 1)]
                    inputs = At(x, self.x.dtype, tuple(by.get(axis.dim, 0) for axis in axes))
                    held = At(
                        there + size_of(DType.F16) * (place * self.row.pitch + source),
                        DType.F16,
                        (*(0 for _ in self.left), step),
                    )
                    onto = At(
                        to.address + size_of(to.dtype) * target,
                        to.dtype,
                        (*(to.strides.get(dim, 0) for dim in self.left), apart),
                    )
                    yield from operations("multiply_add", axes, onto, inputs, held, onto)

    def _runs(self, weight: str, result: str, part: Part) -> Iterator[walk.Run]:
        """Elements of a part that lie equally far apart, in a widened row and in the result."""
        places = self.frame.joined[weight].places
        return walk.runs([(places[n], self.frame.step(result, n)) for n in range(part.start, part.stop)])

    def _result(self, name: str, at: dict[str, int]) -> Operand:
        found = where(self.frame, name, 0, {})
        for dim, number in at.items():
            found = found.at(dim, number)
        return found if self.choice is None else found.at(self.choice.dim, self.choice.number)

    def _cleared(self, name: str) -> list[Vector]:
        whole = self._result(name, {})
        shares = self.frame.shares
        axes = [
            Axis(dim, size, 1)
            for dim, size in zip(shares.names(name), shares.shape(name), strict=True)
            if dim in whole.strides
        ]
        return operations("move", axes, whole.over(axes), Immediate(0.0))


def _pitch(bytes_: int, dtype: DType) -> int:
    """Integers from one row to the next, each of which begins with a byte of its own."""
    return bytes_ * (2 if dtype is DType.I4 else 1)


def _floats(there: Memory, held: Memory, extents: tuple[int, int]) -> tuple[Vector, ...]:
    """Rows of integers as 16-bit floats."""
    made = Vector("move", there, held, extents=extents)
    if held.dtype is DType.I8:
        return (made,)
    return made, Vector("subtract", there, there, Immediate(NIBBLES), extents=extents)


def widen(i: isa.Widen, frame: Frame) -> tuple[MicroOp, ...]:
    """Rows widened ahead, on every core; what a last word lacks is 0."""
    rows, core, lying = rows_of_widen(i, frame.shares.values), frame.wafer.core, frame.joined[i.weights[0]]
    first, last = (min(each * len(rows.widened), rows.count) for each in (i.start, i.start + i.count))
    there, bytes_ = frame.address(i.result), lying.bytes(rows.dtype)
    ops = _floats(
        Memory(there, (rows.length, 1), DType.F16),
        Memory(frame.homes[lying.block] + first * bytes_, (_pitch(bytes_, rows.dtype), 1), rows.dtype),
        (last - first, rows.length),
    )
    out = list[MicroOp]()
    if lacking := i.count * len(rows.widened) - (last - first):
        behind = Memory(there + size_of(DType.F16) * (last - first) * rows.length, (1,), DType.F16)
        out.append(Vector("move", behind, Immediate(0.0), extents=(lacking * rows.length,)))
    for number, counted in enumerate(work(i, frame.shares).vectors):
        out += timed(core, counted, ops[number : number + 1])
    return tuple(out)
