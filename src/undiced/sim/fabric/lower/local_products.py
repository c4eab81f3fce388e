"""Lowers products: input by input, the sums of a tile are added to in memory. Knows frames and joined rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from undiced.core.errors import UnsupportedError
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
    """Elements by dimension: where the first is, and how far it is to the next along each."""

    address: int
    dtype: DType
    strides: dict[str, int]

    def over(self, axes: list[Axis]) -> At:
        """Along these axes; those that it lacks leave it where it is."""
        return At(self.address, self.dtype, tuple(self.strides.get(axis.dim, 0) for axis in axes))


def product(i: isa.Product, frame: Frame, which: int, positions: int = -1) -> Groups:
    """Tile by tile; `positions`: how many of its share's a core has, where sums run over them.

    Raises:
        UnsupportedError: of experts, of which each token takes others.
    """
    if i.expert:
        raise UnsupportedError(f"{i.node} takes experts, which have no level 2.", remedy="Take a dense model.")
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
        return Operand(address, to, _packed(frame, name)), made
    count = frame.shares.size(name) // len(joined.places) * joined.pitch
    address, axes = scratch.take(count * size_of(to)), [Axis(_ROW, count, 1)]
    here = At(frame.homes[joined.block], frame.value(name).dtype, (1,))
    return Operand(address, to, {}), operations("move", axes, At(address, to, (1,)), here)


def _packed(frame: Frame, name: str) -> dict[str, int]:
    """Elements from one to the next of each dimension, in a value's own order."""
    names, shape = frame.shares.names(name), frame.shares.shape(name)
    return {dim: prod(shape[n + 1 :]) for n, dim in enumerate(names)}


def _where(frame: Frame, name: str, which: int, copies: dict[str, Operand]) -> Operand:
    """An operand, or the copy that was made of it."""
    if name in copies:
        return copies[name]
    return Operand(frame.address(name, which), frame.value(name).dtype, frame.strides(name))


def _tile(
    i: isa.Product, tile: Tile, frame: Frame, which: int, copies: dict[str, Operand], positions: int
) -> list[Vector]:
    """The sums of one tile, begun at 0 unless they are added to."""
    joined = frame.joined.get(tile.vector)
    if joined is not None and len(tile.members) > 1:
        return _joined(i, tile, frame, joined, copies, positions)
    out: list[Vector] = []
    for weight, result in tile.members:
        to, x, w = (_where(frame, name, which, copies) for name in (result, i.x, weight))
        kept = [Axis(dim, size, 1) for dim, size in _sizes(frame, i.x, weight).items() if dim in to.strides]
        kept.sort(key=lambda axis: frame.shares.names(result).index(axis.dim))
        out += _summed(i, kept, to, x, w, _sums(frame, i.x, weight, result, positions))
    return out


def _joined(
    i: isa.Product, tile: Tile, frame: Frame, joined: Row, copies: dict[str, Operand], positions: int
) -> list[Vector]:
    """The rows of several weights as one."""
    weight, result = tile.members[0]
    first = min((made for _, made in tile.members), key=lambda made: element(made, 0, frame.shares))
    outer = {dim: by for dim, by in frame.strides(result).items() if dim not in i.inner}
    to = Operand(frame.address(first), frame.value(first).dtype, {**outer, _ROW: 1})
    own = row(weight, i.inner, frame.shares)
    strides = {dim: by // own * joined.pitch for dim, by in _packed(frame, weight).items() if dim not in i.inner}
    here = copies.get(weight, Operand(frame.homes[joined.block], frame.value(weight).dtype, {}))
    w = Operand(here.address, here.dtype, {**strides, _ROW: 1})
    sizes = _sizes(frame, i.x, weight)
    kept = [*(Axis(dim, sizes[dim], 1) for dim in outer), Axis(_ROW, joined.pitch, 1)]
    x = _where(frame, i.x, 0, copies)
    return _summed(i, kept, to, x, w, _sums(frame, i.x, weight, result, positions))


def _sizes(frame: Frame, *names: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found |= dict(zip(frame.shares.names(name), frame.shares.shape(name), strict=True))
    return found


def _sums(frame: Frame, x: str, weight: str, result: str, positions: int) -> list[Axis]:
    """What sums run over, in the order of x."""
    lacking = [dim for dim in frame.shares.names(x) if dim not in frame.shares.names(result)]
    sizes = _sizes(frame, x, weight)
    return walk.limited([Axis(dim, sizes[dim], 1) for dim in lacking], POSITION, positions)


def _summed(i: isa.Product, kept: list[Axis], to: Operand, x: Operand, w: Operand, sums: list[Axis]) -> list[Vector]:
    first = [] if i.accumulate else operations("move", kept, to.over(kept), Immediate(0.0))
    axes = [*sums, *kept]
    if any(axis.size == 0 for axis in axes):
        return first
    onto = to.over(axes)
    return [*first, *operations("multiply_add", axes, onto, x.over(axes), w.over(axes), onto)]
