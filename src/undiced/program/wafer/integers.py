"""Which elements of narrow weights share a scale: of a product's rows, or of a table's.

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
    """Elements `start` to `stop` of a weight's row, which share its `scale`-th scale."""

    start: int
    stop: int
    scale: int


def row_length(value: Value, inner: Sequence[str]) -> int:
    """Elements of a core's share along the dimensions that operations run along, which come last."""
    return prod(size for dim, size in zip(value.dims, local_shape(value), strict=True) if dim.name in inner)


def table_row(value: Value) -> int:
    """Elements of a core's share behind its first dimension."""
    return prod(local_shape(value)[1:])


def parts(i: Product, values: Mapping[str, Value]) -> dict[str, tuple[Part, ...]]:
    """The parts of a row of each weight of a product; neighbors share none, whose sizes may differ by much."""
    return {name: cut(row_length(values[name], i.inner), GROUPS[values[name].dtype]) for name in i.weights}


def cut(row: int, size: int) -> tuple[Part, ...]:
    """The parts of a row, of which `size` elements have a scale."""
    edges = [*range(0, max(row, 1), size), row]
    return tuple(Part(a, b, n) for n, (a, b) in enumerate(pairwise(edges)))


def scales(name: str) -> str:
    """Under which name the scales of a weight are bound."""
    return f"{name}: scales"
