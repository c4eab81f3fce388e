"""A bucket, held against an obvious one of fractions; clocks that go back; debts."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from undiced.account.bucket import CAPACITY_MOST, Bucket

STEPS = st.lists(st.tuples(st.integers(-5000, 20_000), st.integers(-50, 400)), max_size=40)


@given(st.integers(1, 300), st.sampled_from([1000, 60_000, 3_600_000, 86_400_000]), STEPS)
def test_levels_are_those_of_an_exact_bucket(capacity: int, window_ms: int, steps: list[tuple[int, int]]) -> None:
    """What is taken may be more than there is (a debt) or negative (given back); time may go back."""
    now = latest = 10_000
    bucket, level = Bucket.full(capacity, window_ms, now), Fraction(capacity)
    for passed, amount in steps:
        now += passed
        bucket = bucket.at(now).take(amount)
        level = min(Fraction(capacity), level + Fraction(capacity * max(0, now - latest), window_ms))
        level = min(Fraction(capacity), level - amount)
        latest = max(latest, now)
        assert Fraction(bucket.level, window_ms) == level
        assert bucket.left == max(0, level // 1)
        assert bucket.used == -((level - capacity) // 1)


@given(st.integers(1, 1000), st.integers(1, 86_400_000), st.integers(-2000, 1000), st.integers(1, 1000))
def test_after_the_wait_an_amount_is_there_and_not_a_millisecond_before(
    capacity: int, window_ms: int, level: int, amount: int
) -> None:
    amount, bucket = min(amount, capacity), Bucket(capacity, window_ms, min(level, capacity) * window_ms, 0)
    wait_ms = bucket.wait_ms(amount)
    assert bucket.at(wait_ms).level >= amount * window_ms
    assert wait_ms == 0 or bucket.at(wait_ms - 1).level < amount * window_ms


def test_a_clock_that_jumps_back_refills_nothing_twice() -> None:
    empty = Bucket.full(60, 60_000, 1_000_000).take(60)
    later = empty.at(1_010_000)
    assert later.left == 10
    assert later.at(0) == later
    assert later.at(0).at(1_010_000).left == 10


def test_the_largest_bucket_fits_the_database() -> None:
    full = Bucket.full(CAPACITY_MOST, 86_400_000, 0)
    assert full.level < 2**63
    assert full.take(8 * CAPACITY_MOST).level > -(2**63)
