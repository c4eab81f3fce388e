"""Money: integers, one division per request, halves to the even neighbor; held against fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiced.account.money import MILLION, NANOS, PERMILLE, Rates, half_even, nanos_of, see_amount, shown
from undiced.core.errors import InvalidRequestError

RATE = st.integers(0, 10**12)
TOKENS = st.integers(0, 10**7)
FACTOR = st.integers(0, 3000)


@given(st.integers(0, 10**30), st.integers(1, 10**12))
def test_a_division_rounds_as_a_fraction_does(number: int, divisor: int) -> None:
    assert half_even(number, divisor) == round(Fraction(number, divisor))


@given(RATE, RATE, RATE, TOKENS, TOKENS, TOKENS, FACTOR)
def test_a_charge_is_the_exact_sum_rounded_once(
    full: int, cached: int, out: int, prompt: int, hits: int, tokens: int, permille: int
) -> None:
    hits = min(hits, prompt)
    exact = Fraction(((prompt - hits) * full + hits * cached + tokens * out) * permille, MILLION * PERMILLE)
    assert Rates(full, cached, out).charge(prompt, hits, tokens, permille) == round(exact)


@given(RATE, RATE, RATE, TOKENS, st.integers(0, 10**15), FACTOR)
def test_the_longest_answer_that_an_amount_covers_is_covered_and_one_more_is_not(
    full: int, cached: int, out: int, prompt: int, nanos: int, permille: int
) -> None:
    rates = Rates(full, cached, out)
    most = rates.most_output(nanos, prompt, permille)
    if most < 0:
        assert max(Rates(full, cached, out).charge(prompt, hits, 0, permille) for hits in (0, prompt)) >= nanos
        return
    for hits in (0, prompt):
        assert rates.charge(prompt, hits, most, permille) <= nanos
    if out * permille:
        worst = Fraction((prompt * max(full, cached) + (most + 1) * out) * permille, MILLION * PERMILLE)
        assert worst > nanos


def test_half_price_of_an_odd_price_is_exact_per_million_and_rounded_once_per_request() -> None:
    half = Rates(75_000_000, 0, 0)  # $0.075 per million
    assert half.charge(MILLION, 0, 0, 500) == 37_500_000
    assert half.charge(1, 0, 0, 500) == 38  # 37.5, to the even neighbor
    assert half.charge(3, 0, 0, 500) == 112  # 112.5


@pytest.mark.parametrize(
    ("text", "nanos"), [("0.35", 350_000_000), ("25", 25 * NANOS), ("0.000000001", 1), ("999999999", 999999999 * NANOS)]
)
def test_amounts_are_read_exactly(text: str, nanos: int) -> None:
    assert nanos_of(text, "amount") == nanos


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1.0000000001", ".5", "1.", "١", "NaN", "1,5", "1" * 40])
def test_what_is_no_amount_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        nanos_of(text, "input")
    assert caught.value.param == "input"


@pytest.mark.parametrize("nanos", [-1, 0, (1 << 60) + 1, 1 << 80])
def test_an_amount_that_there_is_no_room_for_is_told_the_most(nanos: int) -> None:
    see_amount(1)
    see_amount(1 << 60)
    with pytest.raises(InvalidRequestError, match="more than 0, up to 1,152,921,504 of"):
        see_amount(nanos)


@given(st.integers(0, 10**17))
def test_what_is_shown_says_all_of_an_amount(nanos: int) -> None:
    assert round(Fraction(shown(nanos)) * NANOS) == nanos
    assert shown(-nanos - 1) == "-" + shown(nanos + 1)
