"""WaitingQueue: sequences that have not started, a line per share, each by age and by size; and the lines of a class
by what their shares were served. Knows their order and nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undiced.serve.sequence import Sequence
    from undiced.serve.shares import Share

_SPARE = 64


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
    """Neither `order` nor `size` nor `share` of a sequence changes while it is in here. What a share was served only
    grows, and by steps of its other sequences alone: so the order of lines by it is put right when it is looked at.
    """

    def __init__(self) -> None:
        self._lines: dict[Share, Line] = {}
        self._by_served: dict[int, list[tuple[int, int, Line]]] = {}  # per class; with what has left, and old counters
        self._serial = count()
        self._counts: dict[str, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, share: Share) -> bool:
        return share in self._lines

    @property
    def lines(self) -> list[Line]:
        """Of every share with sequences in here."""
        return list(self._lines.values())

    @property
    def classes(self) -> list[int]:
        """Of all that are in here, the highest first."""
        return sorted(one for one in self._by_served if self.least(one) is not None)

    def least(self, priority: int) -> Share | None:
        """The share of a class with sequences in here that was served least."""
        line = self._least(priority)
        return None if line is None else line.share

    def by_served(self, priority: int) -> Iterator[Share]:
        """Shares of a class with sequences in here, the one served least first. One that comes back meanwhile is
        told again.
        """
        seen = []
        try:
            while (line := self._least(priority)) is not None:
                seen.append(heappop(self._by_served[priority]))
                yield line.share
        finally:
            for one in seen:
                heappush(self._by_served[priority], one)

    def _least(self, priority: int) -> Line | None:
        """The line at the top of its class, whose place is right."""
        heap = self._by_served.get(priority, [])
        while heap:
            served, serial, line = heap[0]
            if self._lines.get(line.share) is not line:
                heappop(heap)
            elif served != line.share.served:
                heapreplace(heap, (line.share.served, serial, line))
            else:
                return line
        return None

    def _forget(self, heap: list[tuple[int, int, Line]]) -> None:
        """Drop what has left."""
        heap[:] = [one for one in heap if self._lines.get(one[2].share) is one[2]]
        heapify(heap)

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
            heap = self._by_served.setdefault(share.priority, [])
            heappush(heap, (share.served, next(self._serial), line))
            if len(heap) > 2 * len(self._lines) + _SPARE:
                self._forget(heap)
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
