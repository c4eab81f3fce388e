"""Where the loop gets the time: the machine's clock, or one that only backends move. The two never mix."""

from __future__ import annotations


class VirtualClock:
    """Seconds that a simulated backend has reported; called like `time.perf_counter`."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
