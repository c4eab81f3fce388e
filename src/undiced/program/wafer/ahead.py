"""Rows of narrow weights that cores widen ahead of their product: which they are, and where each lies. Knows no time.

Rows are counted in words: a word holds an element of each of so many neighboring rows. Rows that are multiplied as the
words lie (`f8`) have no steps and are not among those that are widened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

from undiced.program.wafer.elements import element
from undiced.program.wafer.instruction import Product, Widen
from undiced.program.wafer.integers import row_length
from undiced.program.wafer.products import tiles
from undiced.program.wafer.share import Shares
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import DType, Kind, Value, local_shape


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of matrices that one operation multiplies, on a core.

    Attributes:
        dtype: of all of them. lengths: elements of a row of each matrix. count: rows.
        interleaved: whether elements of a row come from each matrix in turn, else those of one after the other's.
    """

    dtype: DType
    lengths: tuple[int, ...]
    count: int
    interleaved: bool

    @property
    def length(self) -> int:
        """Elements of a row of all matrices."""
        return sum(self.lengths)

    @property
    def words(self) -> int:
        """Rows of words."""
        return ceil(self.count / len(FIELDS[self.dtype]))

    @property
    def widened(self) -> tuple[int, ...]:
        """Which rows of a word take steps."""
        return tuple(n for n, field in enumerate(FIELDS[self.dtype]) if field.steps)

    @property
    def pitch(self) -> int:
        """16-bit floats that a row of words becomes."""
        return len(self.widened) * self.length

    def places(self, number: int) -> range:
        """Where in a row of all matrices the elements of one lie."""
        if self.interleaved:
            return range(number, self.length, len(self.lengths))
        start = sum(self.lengths[:number])
        return range(start, start + self.lengths[number])

    def row(self, word: int, which: int) -> int:
        """The row that is the `which`-th of those that take steps, of a row of words."""
        return word * len(FIELDS[self.dtype]) + self.widened[which]


def rows_of(weights: Sequence[str], inner: Sequence[str], interleaved: bool, values: Mapping[str, Value]) -> Rows:
    """The rows of matrices by name."""
    lengths = tuple(row_length(values[name], inner) for name in weights)
    count = prod(local_shape(values[weights[0]])) // max(lengths[0], 1)
    return Rows(values[weights[0]].dtype, lengths, count, interleaved)


def rows_of_widen(i: Widen, values: Mapping[str, Value]) -> Rows:
    """What an instruction widens some rows of."""
    return rows_of(i.weights, i.inner, i.interleaved, values)


def rows_of_product(i: Product, s: Shares) -> Rows | None:
    """The rows of a product's matrices; None if they can't be widened ahead: chosen experts, caches, several tiles."""
    first = s.values[i.weights[0]]
    kinds = {(s.values[name].dtype, s.values[name].kind, s.values[name].view) for name in i.weights}
    if i.expert or first.dtype not in FIELDS or kinds != {(first.dtype, Kind.WEIGHT, None)}:
        return None
    found = tiles(i, s)
    if len(found) != 1 or found[0].vector != i.weights[0]:
        return None
    start = min(element(result, 0, s) for result in i.results)
    for interleaved in (False, True):
        rows = rows_of(i.weights, i.inner, interleaved, s.values)
        if len(i.weights) == 1 or all(
            element(result, n, s) - start == place
            for number, result in enumerate(i.results)
            for n, place in enumerate(rows.places(number))
        ):
            return rows if rows.length == found[0].length else None
    return None
