"""Which values an instruction reads as two vectors in one cycle: a table over instructions. A test holds it lacks none.

Knows where elements of values and views lie, counted from the address of the value that has the memory; addresses and
the rule of banks are others' business. An operand that is converted first is read from an array that has no address,
as are those between the steps of a function: neither is in a pair. Nor are sums that stay beside the datapath.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import cast

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.banks import Banks, Loop
from undiced.program.wafer.elements import at, dims, runs, step
from undiced.program.wafer.elementwise import along
from undiced.program.wafer.products import sums_in_memory
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.work import BYTES


@dataclass(frozen=True, slots=True)
class Pair:
    """Two vectors that are read together.

    Attributes:
        values: those that have the memory. starts: bytes from their addresses to the first elements.
        loops: of the operations, the innermost too: how often, and by how many bytes each vector then advances.
    """

    values: tuple[str, str]
    starts: tuple[int, int]
    loops: tuple[Loop, ...]

    @property
    def elements(self) -> int:
        """How many of each are read, for one token."""
        return prod(times for times, _, _ in self.loops)

    def swapped(self) -> Pair:
        """The same, the other vector first."""
        loops = tuple((times, second, first) for times, first, second in self.loops)
        return Pair(self.values[::-1], self.starts[::-1], loops)


Find = Callable[[isa.Instruction, Shares, Banks], Iterator[Pair]]


def pairs(stream: Stream, shares: Shares, banks: Banks) -> Iterator[Pair]:
    """All pairs of a stream. A root's slice is read where it lies: in the value that all cores hold."""
    slices = {i.result: i.a for i in stream.instructions if isinstance(i, isa.Slice)}
    for instruction in stream.instructions:
        for pair in PAIRS[type(instruction)](instruction, shares, banks):
            yield _unsliced(_unsliced(pair, slices, shares).swapped(), slices, shares).swapped()


def _unsliced(pair: Pair, slices: dict[str, str], s: Shares) -> Pair:
    """With the first vector where its slice lies, which root by root is further on."""
    name, roots = pair.values[0], s.roots(pair.values[0])
    if name not in slices or roots is None:
        return pair
    share = int(s.size(name) * BYTES[s.values[name].dtype])
    values = s.stored(slices[name]).name, pair.values[1]
    starts = at(slices[name], 0, s) + pair.starts[0], pair.starts[1]
    return Pair(values, starts, (*pair.loops, (s.trees[roots.tree].slices, share, 0)))


# Pairs of values


def _pair(a: str, b: str, loops: tuple[Loop, ...], s: Shares, starts: tuple[int, int] = (0, 0)) -> Pair:
    """Of two values, from elements `starts` on."""
    holders = s.stored(a).name, s.stored(b).name
    return Pair(holders, (at(a, starts[0], s), at(b, starts[1], s)), tuple(loop for loop in loops if loop[0] > 1))


def _together(a: str, b: str, s: Shares) -> tuple[Loop, ...]:
    """Loops over all elements of two values: side by side, or over the dimensions of both."""
    flat = any(len(s.shape(name)) != len(s.names(name)) for name in (a, b))  # at roots
    if flat or s.size(a) == s.size(b):
        return _side_by_side(a, b, s)
    first, second = dims(a, s), dims(b, s)
    sizes = {dim: size for dim, (size, _) in (second | first).items()}
    return tuple((size, first.get(dim, (0, 0))[1], second.get(dim, (0, 0))[1]) for dim, size in sizes.items())


def _side_by_side(a: str, b: str, s: Shares) -> tuple[Loop, ...]:
    """Loops over as many elements, cut where either is picked in runs out of what it lies in."""
    units = sorted({1, *runs(a, s), *runs(b, s)})
    ends = [min(end, s.size(a)) for end in (*units[1:], s.size(a))]
    return tuple((-(-end // unit), step(a, unit, s), step(b, unit, s)) for unit, end in zip(units, ends, strict=True))


# What instructions read


def _none(i: isa.Instruction, s: Shares, banks: Banks) -> Iterator[Pair]:
    """One vector, at most."""
    return iter(())


def _combine(i: isa.Combine, s: Shares, banks: Banks) -> Iterator[Pair]:
    """Both operands, if b is no scalar. Sums and differences take both widths; others have one converted before."""
    length, vector = along(i, s)
    if vector and length > 1 and (i.operation in ("add", "subtract") or _as_they_are((i.a, i.b), i.result, s)):
        yield _pair(i.a, i.b, _together(i.a, i.b, s), s)


def _as_they_are(read: tuple[str, ...], result: str, s: Shares) -> bool:
    """Whether operands have the width in which they are worked on: the widest."""
    widths = {BYTES[s.values[name].dtype] for name in read}
    return widths == {max(*widths, BYTES[s.values[result].dtype])}


def _fold(i: isa.Fold, s: Shares, banks: Banks) -> Iterator[Pair]:
    """Where vectors are joined: the result, and the next that it takes."""
    names = s.names(i.a)
    if names and names[-1] in s.names(i.result) and 1 < s.size(i.result) < s.size(i.a):
        yield _pair(i.a, i.result, _together(i.a, i.result, s), s)


def _rotate(i: isa.Rotate, s: Shares, banks: Banks) -> Iterator[Pair]:
    """The operand beside cosines; and beside sines with the elements of each pair exchanged, from the second on."""
    if not _as_they_are((i.a, i.cosine, i.sine), i.result, s):
        return
    yield _pair(i.a, i.cosine, _together(i.a, i.cosine, s), s)
    one, other = step(i.a, 1, s), step(i.sine, 1, s)
    loops: list[Loop] = []
    for times, *steps in _together(i.a, i.sine, s):
        innermost = steps == [one, other]
        loops += [(times // 2, 2 * one, 2 * other), (2, -one, other)] if innermost else [(times, steps[0], steps[1])]
    yield _pair(i.a, i.sine, tuple(loops), s, (1, 0))


def _product(i: isa.Product, s: Shares, banks: Banks) -> Iterator[Pair]:
    """Rows of a tile, and the sums that they are added to. Of stacked weights a token takes any."""
    for tile, vector, result in sums_in_memory(i, s, banks.cache_bytes):
        sums, size = dims(result, s), int(BYTES[s.values[result].dtype])
        if vector == i.scratch:
            loops = [
                (tile.length, step(vector, 1, s), size),
                (tile.sums * tile.rest, step(vector, tile.length, s), 0),
            ]
        else:
            held = dims(vector, s)
            inner = [dim for dim in held if dim in i.inner]
            joined = tile.length // prod(held[dim][0] for dim in inner)  # rows of tiles side by side are one
            last = inner[-1]
            loops = [(tile.length, held[last][1], size if joined > 1 else sums[last][1])]
            outer = [dim for dim in held if dim not in inner]
            loops += [(held[dim][0], held[dim][1] * joined, sums.get(dim, (0, 0))[1]) for dim in outer]
            sums = {dim: way for dim, way in sums.items() if dim not in held}
        loops += [(times, 0, by) for dim, (times, by) in sums.items() if dim not in i.inner]
        yield _pair(vector, result, tuple(loops), s)


def _shifted(i: isa.ShiftProduct | isa.ShiftScores, s: Shares, banks: Banks) -> Iterator[Pair]:
    """Tiles of x, and the sums."""
    yield _pair(i.x, i.result, _together(i.x, i.result, s), s)


PAIRS: dict[type[isa.Operation], Find] = {
    kind: cast(Find, find)
    for find, kinds in (
        (_combine, (isa.Combine,)),
        (_fold, (isa.Fold,)),
        (_rotate, (isa.Rotate,)),
        (_product, (isa.Product,)),
        (_shifted, (isa.ShiftProduct, isa.ShiftScores)),
        (_none, (isa.Scale, isa.Copy, isa.Fill, isa.Apply, isa.Mask, isa.Causal, isa.Lookup, isa.Append, isa.Place)),
        (_none, (isa.Select, isa.Draw, isa.Mark, isa.Pick, isa.Slice, isa.Read)),
        (_none, (isa.Reduce, isa.Multicast, isa.Transfer, isa.Return, isa.Rebind, isa.Repaint, isa.Widen)),
    )
    for kind in kinds
}
