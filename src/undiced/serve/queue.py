"""WaitingQueue: sequences that have not started, by age and by size. Knows their order and nothing else."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence


class WaitingQueue:
    """The same sequences in two orders; neither `order` nor `size` of a sequence changes while it is in here."""

    def __init__(self) -> None:
        self._by_age: list[Sequence] = []
        self._by_size: list[Sequence] = []

    def __len__(self) -> int:
        return len(self._by_age)

    def push(self, sequence: Sequence) -> None:
        """To its places."""
        insort(self._by_age, sequence, key=_order)
        insort(self._by_size, sequence, key=_size)

    def eldest(self) -> Sequence | None:
        """The one whose `order` is least, or None."""
        return self._by_age[0] if self._by_age else None

    def smallest(self) -> Sequence | None:
        """The one whose `size` is least, or None."""
        return self._by_size[0] if self._by_size else None

    def remove(self, sequence: Sequence) -> None:
        """Take one out, wherever it stands."""
        del self._by_age[bisect_left(self._by_age, sequence.order, key=_order)]
        del self._by_size[bisect_left(self._by_size, sequence.size, key=_size)]


def _order(sequence: Sequence) -> tuple[float, int]:
    return sequence.order


def _size(sequence: Sequence) -> tuple[int, int, tuple[float, int]]:
    return sequence.size
