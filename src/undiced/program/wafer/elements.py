"""Where elements of values and views lie, counted from the address of what has the memory. Knows no address."""

from __future__ import annotations

from collections.abc import Iterator

from undiced.program.wafer.share import Shares
from undiced.program.wafer.work import BYTES


def element(name: str, index: int, s: Shares) -> int:
    """Which element of the value that has the memory is element `index` of a value."""
    view = s.values[name].view
    if view is None:
        return index
    start = view.offset if view.offset >= 0 else s.size(view.parent) + view.offset
    return element(view.parent, start + index // view.count * view.of + view.pick + index % view.count, s)


def at(name: str, index: int, s: Shares) -> int:
    """Bytes from the address of the value that has the memory to element `index` of a value."""
    return int(element(name, index, s) * BYTES[s.values[name].dtype])


def step(name: str, index: int, s: Shares) -> int:
    """Bytes from the first element to another."""
    return at(name, index, s) - at(name, 0, s)


def dims(name: str, s: Shares) -> dict[str, tuple[int, int]]:
    """Size of each dimension, and the bytes from one of its elements to the next."""
    shape, unit = s.shape(name), s.size(name)
    found: dict[str, tuple[int, int]] = {}
    for dim, size in zip(s.names(name), shape, strict=False):
        unit //= max(size, 1)
        found[dim] = size, step(name, unit, s)
    return found


def runs(name: str, s: Shares) -> Iterator[int]:
    """Elements that lie side by side, of a value and of those that it lies in."""
    while (view := s.values[name].view) is not None:
        yield view.count
        name = view.parent
