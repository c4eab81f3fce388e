"""What followed the same tokens before: against an obvious search of the whole text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from undiced.serve.lookup import LONGEST, Lookup

texts = st.lists(st.integers(0, 3), max_size=60)


def fed(tokens: list[int], expected: tuple[int, ...] = (), prompt: int = 0) -> Lookup:
    lookup = Lookup(expected)
    if prompt:
        lookup.read(tokens[:prompt])
    for token in tokens[prompt:]:
        lookup.follow(token)
    return lookup


def longest(text: list[int]) -> int:
    """How long the longest end of a text is that stands in it before, with a token behind it."""
    found = 0
    for end in range(1, len(text)):
        length = next((n for n in range(end) if text[end - 1 - n] != text[len(text) - 1 - n]), end)
        found = max(found, length)
    return found


def repeated(text: list[int], length: int, guess: int) -> bool:
    """Whether the text's last `length` tokens stand in it before, with this token behind them."""
    at = [end for end in range(length, len(text)) if text[end - length : end] == text[len(text) - length :]]
    return any(text[end] == guess for end in at)


@given(texts, st.integers(0, 60))
def test_the_guess_stands_behind_what_agrees_for_as_long_as_is_said(tokens: list[int], prompt: int) -> None:
    lookup = fed(tokens, prompt=min(prompt, len(tokens)))
    assert len(lookup) == len(tokens)
    if lookup.guess < 0:
        assert lookup.agreed == 0 and not lookup.draft(5)
    else:
        assert 1 <= lookup.agreed <= LONGEST
        assert repeated(tokens, lookup.agreed, lookup.guess)


@given(texts, st.integers(0, 60))
def test_a_pair_that_stood_before_is_found_and_else_a_token(tokens: list[int], prompt: int) -> None:
    lookup, found = fed(tokens, prompt=min(prompt, len(tokens))), longest(tokens)
    assert (lookup.guess >= 0) == (found >= 1)
    assert (lookup.agreed >= 2) == (found >= 2)
    if found == 1:
        assert lookup.guess == tokens[max(at for at in range(1, len(tokens)) if tokens[at - 1] == tokens[-1])]


@given(texts, texts)
def test_a_guess_is_a_token_of_the_text_and_no_border(expected: list[int], tokens: list[int]) -> None:
    """What is expected ends where the sequence's own text begins: neither is drafted over that."""
    lookup = Lookup(tuple(expected))
    lookup.begin()
    for token in tokens:
        draft = lookup.draft(7)
        assert set(draft) <= {*expected, *tokens}
        assert draft[:1] == ([lookup.guess] if lookup.guess >= 0 else [])
        assert bool(draft) == (lookup.agreed > 0)
        assert lookup.foretold or lookup.guess in (-1, *tokens)
        lookup.follow(token)


def test_among_places_with_one_token_the_latest_is_followed_until_two_agree() -> None:
    lookup = fed([1, 2, 3, 4, 1, 5, 6, 1])
    assert (lookup.agreed, lookup.draft(2)) == (1, [5, 6])
    lookup.follow(5)
    assert (lookup.agreed, lookup.draft(2)) == (2, [6, 1])


def test_the_longest_of_the_latest_places_is_followed() -> None:
    assert fed([7, 1, 2, 5, 8, 1, 2, 6, 7, 1, 2]).draft(4) == [5, 8, 1, 2]
    assert fed([8, 1, 2, 5, 8, 1, 2, 6, 8, 1, 2]).draft(4) == [6, 8, 1, 2]  # equally long: the latest


def test_a_text_that_repeats_itself_goes_on_doing_so() -> None:
    assert fed([1, 2, 3, 1, 2, 3, 1, 2]).draft(7) == [3, 1, 2, 3, 1, 2, 3]
    assert fed([4, 4, 4]).draft(3) == [4, 4, 4]


def test_an_expected_text_is_followed_from_its_beginning_and_taken_up_again() -> None:
    lookup = Lookup((1, 2, 3, 4, 5, 6))
    lookup.read([9, 9])
    lookup.begin()
    assert lookup.foretold and lookup.draft(3) == [1, 2, 3]
    for token in (1, 2, 7, 7):
        lookup.follow(token)
    assert not lookup.foretold
    for token in (4, 5):
        lookup.follow(token)
    assert lookup.foretold and lookup.draft(9) == [6]  # not over its end
    lookup.follow(6)
    assert lookup.guess < 0
