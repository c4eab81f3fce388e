"""The one rule of sampling defaults: what is said, else the model's own numbers, else what suits the place."""

from __future__ import annotations

from undiced import SamplingParams
from undiced.core.sampling import PARAMETERS, Parameters
from undiced.core.usual import CHAT, CHAT_TOKENS, chat_numbers, reserved, settled


def test_what_is_said_wins_and_what_is_left_open_is_usual() -> None:
    value = settled(SamplingParams(temperature=0.1, top_k=None), {"temperature": 0.7, "top_k": 5})
    assert (value("temperature"), value("top_k"), value("min_p")) == (0.1, 5, Parameters().min_p)


def test_temperature_0_is_the_likeliest_token_without_a_penalty_that_nobody_asked_for() -> None:
    usual = {"temperature": 0.7, "repetition_penalty": 1.1}
    assert settled(SamplingParams(temperature=0), usual)("repetition_penalty") == 1
    assert settled(SamplingParams(temperature=0, repetition_penalty=1.2), usual)("repetition_penalty") == 1.2
    assert settled(SamplingParams(), usual)("repetition_penalty") == 1.1


def test_a_model_with_numbers_of_its_own_is_taken_at_its_word() -> None:
    assert chat_numbers({"temperature": 0.6}) == {"temperature": 0.6}, "no penalty that it does not want"
    assert chat_numbers({}) == CHAT


def test_the_usual_numbers_are_numbers_that_a_client_might_send() -> None:
    rows = {row.name: row for row in PARAMETERS}
    assert all(number in rows[name].wire for name, number in CHAT.items())


def test_an_answer_is_left_room_but_never_all_of_it() -> None:
    assert reserved(CHAT_TOKENS, 8192) == CHAT_TOKENS
    assert reserved(CHAT_TOKENS, 512) == 256
