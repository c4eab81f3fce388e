"""Lowers products: input by input, the sums of a tile are added to in memory. Knows frames and joined rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.elements import element
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.products import Tile, factor, tiles
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES
from undiced.sim.fabric.lower import walk
from undiced.sim.fabric.lower.frame import Frame, Scratch, size_of
from undiced.sim.fabric.lower.joined import Row, row
from undiced.sim.fabric.lower.local_elementwise import Groups
from undiced.sim.fabric.lower.operands import At, converted, operations
from undiced.sim.fabric.lower.walk import Axis
from undiced.sim.fabric.microops import Immediate, Vector

_ROW = ""  # stands for all dimensions of a joined row


@dataclass(frozen=True, slots=True)
class Operand:
    """Elements by dimension: where the first is, and how far it is to the next along each.

    Attributes:
        index, pitch: as of `At`.
    """

    address: int
    dtype: DType
    strides: dict[str, int]
    index: int = -1
    pitch: int = 0

    def over(self, axes: Iterable[Axis]) -> At:
        """Along these axes; those that it lacks leave it where it is."""
        strides = tuple(self.strides.get(axis.dim, 0) for axis in axes)
        return At(self.address, self.dtype, strides, self.index, self.pitch)

    def at(self, dim: str, number: int) -> Operand:
        """What lies at one place along a dimension, which it lacks then; itself where it has none."""
        if dim not in self.strides:
            return self
        moved = self.address + number * self.strides[dim] * size_of(self.dtype)
        return replace(self, address=moved, strides={d: by for d, by in self.strides.items() if d != dim})

    def picked(self, dim: str, index: int) -> Operand:
        """What lies along a dimension where the number at a byte of memory says."""
        rest = {d: by for d, by in self.strides.items() if d != dim}
        return replace(self, strides=rest, index=index, pitch=self.strides[dim] * size_of(self.dtype))


@dataclass(frozen=True, slots=True)
class Factors:
    """One product: where its results lie, both operands, what results run over (`kept`) and what sums do."""

    to: Operand
    x: Operand
    w: Operand
    kept: tuple[Axis, ...]
    sums: tuple[Axis, ...]

    def summed(self, fresh: bool) -> list[Vector]:
        """Input by input; `fresh`: sums begin at 0."""
        first = operations("move", self.kept, self.to.over(self.kept), Immediate(0.0)) if fresh else []
        axes = (*self.sums, *self.kept)
        if any(axis.size == 0 for axis in axes):
            return first
        onto = self.to.over(axes)
        return [*first, *operations("multiply_add", axes, onto, self.x.over(axes), self.w.over(axes), onto)]


def product(i: isa.Product, frame: Frame, which: int, positions: int = -1) -> Groups:
    """Tile by tile; `positions`: how many of its share's a core has, where sums run over them."""
    scratch, groups, copies = frame.scratch(), Groups(), dict[str, Operand]()
    for tile in tiles(i, frame.shares):
        wanted = factor(tile, frame.shares)
        for name in (tile.vector, tile.scalar):
            if BYTES[frame.value(name).dtype] != BYTES[wanted] and name not in copies:
                copies[name], made = _converted(frame, name, wanted, scratch, which)
                groups.append(made)
        groups.append(_tile(i, tile, frame, which, copies, positions))
    return groups


def _converted(frame: Frame, name: str, to: DType, scratch: Scratch, which: int) -> tuple[Operand, list[Vector]]:
    """A copy of an operand in another type; of a joined weight all of its block."""
    joined = frame.joined.get(name)
    if joined is None:
        address, made = converted(frame, name, to, scratch, which)
        return Operand(address, to, packed(frame, name)), made
    count = frame.shares.size(name) // len(joined.places) * joined.pitch
    address, axes = scratch.take(count * size_of(to)), [Axis(_ROW, count, 1)]
    here = At(frame.homes[joined.block], frame.value(name).dtype, (1,))
    return Operand(address, to, {}), operations("move", axes, At(address, to, (1,)), here)


def packed(frame: Frame, name: str) -> dict[str, int]:
    """Elements from one to the next of each dimension, in a value's own order."""
    names, shape = frame.shares.names(name), frame.shares.shape(name)
    return {dim: prod(shape[n + 1 :]) for n, dim in enumerate(names)}


def where(frame: Frame, name: str, which: int, copies: dict[str, Operand]) -> Operand:
    """An operand, or the copy that was made of it."""
    if name in copies:
        return copies[name]
    return Operand(frame.address(name, which), frame.value(name).dtype, frame.strides(name))


def _tile(
    i: isa.Product, tile: Tile, frame: Frame, which: int, copies: dict[str, Operand], positions: int
) -> list[Vector]:
    """The sums of one tile, begun at 0 unless they are added to."""
    return [op for each in factors(i, tile, frame, which, copies, positions) for op in each.summed(not i.accumulate)]


def factors(
    i: isa.Product, tile: Tile, frame: Frame, which: int, copies: dict[str, Operand], positions: int = -1
) -> list[Factors]:
    """The products of one tile: of the rows of several weights as one where they are joined."""
    joined = frame.joined.get(tile.vector)
    if joined is not None and len(tile.members) > 1:
        return [_joined(i, tile, frame, joined, copies, positions)]
    out = list[Factors]()
    for weight, result in tile.members:
        to, x, w = (where(frame, name, which, copies) for name in (result, i.x, weight))
        kept = [Axis(dim, size, 1) for dim, size in _sizes(frame, i.x, weight).items() if dim in to.strides]
        kept.sort(key=lambda axis: frame.shares.names(result).index(axis.dim))
        out.append(Factors(to, x, w, tuple(kept), _sums(frame, i.x, weight, result, positions)))
    return out


def _joined(
    i: isa.Product, tile: Tile, frame: Frame, joined: Row, copies: dict[str, Operand], positions: int
) -> Factors:
    weight, result = tile.members[0]
    first = min((made for _, made in tile.members), key=lambda made: element(made, 0, frame.shares))
    outer = {dim: by for dim, by in frame.strides(result).items() if dim not in i.inner}
    to = Operand(frame.address(first), frame.value(first).dtype, {**outer, _ROW: 1})
    own = row(weight, i.inner, frame.shares)
    strides = {dim: by // own * joined.pitch for dim, by in packed(frame, weight).items() if dim not in i.inner}
    here = copies.get(weight, Operand(frame.homes[joined.block], frame.value(weight).dtype, {}))
    w = Operand(here.address, here.dtype, {**strides, _ROW: 1})
    sizes = _sizes(frame, i.x, weight)
    kept = [*(Axis(dim, sizes[dim], 1) for dim in outer if dim in sizes), Axis(_ROW, joined.pitch, 1)]
    x = where(frame, i.x, 0, copies)
    return Factors(to, x, w, tuple(kept), _sums(frame, i.x, weight, result, positions))


def _sizes(frame: Frame, *names: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found |= dict(zip(frame.shares.names(name), frame.shares.shape(name), strict=True))
    return found


def _sums(frame: Frame, x: str, weight: str, result: str, positions: int) -> tuple[Axis, ...]:
    """What sums run over, in the order of x."""
    lacking = [dim for dim in frame.shares.names(x) if dim not in frame.shares.names(result)]
    sizes = _sizes(frame, x, weight)
    return tuple(walk.limited([Axis(dim, sizes[dim], 1) for dim in lacking], POSITION, positions))
