"""Which elements of integer weights share a scale: of a product's rows side by side, or of a table's rows.

Knows shapes alone. A scale is for a part of a row, or for as many whole rows as are shorter than a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from undiced.program.wafer.instruction import Product
from undiced.program.wafer.value import GROUPS, Value, local_shape

NIBBLES = 8  # what nibbles lie above the integers that they stand for


@dataclass(frozen=True, slots=True)
class Part:
    """Elements `start` to `stop` of a weight's row, which share the `scale`-th scale of the rows side by side."""

    start: int
    stop: int
    scale: int


def row_length(value: Value, inner: Sequence[str]) -> int:
    """Elements of a core's share along the dimensions that operations run along, which come last."""
    return prod(size for dim, size in zip(value.dims, local_shape(value), strict=True) if dim.name in inner)


def table_row(value: Value) -> int:
    """Elements of a core's share behind its first dimension."""
    return prod(local_shape(value)[1:])


def beside(i: Product, values: Mapping[str, Value]) -> bool:
    """Whether a product's weights have as many rows each, which then lie side by side."""
    rows = {prod(local_shape(values[name])) // row_length(values[name], i.inner) for name in i.weights}
    return len(rows) == 1


def parts(i: Product, values: Mapping[str, Value]) -> dict[str, tuple[Part, ...]]:
    """The parts of a row of each weight of a product."""
    rows, size = [row_length(values[name], i.inner) for name in i.weights], GROUPS[values[i.weights[0]].dtype]
    if not beside(i, values):
        return {name: cut([row], size)[0] for name, row in zip(i.weights, rows, strict=True)}
    return dict(zip(i.weights, cut(rows, size), strict=True))


def cut(rows: Sequence[int], size: int) -> list[tuple[Part, ...]]:
    """The parts of each of some rows side by side, of which `size` elements have a scale."""
    if sum(rows) < size:
        return [(Part(0, row, 0),) for row in rows]
    out, offset = list[tuple[Part, ...]](), 0
    for row in rows:
        edges = [0, *(n for n in range(1, row) if (offset + n) % size == 0), row]
        out.append(tuple(Part(a, b, (offset + a) // size) for a, b in pairwise(edges)))
        offset += row
    return out


def scales(name: str) -> str:
    """Under which name the scales of a weight are bound."""
    return f"{name}: scales"
