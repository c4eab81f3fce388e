"""Lowers the look-up of a row of integers: widened, then times the scales of its parts. Knows frames and rows."""

from __future__ import annotations

from collections.abc import Iterator

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.integers import NIBBLES, scales
from undiced.program.wafer.unpacking import longest
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower.frame import Frame, size_of
from undiced.sim.fabric.lower.local_elementwise import Groups
from undiced.sim.fabric.lower.local_products import packed
from undiced.sim.fabric.lower.operands import At, operations
from undiced.sim.fabric.lower.walk import Axis, Places, runs
from undiced.sim.fabric.microops import Immediate, Memory, Vector

_HALF = size_of(DType.F16)


def integers(i: isa.Lookup, frame: Frame) -> Groups:
    """As `work` counts them: what widens the row's elements, and what multiplies them."""
    row, dtype, table = frame.joined[i.table], frame.value(i.table).dtype, frame.homes[i.table]
    length, count = len(row.places), frame.shares.size(i.result)
    units = row.bytes(dtype) * (2 if dtype is DType.I4 else 1)
    places = [divmod(flat, length) for flat in _places(i, frame)]
    wide = frame.scratch().take(2 * count * _HALF)
    widened, multiplied, at = list[Vector](), list[Vector](), list[int]()
    for (first,), (by,), size in runs([(number * units + column,) for number, column in places]):
        odd = first % 2 if dtype is DType.I4 else 0
        pair = dtype is DType.I4 and by % 2 == 0  # both nibbles of each byte, one of which is wanted
        start, extents = wide + _HALF * 2 * len(at), (size, 2) if pair else (size + odd,)
        address = table + (first // 2 if dtype is DType.I4 else first)
        strides = (by, 1) if pair else (by,)
        to = Memory(start, (2, 1) if pair else (1,), DType.F16)
        widened.append(Vector("move", to, Memory(address, strides, dtype), extents=extents))
        at += [(start - wide) // _HALF + odd + n * (2 if pair else 1) for n in range(size)]
    steps = list[Places]()
    for n, (number, column) in enumerate(places):
        part = next(p for p, each in enumerate(row.parts) if each.start <= column < each.stop)
        steps.append((frame.step(i.result, n), at[n], number * len(row.parts) + part))
    for firsts, strides_, size in runs(steps):
        operands = _operands(i, frame, wide, firsts, strides_)
        multiplied += operations("multiply", [Axis("", size, 1)], *operands)
    made: Groups = [widened]
    if dtype is DType.I4:
        whole = Memory(wide, (1,), DType.F16)
        made.append([Vector("subtract", whole, whole, Immediate(NIBBLES), extents=(2 * count,))])
    made += [[] for _ in range(len(longest(dtype)) - len(made))]  # time of what takes words apart
    return [*made, multiplied]


def _operands(i: isa.Lookup, frame: Frame, wide: int, first: Places, by: Places) -> Iterator[At]:
    """The result, the widened row and the scales."""
    dtype = frame.value(i.result).dtype
    starts = (frame.address(i.result), wide, frame.homes[scales(i.table)])
    for start, kind, place, step in zip(starts, (dtype, DType.F16, DType.F16), first, by, strict=True):
        yield At(start + size_of(kind) * place, kind, (step,))


def _places(i: isa.Lookup, frame: Frame) -> list[int]:
    """Which element of the table's share each element of the result is."""
    shares, by = frame.shares, packed(frame, i.table)
    found = [frame.row(i.result) * by[frame.row_dim(i.table, i.result)]]
    for dim, size in zip(shares.names(i.result), shares.shape(i.result), strict=True):
        found = [flat + n * by[dim] for flat in found for n in range(size)]
    return found
