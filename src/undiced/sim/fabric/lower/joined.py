"""Weights whose rows lie beside each other in memory, because one operation multiplies them all. Knows no address.

The rows of a joined block follow each other; in a row, elements lie in the order of the results that they are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.ahead import rows_of_widen
from undiced.program.wafer.elements import element
from undiced.program.wafer.integers import Part, cut, parts, table_row
from undiced.program.wafer.products import Tile, tiles
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import GROUPS, DType, Kind
from undiced.program.wafer.work import BYTES


@dataclass(frozen=True, slots=True)
class Row:
    """Where the elements of a weight's row lie in that of its block.

    Attributes:
        block: the first of the weights that share the block. pitch: elements of its rows.
        places: of each element of the weight's row.
        parts: of integers, those that share a scale.
    """

    block: str
    pitch: int
    places: tuple[int, ...]
    parts: tuple[Part, ...] = ()

    def bytes(self, dtype: DType) -> int:
        """Of a row; each begins with a byte of its own."""
        return ceil(self.pitch * BYTES[dtype])


def joined(instructions: Sequence[isa.Instruction], shares: Shares) -> dict[str, Row]:
    """The weights of a stream whose rows are joined with those of others, and all of integers: those have scales."""
    found: dict[str, Row] = {}
    for i in instructions:
        if isinstance(i, isa.Product):
            for tile in tiles(i, shares):
                integer = shares.values[tile.vector].dtype in GROUPS
                if (integer or len(tile.members) > 1) and shares.stored(tile.vector).kind is Kind.WEIGHT:
                    found |= _rows(tile, i, shares)
    for i in instructions:
        if isinstance(i, isa.Widen):
            found = _ahead(i, shares) | found
    for i in instructions:
        if isinstance(i, isa.Lookup) and shares.values[i.table].dtype in GROUPS and i.table not in found:
            own = table_row(shares.values[i.table])
            found[i.table] = Row(i.table, own, tuple(range(own)), cut(own, GROUPS[shares.values[i.table].dtype]))
    return found


def _ahead(i: isa.Widen, shares: Shares) -> dict[str, Row]:
    """Of weights that another run keeps and multiplies."""
    rows, size = rows_of_widen(i, shares.values), GROUPS[shares.values[i.weights[0]].dtype]
    return {
        name: Row(i.weights[0], rows.length, tuple(rows.places(number)), cut(rows.lengths[number], size))
        for number, name in enumerate(i.weights)
    }


def row(name: str, inner: tuple[str, ...], shares: Shares) -> int:
    """Elements of a value along dimensions."""
    length = 1
    for dim, size in zip(shares.names(name), shares.shape(name), strict=True):
        length *= size if dim in inner else 1
    return length


def _rows(tile: Tile, i: isa.Product, shares: Shares) -> dict[str, Row]:
    integer = shares.values[tile.vector].dtype in GROUPS
    scaled = parts(i, shares.values) if integer else {}
    first = min(element(result, 0, shares) for _, result in tile.members)
    found = dict[str, Row]()
    for weight, result in tile.members:
        places = tuple(element(result, n, shares) - first for n in range(row(weight, i.inner, shares)))
        if len(tile.members) == 1:
            places = tuple(range(len(places)))
        found[weight] = Row(tile.vector, tile.length, places, scaled.get(weight, ()))
    return found
