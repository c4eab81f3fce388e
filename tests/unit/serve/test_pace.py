"""What a step of prompts alone takes on: as long as a turn, and a little longer where that saves a step."""

from __future__ import annotations

import pytest

from undiced.serve.pace import Pacer
from undiced.serve.policy import Policy


def learned(multiple: int = 1) -> Pacer:
    """One that has learned that a prompt's token takes a millisecond: a turn is 100 of them."""
    pacer = Pacer(Policy(turn_s=0.1, min_turn=16), multiple)
    for tokens in (20, 40, 80) * 20:
        pacer.observe(0, tokens, tokens / 1000)
    return pacer


@pytest.fixture
def pacer() -> Pacer:
    return learned()


def pieces(pacer: Pacer, left: int, most: int = 256) -> list[int]:
    found = []
    while left:
        found.append(min(left, pacer.turn(most, left)))
        left -= found[-1]
    return found


def test_a_prompt_alone_is_read_in_even_pieces_that_save_a_step(pacer: Pacer) -> None:
    assert pacer.turn(256) == pytest.approx(100, abs=1)
    turn = pacer.turn(256)
    assert pieces(pacer, 2 * turn + 20) == [turn + 10, turn + 10]
    assert pieces(pacer, turn + 5) == [turn + 5]
    assert pieces(pacer, 4 * turn) == [turn] * 4


def test_pieces_stay_as_they_are_where_no_step_is_saved(pacer: Pacer) -> None:
    turn = pacer.turn(256)
    assert pieces(pacer, turn + turn // 2) == [turn, turn // 2]
    assert pieces(pacer, 2 * turn + 40) == [turn, turn, 40]
    assert pieces(pacer, 2 * turn + 4, most=turn + 1) == [turn, turn, 4], "no step takes more than the engine"
    assert pacer.turn(256, left=0) == turn


def test_pieces_are_multiples_of_what_is_read_fastest_and_leave_no_crumbs() -> None:
    pacer = learned(multiple=32)
    assert pieces(pacer, 392) == [96, 96, 96, 104], "what a turn and an eighth has room for comes at once"
    assert pieces(pacer, 192 + 96) == [96, 96, 96]
    assert pieces(pacer, 96 + 8) == [104]
    assert pieces(pacer, 2 * 96 + 8) == [96, 104]
    assert pieces(pacer, 3 * 96 + 10, most=96) == [96, 96, 64, 42], "not 10 for themselves"
    assert pieces(pacer, 128, most=31) == [31, 31, 31, 31, 4], "the engine takes fewer: as ever"


def test_a_turn_that_is_shorter_than_the_multiple_is_as_ever() -> None:
    coarse, fine = learned(multiple=512), learned()
    assert [coarse.turn(256, left) for left in (0, 50, 150, 230)] == [
        fine.turn(256, left) for left in (0, 50, 150, 230)
    ]
