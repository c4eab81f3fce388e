"""Scores of prompts: echo with logprobs, in the shape that OpenAI's completions had and evaluation harnesses read."""

from __future__ import annotations

import pytest
from scripted import BOS, EOS, Caller

from undiced.api.settings import Settings


def scored(caller: Caller, stream: bool = False, **fields: object) -> list[dict]:
    """The choices of a request with echo and logprobs, streamed ones joined."""
    reply = caller.complete(**{"echo": True, "logprobs": 1, **fields}, stream=stream)
    assert reply.status == 200, reply.body
    if not stream:
        return reply.json["choices"]
    joined: dict[int, dict] = {}
    for part in (choice for event in reply.events[:-1] for choice in event["choices"]):
        whole = joined.setdefault(part["index"], {"text": "", "logprobs": {}, "index": part["index"]})
        whole["text"] += part["text"]
        for name, values in (part["logprobs"] or {}).items():
            whole["logprobs"].setdefault(name, []).extend(values)
        whole["finish_reason"] = part["finish_reason"]
    return [joined[index] for index in sorted(joined)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompts_tokens_are_scored_from_the_second_on(make, stream):
    (choice,) = scored(make(text="XYZ"), stream, prompt="abc", max_tokens=2)
    rows = choice["logprobs"]
    assert choice["text"] == "abcXY" and choice["finish_reason"] == "length"
    assert rows["tokens"] == ["a", "b", "c", "X", "Y"]
    assert rows["token_logprobs"] == [None, -0.98, -0.99, -0.5, -0.5]
    assert rows["top_logprobs"] == [None, {"b": -0.98}, {"c": -0.99}, {"X": -0.5}, {"Y": -0.5}]
    assert rows["text_offset"] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", ["abc", [97, 98, 99]])
def test_without_a_generated_token_the_prompt_alone_is_scored(make, prompt, stream):
    caller = make()
    (choice,) = scored(caller, stream, prompt=prompt, max_tokens=0)
    assert (choice["text"], choice["finish_reason"]) == ("abc", "length")
    assert choice["logprobs"]["token_logprobs"] == [None, -0.98, -0.99]
    assert caller.engine.submitted[0].max_tokens == 0
    answer = caller.complete(prompt=prompt, max_tokens=0, echo=True).json
    assert (answer["choices"][0]["text"], answer["usage"]["completion_tokens"]) == ("abc", 0)


def test_an_end_token_has_a_row_so_that_rows_are_prompt_and_answer(make):
    answer = make(text="").complete(prompt="abc", max_tokens=1, echo=True, logprobs=1).json
    rows = answer["choices"][0]["logprobs"]
    assert answer["usage"]["completion_tokens"] == 1
    assert rows["tokens"] == ["a", "b", "c", "<eos>"] and rows["text_offset"][-1] == 3
    assert len(rows["token_logprobs"]) == len(rows["top_logprobs"]) == 4


@pytest.mark.parametrize("stream", [False, True])
def test_several_prompts_and_choices_are_scored_each(make, stream):
    prompts = [[97, 98], [99], [100, 101, 102]]
    choices = scored(make(text="Z"), stream, prompt=prompts, max_tokens=1, n=2)
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3, 4, 5]
    assert [choice["text"] for choice in choices] == ["abZ", "abZ", "cZ", "cZ", "defZ", "defZ"]
    assert [len(choice["logprobs"]["tokens"]) for choice in choices] == [3, 3, 2, 2, 4, 4]
    assert all(choice["logprobs"]["token_logprobs"][0] is None for choice in choices)


def test_control_tokens_and_parts_of_characters_have_places_in_the_echoed_text(make):
    caller = make(text="Z")
    (choice,) = scored(caller, prompt=[BOS, *"é!".encode()], max_tokens=1)
    assert choice["text"] == "é!Z"
    assert choice["logprobs"]["tokens"] == ["<bos>", "bytes:\\xc3", "bytes:\\xa9", "!", "Z"]
    assert choice["logprobs"]["text_offset"] == [0, 0, 0, 1, 2]
    (choice,) = scored(caller, prompt=[97, EOS, 98], max_tokens=1, skip_special_tokens=False)
    assert (choice["text"], choice["logprobs"]["text_offset"]) == ("a<eos>bZ", [0, 1, 6, 7])


def test_scores_of_likely_tokens_are_asked_for_and_bounded(make):
    caller = make(settings=Settings(max_scores=40))
    assert caller.complete(prompt="x" * 10, echo=True, logprobs=2).status == 200
    assert [request.prompt_logprobs for request in caller.engine.submitted] == [2]
    reply = caller.complete(prompt=["x" * 5, "y" * 6], echo=True, logprobs=2)
    assert (reply.status, reply.json["error"]["param"]) == (400, "echo")
    assert (
        caller.complete(prompt="x" * 50, echo=True).status == caller.complete(prompt="x" * 50, logprobs=2).status == 200
    )
    assert caller.engine.submitted[-1].prompt_logprobs == -1


def test_another_format_of_models_is_refused(caller):
    for path in ("/v1/models", "/v1/models/m"):
        assert caller("GET", path, query=b"format=default").status == 200
        error = caller("GET", path, query=b"format=openrouter").json["error"]
        assert (error["code"], error["param"]) == ("unsupported", "format")
