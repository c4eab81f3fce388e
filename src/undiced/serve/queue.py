"""WaitingQueue: sequences that have not started, a line per share, each by age and by size. Knows their order and
nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence
    from undiced.serve.shares import Share


class Line:
    """The sequences of one share that wait, in two orders; never empty while it is in the queue."""

    __slots__ = ("by_age", "by_size", "share")

    def __init__(self, share: Share) -> None:
        self.share = share
        self.by_age: list[Sequence] = []
        self.by_size: list[Sequence] = []

    @property
    def eldest(self) -> Sequence:
        """The one whose `order` is least."""
        return self.by_age[0]

    @property
    def smallest(self) -> Sequence:
        """The one whose `size` is least."""
        return self.by_size[0]


class WaitingQueue:
    """Neither `order` nor `size` nor `share` of a sequence changes while it is in here."""

    def __init__(self) -> None:
        self._lines: dict[Share, Line] = {}
        self._counts: dict[str, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def lines(self) -> list[Line]:
        """Of every share with sequences in here."""
        return list(self._lines.values())

    @property
    def counts(self) -> dict[str, int]:
        """How many sequences of each account are in here."""
        return self._counts

    def smallest(self, share: Share) -> Sequence:
        """The smallest of a share that has some in here."""
        return self._lines[share].smallest

    def push(self, sequence: Sequence) -> None:
        """To its places."""
        share = sequence.share
        line = self._lines.get(share)
        if line is None:
            line = self._lines[share] = Line(share)
        insort(line.by_age, sequence, key=_order)
        insort(line.by_size, sequence, key=_size)
        self._counts[share.account.name] = self._counts.get(share.account.name, 0) + 1
        self._length += 1

    def remove(self, sequence: Sequence) -> None:
        """Take one out, wherever it stands."""
        share = sequence.share
        line = self._lines[share]
        del line.by_age[bisect_left(line.by_age, sequence.order, key=_order)]
        del line.by_size[bisect_left(line.by_size, sequence.size, key=_size)]
        if not line.by_age:
            del self._lines[share]
        self._counts[share.account.name] -= 1
        if not self._counts[share.account.name]:
            del self._counts[share.account.name]
        self._length -= 1


def _order(sequence: Sequence) -> tuple[float, int]:
    return sequence.order


def _size(sequence: Sequence) -> tuple[int, int, tuple[float, int]]:
    return sequence.size
