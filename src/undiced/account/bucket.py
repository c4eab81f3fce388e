"""A token bucket with continuous refill, in integers. Knows no tables and reads no clock.

The level is in units of 1 / window of a token (a window in milliseconds): a bucket of `capacity` per window gains
exactly `capacity` units each millisecond, so no refill is ever rounded. The level may be negative: a stream that runs
longer than was foreseen goes into debt and is not cut.
"""

from __future__ import annotations

from dataclasses import dataclass

_DEBT_MOST = 1 << 62  # units
CAPACITY_MOST = 10**10  # times a day in milliseconds it fits a signed 64-bit integer


@dataclass(frozen=True, slots=True)
class Bucket:
    """See the file's head.

    Attributes:
        capacity: tokens when it is full, and what it gains per window. window_ms: its window.
        level: units, as of `updated_ms`.
    """

    capacity: int
    window_ms: int
    level: int
    updated_ms: int

    @classmethod
    def full(cls, capacity: int, window_ms: int, now_ms: int) -> Bucket:
        """One that nobody has taken from."""
        return cls(capacity, window_ms, capacity * window_ms, now_ms)

    def at(self, now_ms: int) -> Bucket:
        """The same bucket later; a clock that went back adds nothing, now or when it has caught up."""
        if now_ms <= self.updated_ms:
            return self
        level = min(self.capacity * self.window_ms, self.level + self.capacity * (now_ms - self.updated_ms))
        return Bucket(self.capacity, self.window_ms, level, now_ms)

    def take(self, amount: int) -> Bucket:
        """After an amount was taken, whether it was there or not; a negative one is given back, up to full."""
        level = min(self.capacity * self.window_ms, self.level - amount * self.window_ms)
        return Bucket(self.capacity, self.window_ms, max(level, -_DEBT_MOST), self.updated_ms)

    @property
    def left(self) -> int:
        """Whole tokens that can be taken; none in debt."""
        return max(0, self.level // self.window_ms)

    @property
    def used(self) -> int:
        """Tokens that are missing to a full one, rounded up; more than `capacity` in debt."""
        return -((self.level - self.capacity * self.window_ms) // self.window_ms)

    def wait_ms(self, amount: int) -> int:
        """Milliseconds until an amount can be taken; 0 if it can be now."""
        lacks = amount * self.window_ms - self.level
        return max(0, -(-lacks // self.capacity))
