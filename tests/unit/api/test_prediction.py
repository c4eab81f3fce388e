"""A text that the client expects: it reaches the engine as tokens, and what came of it stands in the usage."""

from __future__ import annotations

import pytest

EXPECTED = {"type": "content", "content": "abc"}


@pytest.mark.parametrize("content", ["abc", [{"type": "text", "text": "a"}, {"type": "text", "text": "bc"}]])
def test_what_a_chat_expects_reaches_every_choice_as_tokens(make, content):
    caller = make(text="abd")
    assert caller.chat(prediction={"type": "content", "content": content}, n=2).status == 200
    assert [request.expected for request in caller.engine.submitted] == [tuple(b"abc")] * 2
    assert caller.chat().status == 200
    assert caller.engine.submitted[-1].expected == ()


def test_texts_are_expected_too_for_every_prompt(make):
    caller = make(text="abd")
    assert caller.complete(prompt=["x", "y"], prediction=EXPECTED).status == 200
    assert [request.expected for request in caller.engine.submitted] == [tuple(b"abc")] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_the_usage_says_what_came_of_it(make, stream):
    caller = make(text="abd", foretold=(5, 3))
    reply = caller.chat(prediction=EXPECTED, stream=stream)
    usage = reply.events[-2]["usage"] if stream else reply.json["usage"]
    assert usage["completion_tokens_details"] == {
        "reasoning_tokens": 0, "accepted_prediction_tokens": 3, "rejected_prediction_tokens": 2,
    }  # fmt: skip
    assert usage["completion_tokens"] == 4, "what was guessed wrongly is nobody's"
    text = caller("GET", "/metrics").body.decode()
    assert 'undiced_drafted_tokens_total{model="m",source="lookup"} 5.0' in text
    assert 'undiced_accepted_draft_tokens_total{model="m",source="lookup"} 3.0' in text
    assert 'undiced_drafted_tokens_total{model="m",source="draft"} 0.0' in text


@pytest.mark.parametrize(
    ("prediction", "param"),
    [
        ({"type": "image", "content": "x"}, "prediction.type"),
        ({"type": "content", "content": [{"type": "image_url"}]}, "prediction.content[0].type"),
        ({"type": "content", "content": 4}, "prediction.content"),
        ({"type": "content"}, "prediction.content"),
        ({"type": "content", "content": "x" * 5000}, "prediction"),
    ],
)  # fmt: skip
def test_what_can_not_be_expected_is_refused_by_its_place(make, prediction, param):
    reply = make().chat(prediction=prediction)
    assert reply.status == 400 and reply.json["error"]["param"] == param


def test_an_empty_text_expects_nothing(make):
    caller = make()
    assert caller.chat(prediction={"type": "content", "content": ""}).status == 200
    assert caller.engine.submitted[0].expected == ()
