"""Every field of every endpoint against every kind of bad value, and every endpoint against any call: no 5xx, always an
answer, and the next good request is answered as the first one was.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undiced.api.anthropic.schemas import MessagesBody
from undiced.api.field_table import TABLE
from undiced.api.responses.schemas import ResponseBody
from undiced.api.schemas import ChatBody, CompletionBody

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))
from scripted import build_caller

CALLER = build_caller(text="ok", context=200)
CHAT, TEXT, MESSAGE, COUNT = "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/messages/count_tokens"
RESPONSE, LENGTH = "/v1/responses", "/v1/responses/input_tokens"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
GOOD = {
    CHAT: ASK,
    MESSAGE: {**ASK, "max_tokens": 90},
    TEXT: {"model": "m", "prompt": "hi"},
    RESPONSE: {"model": "m", "input": "hi"},
}
FIELDS = [(CHAT, name) for name in ChatBody.__struct_fields__]
FIELDS += [(TEXT, name) for name in CompletionBody.__struct_fields__]
FIELDS += [(MESSAGE, name) for name in MessagesBody.__struct_fields__]
FIELDS += [(RESPONSE, name) for name in ResponseBody.__struct_fields__]
OTHERS = sorted({line.name for line in TABLE[""]} - {name for _, name in FIELDS})[::10]  # test_fields has them all
FIELDS += [(path, name) for path in (CHAT, TEXT, MESSAGE, RESPONSE) for name in OTHERS]
DEEP = 100_000
NASTY = {  # as it stands in the JSON
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus": "-1",
    "fraction": "0.5",
    "32 bits": str(2**31),
    "63 bits": str(2**63),
    "64 bits": str(2**64 - 1),
    "more": str(2**64),
    "giant": "1" + "0" * 400,
    "below": "-1" + "0" * 400,
    "huge float": "1e308",
    "overflow": "1e999",
    "nan": "NaN",
    "infinity": "-Infinity",
    "hex": "0x10",
    "empty text": '""',
    "text": '"x"',
    "number as text": '"1"',
    "nul": '"\\u0000"',
    "high surrogate": '"\\ud800"',
    "low surrogate": '"\\udc00"',
    "surrogates in the wrong order": '"\\udc00\\ud800"',
    "long text": '"' + "x" * 100_000 + '"',
    "empty list": "[]",
    "list of null": "[null]",
    "list of lists": "[[[1]]]",
    "mixed list": '[1,"a",null,{},[]]',
    "long list": "[" + ",".join(["1"] * 10_000) + "]",
    "empty object": "{}",
    "object": '{"type":"x","role":5,"content":{}}',
    "bias": '{"-1":1,"1e3":2,"x":3,"99999999999":4}',
    "repeated key": '{"a":1,"a":2}',
    "deep list": "[" * DEEP + "]" * DEEP,
    "deep object": '{"a":' * DEEP + "1" + "}" * DEEP,
    "unclosed": "[" * DEEP,
    "overlong": b'"\xc0\xaf"',
    "invalid": b'"\xff\xfe"',
    "cut": b'"\xe2\x82"',
    "encoded surrogate": b'"\xed\xa0\x80"',
    "beyond": b'"\xf4\x90\x80\x80"',
}
ANSWERED = (200, 400, 404, 405, 408, 413, 415, 431)
QUIET = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def answer_of(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
    reply = CALLER(method, path, body, headers)
    assert reply.status in ANSWERED, reply.body[:500]
    if reply.status != 200:
        error = reply.json["error"]
        assert error["message"] and error["type"] and len(error["message"]) < 1000
        if path in (MESSAGE, COUNT):
            assert reply.json["type"] == "error" and reply.json["request_id"]
        else:
            assert error["code"] and reply.json["status_code"] == reply.status
    CALLER.engine.submitted.clear()
    return reply.status


@pytest.fixture(autouse=True)
def still_serves():
    """After each test a good request gets what it always gets."""
    yield
    for path, body in GOOD.items():
        reply = CALLER.post(path, body)
        said = reply.json[{MESSAGE: "content", RESPONSE: "output"}.get(path, "choices")][0]
        assert reply.status == 200 and "ok" in str(said)
    assert not CALLER.service.running and not CALLER.deployment.prompts._waiting


@pytest.mark.parametrize("nasty", NASTY)
def test_every_field_takes_or_refuses_every_value(nasty):
    for path, name in FIELDS:
        body = {**GOOD[path]}
        body.pop(name, None)
        members = json.dumps(body).encode()[1:-1]
        field = json.dumps(name).encode() + b":" + raw(NASTY[nasty])
        answer_of("POST", path, b"{" + members + (b"," if members else b"") + field + b"}")


@pytest.mark.parametrize("nasty", NASTY)
def test_nested_fields_and_keys_take_or_refuse_every_value(nasty):
    value = raw(NASTY[nasty])
    messages = [
        b'{"role":%b,"content":"x"}',
        b'{"role":"user","content":%b}',
        b'{"role":"user","content":[{"type":"text","text":%b}]}',
        b'{"role":"user","content":[{"type":%b,"text":"x"}]}',
        b'{"role":"user","content":[%b]}',
        b'{"role":"user","content":"x","name":%b}',
        b'{"role":"user","content":"x","what":%b}',
        b'{"role":"tool","content":"x","tool_call_id":%b}',
        b'{"role":"assistant","reasoning":%b,"content":"x"}',
        b'{"role":"assistant","tool_calls":%b}',
        b'{"role":"assistant","tool_calls":[{"id":%b,"function":{"name":"f"}}]}',
        b'{"role":"assistant","tool_calls":[{"function":{"name":%b,"arguments":"{}"}}]}',
        b'{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":%b}}]}',
        b"%b",
    ]
    for message in messages:
        answer_of("POST", CHAT, b'{"model":"m","messages":[' + message % value + b"]}")
    for member in (
        b'"stream":true,"stream_options":{"include_usage":%b}',
        b'"stream":true,"stream_options":{"continuous_usage_stats":%b}',
        b'"response_format":{"type":%b}',
        b'"logit_bias":{"1":%b}',
        b'"stop":[%b]',
        b'"stop_token_ids":[%b]',
        b'"tools":[{"type":%b}],"tool_choice":"none"',
        b'"tool_choice":{"type":%b}',
        b'"modalities":[%b]',
        b"%b:1",
    ):
        answer_of("POST", CHAT, json.dumps(GOOD[CHAT]).encode()[:-1] + b"," + member % value + b"}")
    answer_of("POST", TEXT, b'{"model":"m","prompt":[' + value + b',"x"]}')
    answer_of("POST", TEXT, b'{"model":"m","prompt":[[' + value + b"]]}")


@pytest.mark.parametrize("nasty", NASTY)
def test_nested_members_of_a_message_take_or_refuse_every_value(nasty):
    value = raw(NASTY[nasty])
    for role, block in (
        (b"user", b"%b"),
        (b"user", b'{"type":%b}'),
        (b"user", b'{"type":"text","text":%b}'),
        (b"user", b'{"type":"text","text":"x","cache_control":%b}'),
        (b"user", b'{"type":"image","source":%b}'),
        (b"user", b'{"type":"tool_result","tool_use_id":%b}'),
        (b"user", b'{"type":"tool_result","tool_use_id":"1","content":%b}'),
        (b"user", b'{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":%b}]}'),
        (b"user", b'{"type":"tool_result","tool_use_id":"1","content":[%b],"is_error":true}'),
        (b"assistant", b'{"type":"thinking","thinking":%b}'),
        (b"assistant", b'{"type":"thinking","thinking":"","signature":%b}'),
        (b"assistant", b'{"type":"redacted_thinking","data":%b}'),
        (b"assistant", b'{"type":"tool_use","id":%b,"name":"f","input":{}}'),
        (b"assistant", b'{"type":"tool_use","id":"1","name":"f","input":%b}'),
        (b"system", b'{"type":"text","text":%b}'),
    ):
        turn = b'{"role":"%b","content":[%b]}' % (role, block % value)
        answer_of("POST", COUNT, b'{"messages":[{"role":"user","content":"x"},' + turn + b"]}")
    for member in (
        b'"messages":[{"role":%b,"content":"x"}]',
        b'"system":[{"type":"text","text":%b}]',
        b'"tools":[{"name":%b,"input_schema":{}}]',
        b'"tools":[{"type":%b,"name":"f","input_schema":{}}],"tool_choice":{"type":"none"}',
        b'"tools":[{"name":"f","input_schema":%b}]',
        b'"tool_choice":{"type":%b}',
        b'"tool_choice":{"type":"tool","name":%b}',
        b'"tool_choice":{"type":"auto","disable_parallel_tool_use":%b}',
        b'"thinking":{"type":%b}',
        b'"thinking":{"type":"enabled","budget_tokens":%b}',
        b'"thinking":{"type":"adaptive","display":%b}',
        b'"output_config":{"effort":%b}',
        b'"output_config":{"format":{"type":%b}}',
        b'"output_config":{"format":{"type":"json_schema","schema":%b}}',
        b'"stop_sequences":[%b]',
    ):
        good = (
            b'"max_tokens":9'
            if b'"messages"' in member
            else b'"max_tokens":9,"messages":[{"role":"user","content":"x"}]'
        )
        answer_of("POST", MESSAGE, b"{" + good + b"," + member % value + b"}")


@pytest.mark.parametrize("nasty", NASTY)
def test_items_and_tools_of_a_response_take_or_refuse_every_value(nasty):
    value = raw(NASTY[nasty])
    call, result = (
        b'{"type":"function_call","call_id":"1","name":"f"}',
        b'{"call_id":"1","type":"function_call_output",',
    )
    for item in (
        b"%b",
        b'{"type":%b}',
        b'{"role":%b,"content":"x"}',
        b'{"role":"user","content":%b}',
        b'{"role":"user","content":[{"type":%b,"text":"x"}]}',
        b'{"role":"developer","content":[{"type":"input_text","text":%b}]}',
        b'{"role":"assistant","content":[{"type":"refusal","refusal":%b}]}',
        b'{"role":"user","content":"x","what":%b}',
        b'{"type":"reasoning","summary":%b}',
        b'{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":%b}]}',
        b'{"type":"function_call","call_id":%b,"name":"f"}',
        b'{"type":"function_call","call_id":"1","name":"f","namespace":%b}',
        b'{"type":"function_call","call_id":"1","name":"f","arguments":%b},' + result + b'"output":"4"}',
        b'{"type":"custom_tool_call","call_id":"1","name":"f","input":%b},' + result + b'"output":"4"}',
        call + b"," + result + b'"output":%b}',
        call + b"," + result + b'"output":[{"type":"input_text","text":%b}]}',
        b'{"type":"additional_tools","tools":%b}',
        b'{"type":"web_search_call","action":%b}',
        b"{%b:1}",
    ):
        answer_of("POST", LENGTH, b'{"input":[{"role":"user","content":"x"},' + item % value + b"]}")
    for member in (
        b'"tools":[%b]',
        b'"tools":[{"type":%b}]',
        b'"tools":[{"type":"function","name":"f","parameters":%b}],"tool_choice":"none"',
        b'"tools":[{"type":"custom","name":"f","format":%b}],"tool_choice":"none"',
        b'"tools":[{"type":"custom","name":"f","format":{"type":"grammar","syntax":"lark","definition":%b}}]',
        b'"tools":[{"type":"namespace","name":%b,"tools":[]}]',
        b'"tools":[{"type":"namespace","name":"n","tools":[%b]}]',
        b'"tool_choice":{"type":%b}',
        b'"tool_choice":{"type":"allowed_tools","tools":[%b]}',
        b'"text":{"format":{"type":%b}}',
        b'"text":{"format":{"type":"json_schema","name":"n","schema":%b}}',
        b'"reasoning":{"effort":%b}',
        b'"include":[%b]',
    ):
        answer_of("POST", RESPONSE, b'{"input":"x",' + member % value + b"}")


@pytest.mark.parametrize("path", [CHAT, TEXT, MESSAGE, COUNT, RESPONSE, LENGTH])
@pytest.mark.parametrize("nasty", NASTY)
def test_no_value_is_a_body_of_its_own(path, nasty):
    assert answer_of("POST", path, raw(NASTY[nasty])) == 400


METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"]
PATHS = st.one_of(
    st.sampled_from(
        [
            CHAT,
            TEXT,
            MESSAGE,
            COUNT,
            RESPONSE,
            LENGTH,
            "/v1/models",
            "/v1/models/m",
            "/v1/tcp_warming",
            "/health",
            "/metrics",
            "/",
        ]
    ),
    st.text(max_size=40).map(lambda text: "/v1/models/" + text),
    st.text(max_size=40).map(lambda text: "/static/" + text),
    st.text(max_size=40).map(lambda text: "/" + text),
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-length", "content-encoding", "content-type", "x-request-id", "accept", "authorization"]),
    st.text(st.characters(max_codepoint=255), max_size=20),
    max_size=4,
)


@QUIET
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"]), PATHS, HEADERS, st.binary(max_size=50)
)
def test_every_endpoint_answers_any_call(method, path, headers, body):
    reply = CALLER(method, path, body, headers)
    assert reply.status in ANSWERED, reply.body[:500]
    assert reply.headers["x-request-id"]


@QUIET
@given(st.data())
def test_any_damage_to_a_gzip_body_is_answered(data):
    body = bytearray(gzip.compress(json.dumps(GOOD[TEXT]).encode(), mtime=0))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    answer_of("POST", TEXT, bytes(body), {"content-encoding": "gzip"})


def test_a_small_body_that_unpacks_to_a_giant_one_is_refused():
    bomb = gzip.compress(b'{"model":"' + b"x" * (64 << 20) + b'"}')
    assert len(bomb) < 1 << 20
    assert answer_of("POST", TEXT, bomb, {"content-encoding": "gzip"}) == 413
