"""Axes hold what they are made of, and their round numbers lie on them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiced.draw.axis import Axis, spelled


@given(st.lists(st.floats(0.01, 1e9), min_size=1, max_size=8), st.booleans(), st.booleans(), st.integers(2, 10))
def test_values_and_ticks_lie_on_the_axis(values, powers, zero, most):
    axis = Axis.of(values, powers=powers, zero=zero and not powers)
    assert all(-1e-9 <= axis.place(value) <= 1 + 1e-9 for value in (*values, *axis.ticks(most)))
    assert len(axis.ticks(most)) <= 2 * most + 1


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (4096, "4,096"), (1200, "1,200"), (2.5e6, "2.5M"), (0.85, "0.85")]
)
def test_round_numbers_are_short(value, words):
    assert spelled(value) == words


def test_equal_ratios_are_equal_distances():
    axis = Axis.of([1024, 4096, 16384], powers=True)
    assert axis.place(4096) == pytest.approx(0.5) and axis.ticks(8) == [1024, 2048, 4096, 8192, 16384]
