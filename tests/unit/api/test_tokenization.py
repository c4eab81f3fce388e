"""Token ids of texts and back, and the length of conversations."""

from __future__ import annotations

import pytest


def test_texts_become_ids_and_ids_texts(caller):
    told = caller.post("/v1/tokenize", {"prompt": "héllo", "return_token_strs": True}).json
    assert told["tokens"] == list("héllo".encode()) and told["count"] == 6 and told["max_model_len"] == 1000
    assert told["token_strs"][0] == "h"
    assert caller.post("/v1/detokenize", {"model": "m", "tokens": told["tokens"]}).json == {"prompt": "héllo"}
    assert caller.post("/v1/detokenize", {"tokens": [104, 256]}).json == {"prompt": "h"}
    assert (
        caller.post("/v1/detokenize", {"tokens": [104, 256], "skip_special_tokens": False}).json["prompt"] == "h<eos>"
    )


@pytest.mark.parametrize("text", ["a word, " * 20_000, "x" * 300_000, "long"])
def test_texts_of_any_length_are_counted(caller, text):
    """The context is 1,000."""
    told = caller.post("/v1/tokenize", {"prompt": text}).json
    assert told["count"] == len(text) and told["tokens"] == list(text.encode())


def test_a_conversation_is_as_long_as_its_prompt(caller):
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    count = caller.post("/v1/chat/completions/input_tokens", body).json["input_tokens"]
    assert count == caller.post("/v1/chat/completions", body).json["usage"]["prompt_tokens"] == 20


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("tokenize", {}, "prompt"),
        ("tokenize", {"prompt": 3}, "prompt"),
        ("tokenize", {"prompt": "x", "model": "other"}, "model"),
        ("tokenize", {"prompt": "x", "messages": []}, "messages"),
        ("detokenize", {"tokens": [-1]}, "tokens"),
        ("detokenize", {"tokens": [999]}, "tokens"),
        ("detokenize", {"tokens": [1] * 1_001}, "tokens"),
        ("chat/completions/input_tokens", {"messages": []}, "messages"),
        ("chat/completions/input_tokens", {"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ],
)
def test_what_can_not_be_is_refused(caller, path, body, param):
    reply = caller.post(f"/v1/{path}", body)
    assert reply.status in (400, 404) and reply.json["error"]["param"] == param
    assert not caller.engine.submitted
