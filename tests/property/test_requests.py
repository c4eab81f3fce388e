"""Whatever is sent, the edge answers: never a 5xx, always JSON, and a stream always says how it ended."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undiced.api.field_table import TABLE

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))
from scripted import build_caller

CALLER = build_caller(text="ok", context=200)

FIELDS = sorted({line.name for line in TABLE[""]} - {"model"})
NUMBERS = st.one_of(st.integers(), st.integers(-3, 25), st.floats(allow_nan=False, allow_infinity=False))
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8), st.sampled_from(["none", "text", "auto"]))
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.just("type"), inner, max_size=3)
    ),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "x"])},
        optional={"content": VALUES, "name": LEAVES, "tool_calls": VALUES, "tool_call_id": LEAVES, "reasoning": LEAVES},
    ),
    max_size=3,
)
CHATS = st.fixed_dictionaries({"model": st.just("m"), "messages": MESSAGES}).flatmap(
    lambda body: st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4).map(lambda extra: extra | body)
)
TEXTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4).map(
    lambda extra: {"prompt": "hi"} | extra | {"model": "m"}
)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def answer_of(path: str, body: bytes) -> None:
    reply = CALLER("POST", path, body)
    assert reply.status in (200, 400, 404, 413), reply.body
    assert reply.headers["x-request-id"]
    if reply.status != 200:
        error = json.loads(reply.body)["error"]
        assert error["message"] and error["type"] and error["code"]
        assert len(error["message"]) < 1000
    elif reply.headers["content-type"].startswith("text/event-stream"):
        assert reply.body.endswith(b"data: [DONE]\n\n")
        assert b'"error"' not in reply.body
    else:
        assert json.loads(reply.body)["choices"]
    CALLER.engine.submitted.clear()


@QUIET
@given(CHATS)
def test_any_chat_is_answered(body):
    answer_of("/v1/chat/completions", json.dumps(body).encode())


@QUIET
@given(TEXTS)
def test_any_completion_is_answered(body):
    answer_of("/v1/completions", json.dumps(body).encode())


@QUIET
@given(st.binary(max_size=200), st.sampled_from(["/v1/chat/completions", "/v1/completions"]))
def test_any_bytes_are_answered(body, path):
    answer_of(path, body)


@QUIET
@given(st.data())
def test_any_damage_to_a_good_body_is_answered(data):
    body = bytearray(
        b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stop":["a","b"],"logit_bias":{"5":1},"n":2}'
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    answer_of("/v1/chat/completions", bytes(body))


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=60), st.integers(1, 9), st.lists(st.text(min_size=1, max_size=3), max_size=4))
def test_streams_and_whole_answers_agree_for_any_text_and_stops(text, per_delta, stops):
    async def both():
        fields = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stop": stops, "max_tokens": 90}
        caller = build_caller(text=text, per_delta=per_delta, context=200)
        whole = await caller.call("POST", "/v1/chat/completions", fields)
        streamed = await caller.call("POST", "/v1/chat/completions", fields | {"stream": True})
        return whole.json, streamed.events[:-1]

    whole, events = asyncio.run(both())
    content = whole["choices"][0]["message"]["content"]
    assert content == "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert whole["usage"] == events[-1]["usage"]
    full = text.encode("utf-8", "surrogatepass")[:90].decode("utf-8", "replace")
    at = min((full.find(stop) for stop in stops if stop in full), default=None)
    assert full.startswith(content)
    if at is None and len(text.encode("utf-8", "surrogatepass")) < 90:
        assert content == full
