"""WaitingQueue: sequences that have not started, one line a priority class. Knows their order and nothing else."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from undiced.serve.request import Priority

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence


class WaitingQueue:
    """First in, first out within a class; among the heads of the classes, the one whose `order` is least."""

    def __init__(self) -> None:
        self._lines: tuple[deque[Sequence], ...] = tuple(deque() for _ in Priority)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, sequence: Sequence) -> None:
        """To the end of its class."""
        self._lines[sequence.request.priority].append(sequence)
        self._length += 1

    def head(self) -> Sequence | None:
        """The next to start, or None."""
        heads = [line[0] for line in self._lines if line]
        return min(heads, key=lambda sequence: sequence.order) if heads else None

    def remove(self, sequence: Sequence) -> None:
        """Take one out, wherever it stands."""
        self._lines[sequence.request.priority].remove(sequence)
        self._length -= 1
