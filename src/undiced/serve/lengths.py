"""Lengths: how long answers really are, and so when the next one is likely to end. Counts tokens; knows no clock.

What is left of an answer is judged by the last ones that got as far; of one that is longer than all of those it is
assumed that as much comes again. A limit is believed only as a limit: most answers end long before theirs.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEPT = 64  # answers that are remembered
_USUAL = 128.0  # tokens that an answer is likely to have left while nothing is known; ours
_DOUBT = 0.5  # answers that this guess counts for beside those that were seen
_LOOKED_AT = 32  # running ones that are looked at; of more a fair part
_STEPS_A_DOUBLING = 6


class Lengths:
    """The lengths of the last answers that ended, in generated tokens."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []

    def add(self, tokens: int) -> None:
        """An answer has ended, for whatever reason: its place is free."""
        if len(self._recent) == _KEPT:
            oldest = self._recent.popleft()
            del self._sorted[bisect_right(self._sorted, oldest) - 1]
        self._recent.append(tokens)
        insort(self._sorted, tokens)

    def until_next(self, running: Sequence[tuple[int, int]]) -> float:
        """Tokens that each of the running answers is likely to get before the first of them ends.

        Args:
            running: of each (tokens so far, most that may follow); at least one.
        """
        seen = running[:: -(-len(running) // _LOOKED_AT)]
        share = len(running) / len(seen)
        most = min(left for _, left in running)
        expected, at = 0.0, 0.0
        while at < most:
            wide = max(1.0, at) * (2 ** (1 / _STEPS_A_DOUBLING) - 1)
            wide = min(wide, most - at)
            alive = math.prod(self._longer(done, at + wide / 2) for done, _ in seen) ** share
            expected += wide * alive
            if alive < 1e-3:
                break
            at += wide
        return expected

    def _longer(self, done: int, more: float) -> float:
        """How likely an answer of `done` tokens gets `more` than that."""
        guess = math.exp(-more / max(done, _USUAL))
        as_far = len(self._sorted) - bisect_right(self._sorted, done)
        further = len(self._sorted) - bisect_right(self._sorted, done + more)
        return (further + _DOUBT * guess) / (as_far + _DOUBT)
