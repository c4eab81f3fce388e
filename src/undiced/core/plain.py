"""Memory of numbers that native code and Python both read and write, without numpy: views of one or two dimensions."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def ints(values: Iterable[int]) -> memoryview:
    """Numbers of 32 bits, (n,)."""
    return memoryview(array("i", values))


def floats(values: Iterable[float]) -> memoryview[float]:
    """Floats of 32 bits, (n,)."""
    return memoryview(array("f", values))


def room(letter: str, count: int) -> memoryview:
    """Zeros, (count,): of 32 bits for the letters "i" and "f", bytes for "B"."""
    return memoryview(array(letter, bytes(count * (1 if letter == "B" else 4))))


def table(flat: memoryview, columns: int) -> memoryview:
    """The same memory as rows of so many columns; at least one row."""
    return flat.cast("B").cast(flat.format, (len(flat) // columns, columns))  # type: ignore[call-overload, no-any-return]
