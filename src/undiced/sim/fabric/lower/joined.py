"""Weights whose rows lie beside each other in memory, because one operation multiplies them all. Knows no address.

The rows of a joined block follow each other; in a row, elements lie in the order of the results that they are for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.elements import element
from undiced.program.wafer.products import Tile, tiles
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import Kind


@dataclass(frozen=True, slots=True)
class Row:
    """Where the elements of a weight's row lie in that of its block.

    Attributes:
        block: the first of the weights that share the block. pitch: elements of its rows.
        places: of each element of the weight's row.
    """

    block: str
    pitch: int
    places: tuple[int, ...]


def joined(instructions: Iterable[isa.Instruction], shares: Shares) -> dict[str, Row]:
    """The weights of a stream whose rows are joined with those of others."""
    found: dict[str, Row] = {}
    for i in instructions:
        if isinstance(i, isa.Product):
            for tile in tiles(i, shares):
                if len(tile.members) > 1 and shares.stored(tile.vector).kind is Kind.WEIGHT:
                    found |= _rows(tile, i, shares)
    return found


def row(name: str, inner: tuple[str, ...], shares: Shares) -> int:
    """Elements of a value along dimensions."""
    length = 1
    for dim, size in zip(shares.names(name), shares.shape(name), strict=True):
        length *= size if dim in inner else 1
    return length


def _rows(tile: Tile, i: isa.Product, shares: Shares) -> dict[str, Row]:
    first = min(element(result, 0, shares) for _, result in tile.members)
    return {
        weight: Row(
            tile.vector,
            tile.length,
            tuple(element(result, n, shares) - first for n in range(row(weight, i.inner, shares))),
        )
        for weight, result in tile.members
    }
