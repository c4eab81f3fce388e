"""The conversation of `undiced chat` around a scripted model: what is left out, what goes on, what is said about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace

import pytest

from undiced import SamplingParams
from undiced.cli.chat import Conversation
from undiced.core.errors import ContextLengthError
from undiced.outputs import Completion

USUAL = SamplingParams(max_tokens=4)
Messages = Sequence[Mapping[str, str]]


class WordModel:
    """A token a word; answers with as many words as it may."""

    context = 20
    config = SimpleNamespace(context=100)

    def __init__(self) -> None:
        self.told: list[list[str]] = []

    def chat_ids(self, messages: Messages, *, resume: bool = False) -> list[int]:
        ids = [0 for message in messages for _ in message["content"].split()]
        if len(ids) > self.context:
            raise ContextLengthError("Too long.")
        return ids

    def stream(
        self, messages: Messages, params: SamplingParams, *, resume: bool = False
    ) -> Iterator[tuple[str, Completion]]:
        self.told.append([message["content"] for message in messages])
        count = params.max_tokens
        assert isinstance(count, int)
        usage = SimpleNamespace(prompt_tokens=len(self.chat_ids(messages)), completion_tokens=count)
        usage.completion_s = usage.queue_s = usage.prompt_s = 1.0
        text = " more" * count if resume else " ".join(["so"] * count)
        answer = Completion(text=text, token_ids=[0] * count, finish_reason="length", usage=usage)  # type: ignore[arg-type]
        yield answer.text, answer


def words(text: str, count: int) -> str:
    return " ".join([text] * count)


@pytest.fixture
def model() -> WordModel:
    return WordModel()


def conversation(model: WordModel, system: str = "", *, as_json: bool = False) -> Conversation:
    return Conversation(model, USUAL, system, as_json=as_json)  # type: ignore[arg-type]


def test_the_oldest_turns_are_left_out_where_the_context_is_full_and_the_system_prompt_stays(model, capsys):
    talk = conversation(model, "be brief")
    for name in "abc":
        talk.take(words(name, 6))
    assert model.told == [
        ["be brief", words("a", 6)],
        ["be brief", words("b", 6)],
        ["be brief", words("c", 6)],
    ], "2 + 6 + 4 for the first turn, and 4 for an answer, leave no room for 6 more"
    assert len(talk.messages) == 6
    said = capsys.readouterr().out
    assert "The context of 20 tokens is full: the 2 oldest messages are left out." in said
    talk.take("/reset")
    assert (talk.left_out, talk.messages) == (0, [])


def test_scripts_are_told_how_many_messages_are_left_out(model, capsys):
    talk = conversation(model, as_json=True)
    for name in "abc":
        talk.take(words(name, 9))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("left_out_messages", 0) for line in lines] == [0, 2, 4]


def test_a_message_longer_than_the_context_is_refused_with_a_remedy_that_is_there(model, capsys):
    talk = conversation(model)
    talk.take(words("x", 30))
    told = capsys.readouterr().err
    assert "alone fills the context of 20 tokens" in told and "--max-context (100 at most" in told
    assert talk.messages == []
    talk.take("x")
    assert len(talk.messages) == 2


def test_a_long_message_is_answered_by_what_fits(model, capsys):
    conversation(model).take(words("x", 18))
    assert "2 tokens; cut: the context is full" in capsys.readouterr().out


def test_a_cut_answer_goes_on_in_its_own_message(model, capsys):
    talk = conversation(model)
    talk.take("/continue")
    assert "There is no cut answer" in capsys.readouterr().out
    talk.take("tell")
    assert "/continue goes on" in capsys.readouterr().out
    talk.take("/continue")
    assert [message["content"] for message in talk.messages] == ["tell", words("so", 4) + " more" * 4]
    assert model.told[-1] == ["tell", words("so", 4)]
