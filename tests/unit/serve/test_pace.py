"""What a step may take on of prompts, by what steps cost before."""

from __future__ import annotations

import pytest

from undiced.serve.pace import Pacer
from undiced.serve.policy import Policy

POLICY = Policy(stall_s=0.05, min_chunk=32, prompt_rows=2, turn_s=0.15, min_turn=64)
TOKEN_S = 0.001


def pacer(*steps: tuple[int, int]) -> Pacer:
    """After steps of (decodes, prompt tokens) on a machine where every row costs as much."""
    made = Pacer(POLICY)
    for decodes, prompt_tokens in steps:
        made.observe(decodes, prompt_tokens, TOKEN_S * (decodes + prompt_tokens))
    return made


def test_until_a_cost_is_known_a_prompt_gets_all_there_is() -> None:
    assert pacer().chunk(256, 4) == pacer((4, 0)).chunk(256, 4) == 256


def test_a_prompt_lengthens_the_steps_of_others_by_no_more_than_the_policy_says() -> None:
    assert pacer((0, 100)).chunk(256, 1) == pytest.approx(50, abs=1)


@pytest.mark.parametrize("decodes", [1, 16, 32])
def test_rows_that_decode_in_the_same_steps_do_not_make_a_prompt_s_tokens_look_dear(decodes: int) -> None:
    mixed = pacer(*[(decodes, 20)] * 50)
    assert mixed.turn(1000) == pytest.approx(150, abs=1)


def test_many_that_decode_leave_as_much_for_each_prompt_that_came_with_them() -> None:
    assert [pacer((0, 100)).chunk(256, decodes) for decodes in (8, 32, 64)] == [
        pytest.approx(50, abs=1), 64, 128
    ]  # fmt: skip
    assert pacer((0, 100)).chunk(40, 32) == 40
