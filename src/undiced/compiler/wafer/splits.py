"""Splits: all sizes of one to four levels that are tried to join the cores of a line, as arrays. Knows no cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from undiced.machine import lines

_SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32)
_DEEP_SIZES = (2, 3, 4, 5, 6, 8)
_TWO = np.array([(size, middle) for size in _SIZES for middle in (0, *_SIZES)]).T  # 0: two levels, no third
_DEEP = np.array(list(product(_DEEP_SIZES, repeat=3))).T

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


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

    def arms(self, slices: int) -> tuple[Ints, Ints]:
        """Members of the arm that the first slice's root hears first, and of the other (`lines.in_turn`).

        Roots of later levels lie in the middle of their groups or above it: those of groups below them hear from above
        first.
        """
        apart = ~self.later & (self.members >= slices)
        lower = np.where(apart & (slices > 1), self.members // (2 * slices), self.members // 2)
        upper = self.members - 1 - lower
        return np.where(self.last, lower, upper), np.where(self.last, upper, lower)

    def crossings(self, slices: int) -> Ints:
        """How often the busiest link of a star is crossed (`lines.crossings`)."""
        found = slices * (self.members // 2)
        of_size = {int(size): lines.crossings(int(size), 1, slices) for size in np.unique(self.members[:, 0])}
        found[:, 0] = [of_size[size] for size in self.members[:, 0].tolist()]
        return found


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
