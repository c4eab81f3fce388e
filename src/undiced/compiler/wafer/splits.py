"""Splits: all sizes of one to four levels that are tried to join the cores of a line, as arrays. Knows no cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

_SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32)
_DEEP_SIZES = (2, 3, 4, 5, 6, 8)
_TWO = np.array([(size, middle) for size in _SIZES for middle in (0, *_SIZES)]).T  # 0: two levels, no third
_DEEP = np.array(list(product(_DEEP_SIZES, repeat=3))).T

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Splits:
    """A row a split, a column a level; levels that a split lacks have one member and join nothing.

    Attributes:
        levels: (splits,) how many each has. sizes: (splits, 4) as they are called.
        members: of a full group; hops: from one of them to the next.
        last: where one root is left; later: all but the first level.
    """

    levels: Ints
    sizes: Ints
    members: Ints
    hops: Ints
    last: Flags
    later: Flags


@dataclass(frozen=True, slots=True)
class Arms:
    """What slices that share the line make of its splits, each (splits, 4).

    Attributes:
        first, second: members of the arm that the first slice's root hears first, and of the other (`lines.in_turn`).
        crossings: how often the busiest link of a star is crossed (`lines.crossings`).
    """

    first: Floats
    second: Floats
    crossings: Floats


@lru_cache(maxsize=2048)
def splits_of(span: int) -> Splits:
    """Of a line of `span` cores."""
    one = np.ones_like
    size, middle = _TWO
    rest = -(-span // size)
    three = middle > 0
    shallow = np.stack(
        (size, np.where(three, middle, rest), np.where(three, -(-rest // np.maximum(middle, 1)), 1), one(size))
    )[:, (size < span) & (middle < rest)]
    left = -(-span // _DEEP.prod(axis=0))
    deep = np.concatenate((_DEEP, left[None]))[:, left > 1]
    sizes = np.concatenate((np.array([[span], [1], [1], [1]]), shallow, deep), axis=1).T
    members, hops, last = one(sizes), one(sizes), np.zeros(sizes.shape, bool)
    left, far = np.full(len(sizes), span), one(sizes[:, 0])
    for level in range(sizes.shape[1]):
        members[:, level], hops[:, level] = np.minimum(sizes[:, level], left), far
        left, far = -(-left // sizes[:, level]), far * sizes[:, level]
        last[:, level] = left <= 1
    later = np.broadcast_to(np.arange(sizes.shape[1]) > 0, sizes.shape)
    levels = np.maximum((sizes > 1).sum(axis=1), 1)
    return Splits(levels, sizes, members, hops, last, later)


@lru_cache(maxsize=256)
def arms_of(span: int, slices: int) -> Arms:
    """Of a line of `span` cores, and `slices` trees beside each other.

    Roots of later levels lie in the middle of their groups or above it: those of groups below them hear from above
    first.
    """
    splits = splits_of(span)
    size, apart = splits.members, ~splits.later & (splits.members >= slices)
    lower = np.where(apart & (slices > 1), size // (2 * slices), size // 2)
    upper = size - 1 - lower
    crossings, beside = slices * (size // 2), np.zeros_like(size[:, 0])
    for which in range(slices):
        root = (2 * which + 1) * size[:, 0] // (2 * slices)
        beside = np.maximum(beside, np.maximum(root * (slices - which), (size[:, 0] - 1 - root) * (which + 1)))
    crossings[:, 0] = np.where(apart[:, 0], beside, crossings[:, 0])
    turned = ~splits.last
    first, second = np.where(turned, upper, lower), np.where(turned, lower, upper)
    return Arms(first.astype(np.float64), second.astype(np.float64), crossings.astype(np.float64))
