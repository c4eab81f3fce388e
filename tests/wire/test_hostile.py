"""Every bad value in every field that reaches the engine, against a running server with the real model: it goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "property"))
from test_hostile_requests import ANSWERED, CHAT, NASTY, TEXT, raw

pytestmark = [pytest.mark.wire, pytest.mark.model]
FIELDS = (
    *("prompt", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "stop_token_ids", "logit_bias", "logprobs"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty", "min_tokens", "n", "echo", "cache_salt", "stream"),
)


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made


def answer(client, server):
    body = {"model": server.model, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    reply = client.post(TEXT, json=body)
    assert reply.status_code == 200
    return reply.json()["choices"][0]["text"]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_with_every_value(client, server, field):
    before, seen = answer(client, server), set()
    body = {"model": server.model, "prompt": "Hello", "max_tokens": 2}
    body.pop(field, None)
    start = json.dumps(body).encode()[:-1]
    for value in NASTY.values():
        reply = client.post(TEXT, content=start + b',"' + field.encode() + b'":' + raw(value) + b"}")
        assert reply.status_code in ANSWERED, reply.text[:500]
        assert b'"error"' not in reply.content or reply.status_code != 200, reply.text[:500]
        seen.add(reply.status_code)
    assert 400 in seen, "all of them can't be right"
    assert answer(client, server) == before


def test_a_conversation_with_every_content(client, server):
    before = answer(client, server)
    for value in NASTY.values():
        body = b'{"model":"%b","max_tokens":2,"messages":[{"role":"user","content":%b}]}'
        reply = client.post(CHAT, content=body % (server.model.encode(), raw(value)))
        assert reply.status_code in ANSWERED, reply.text[:500]
    assert answer(client, server) == before
