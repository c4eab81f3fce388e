"""Lowers products with experts: choice by choice, the stack's rows where the id in memory says.

Where groups of cores share the stack out, cores hold ids to those that they have; in a sum over choices they take 0
times what others have. Knows frames and products, no routing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis as Side
from undiced.program.wafer.layout import indices
from undiced.program.wafer.products import Tile, factor, tiles
from undiced.program.wafer.value import GROUPS, DType, shard_of
from undiced.program.wafer.work import BYTES
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, Scratch, size_of
from undiced.sim.fabric.lower.local_elementwise import Groups, immediate
from undiced.sim.fabric.lower.local_integers import Choice, Widened
from undiced.sim.fabric.lower.local_products import Factors, Operand, factors, packed, where
from undiced.sim.fabric.lower.lowered import Blocks
from undiced.sim.fabric.lower.operands import At, copied, held, operations
from undiced.sim.fabric.lower.timed import at_once
from undiced.sim.fabric.lower.walk import Axis
from undiced.sim.fabric.microops import MicroOp, Vector
from undiced.sim.fabric.roles import Role


def experts(i: isa.Product, frame: Frame) -> Blocks:
    """A block for the cores of each group."""
    return tuple((role, tuple(_Chosen.of(i, frame, held).ops())) for held, role in _groups(i, frame))


def _groups(i: isa.Product, frame: Frame) -> Iterator[tuple[tuple[int, ...] | None, Role]]:
    """Cores with the experts that they have; None: all."""
    stack = frame.value(i.weights[0])
    part = shard_of(stack, stack.dims[0].name)
    if part is None or part.ways == 1:
        yield None, frame.role()
        return
    side = Side.ROWS if part in stack.rows else Side.COLUMNS
    spread = stack.rows if side is Side.ROWS else stack.columns
    extent = frame.region.rows if side is Side.ROWS else frame.region.columns
    found: dict[tuple[int, ...], list[int]] = {}
    for place, own in enumerate(indices(spread, spread.index(part), stack.dims[0].size, extent)):
        found.setdefault(tuple(each for each in own if each >= 0), []).append(place)
    for mine, places in found.items():
        yield mine, frame.role(places) if side is Side.ROWS else frame.role(None, places)


@dataclass(slots=True)
class _Chosen:
    """One product on the cores that have the experts `held` (None: all of them).

    Attributes:
        ids: where the numbers of the chosen within the core's share of the stack lie, and bytes from one to the next.
        copies: of operands, in another type or with 0 for choices that the core lacks.
        rows: of a stack, where the converted rows of each choice lie.
    """

    i: isa.Product
    frame: Frame
    held: tuple[int, ...] | None
    scratch: Scratch
    ids: tuple[int, int]
    copies: dict[str, Operand] = field(default_factory=dict)
    rows: dict[str, list[Operand]] = field(default_factory=dict)

    @classmethod
    def of(cls, i: isa.Product, frame: Frame, held: tuple[int, ...] | None) -> _Chosen:
        step = frame.step(i.expert, 1) if frame.shares.size(i.expert) > 1 else 0
        return cls(i, frame, held, frame.scratch(), (frame.address(i.expert), size_of(DType.F32) * step))

    @property
    def choices(self) -> int:
        """Experts of a token."""
        return self.frame.shares.size(self.i.expert)

    @property
    def dim(self) -> str:
        """What a token's experts run along."""
        return self.frame.shares.names(self.i.expert)[0]

    def ops(self) -> list[MicroOp]:
        """In the time that `work` counts: what finds the core's own experts, then tile by tile."""
        core, done, found = self.frame.wafer.core, work(self.i, self.frame.shares), self._located()
        if self.frame.value(self.i.weights[0]).dtype in GROUPS:
            located = replace(done, vectors=done.vectors[: len(found)])
            x = self.copies.get(self.i.x) or where(self.frame, self.i.x, 0, {})
            choices = [Choice(self.dim, n, self.ids[0] + n * self.ids[1]) for n in range(self.choices)]
            widened = Widened(self.i, self.frame, self.scratch, x, choices)
            return [*at_once(core, located, found), *widened.ops(done.vectors[len(found) :])]
        for tile in tiles(self.i, self.frame.shares):
            found += [*self._conversions(tile), self._tile(tile)]
        return at_once(core, done, found)

    # Experts that lie with groups of cores

    def _located(self) -> Groups:
        """Ids less the core's first, held to its share; and for a sum, x times 0 where that has changed one."""
        if self.held is None:
            return []
        axes, size = [Axis("", self.choices, 1)], size_of(DType.F32)
        given = At(self.ids[0], DType.F32, (self.ids[1] // size,))
        own, mine = (At(self.scratch.take(size * self.choices), DType.F32, (1,)) for _ in range(2))
        first = self.held[0] if self.held else self.frame.value(self.i.weights[0]).dims[0].size
        self.ids = mine.address, size
        out = [
            operations("subtract", axes, own, given, immediate(first)),
            operations("maximum", axes, mine, own, immediate(0.0)),
            operations("minimum", axes, mine, mine, immediate(max(len(self.held) - 1, 0))),
        ]
        if self.dim in self.frame.shares.names(self.i.results[0]):
            return out
        return [*out, operations("equal", axes, own, own, mine), self._zeroed(own.address)]

    def _zeroed(self, here: int) -> list[Vector]:
        """A copy of x with 0 for choices of others; from byte `here` on lies 1 for each of the core's own, else 0."""
        name, dtype = self.i.x, self.frame.value(self.i.x).dtype
        axes, strides = walk.axes(self.frame, name), self.frame.strides(name)
        copy = At(
            self.scratch.take(self.frame.shares.size(name) * size_of(dtype)), dtype, tuple(axis.unit for axis in axes)
        )
        marks = At(here, DType.F32, tuple(axis.part if axis.dim == self.dim else 0 for axis in axes))
        given = At(self.frame.address(name), dtype, tuple(strides[axis.dim] * axis.part for axis in axes))
        self.copies[name] = Operand(copy.address, dtype, packed(self.frame, name))
        return operations("choose", axes, copy, given, immediate(0.0), marks)

    # Products

    def _conversions(self, tile: Tile) -> Groups:
        """Operands in the type that they are multiplied in, of stacks the chosen rows alone."""
        wanted, out = factor(tile, self.frame.shares), Groups()
        for name in (tile.vector, tile.scalar):
            given = self.copies.get(name, None)
            dtype = given.dtype if given else self.frame.value(name).dtype
            if BYTES[dtype] == BYTES[wanted] or name in self.rows:
                continue
            if name == self.i.x:
                out.append(self._converted_x(given, wanted))
            else:
                out.append(self._converted_rows(tile, wanted))
        return out

    def _converted_x(self, given: Operand | None, to: DType) -> list[Vector]:
        name = self.i.x
        axes = walk.axes(self.frame, name)
        here = held(self.frame, axes, name, name) if given is None else At(
            given.address, given.dtype, tuple(axis.unit for axis in axes)
        )  # fmt: skip
        copy = copied(self.frame, axes, name, name, to, self.scratch)
        self.copies[name] = Operand(copy.address, to, packed(self.frame, name))
        return operations("move", axes, copy, here)

    def _converted_rows(self, tile: Tile, to: DType) -> list[Vector]:
        """Choice by choice, one expert's block as it lies."""
        out = list[Vector]()
        for each in factors(self.i, tile, self.frame, 0, {}):
            count = each.w.strides[self._stacked]
            self.rows[tile.vector] = []
            for choice in range(self.choices):
                copy = At(self.scratch.take(count * size_of(to)), to, (1,))
                rows = At(each.w.address, each.w.dtype, (1,), *self._where(choice, each.w))
                out += operations("move", [Axis("", count, 1)], copy, rows)
                rest = {dim: by for dim, by in each.w.strides.items() if dim != self._stacked}
                self.rows[tile.vector].append(Operand(copy.address, to, rest))
        return out

    @property
    def _stacked(self) -> str:
        """What experts of a stack run along."""
        return self.frame.shares.names(self.i.weights[0])[0]

    def _where(self, choice: int, stack: Operand) -> tuple[int, int]:
        """Where the number of a choice's expert lies, and the bytes of one."""
        return self.ids[0] + choice * self.ids[1], stack.strides[self._stacked] * size_of(stack.dtype)

    def _tile(self, tile: Tile) -> list[Vector]:
        """Sums over choices begin at 0 with the first of them."""
        out, added = list[Vector](), self.dim not in self.frame.shares.names(tile.result)
        for choice in range(self.choices):
            for each in factors(self.i, tile, self.frame, 0, self.copies):
                fresh = not self.i.accumulate and not (added and choice)
                out += self._of_choice(tile, each, choice).summed(fresh)
        return out

    def _of_choice(self, tile: Tile, each: Factors, choice: int) -> Factors:
        if tile.vector in self.rows:
            w = self.rows[tile.vector][choice]
        else:
            w = each.w.picked(self._stacked, self._where(choice, each.w)[0])
        kept, sums = (
            tuple(a for a in axes if a.dim not in (self.dim, self._stacked)) for axes in (each.kept, each.sums)
        )
        return Factors(each.to.at(self.dim, choice), each.x.at(self.dim, choice), w, kept, sums)
