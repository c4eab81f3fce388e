"""Every impossible request gets one clear 4xx that names the field, and the server goes on."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from undiced.api.settings import Settings
from undiced.core.errors import EngineError, QueueFullError, UnavailableError

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]

IMPOSSIBLE = [
    ({"max_tokens": -2}, "max_tokens"),
    ({"max_tokens": 10**30}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    ({"min_tokens": -2}, "min_tokens"),
    ({"min_tokens": 9, "max_tokens": 8}, "min_tokens"),
    ({"n": 0}, "n"),
    ({"n": -1}, "n"),
    ({"n": 17}, "n"),
    ({"n": 10**18}, "n"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": 1.01}, "top_p"),
    ({"min_p": -1}, "min_p"),
    ({"top_k": -2}, "top_k"),
    ({"frequency_penalty": 3}, "frequency_penalty"),
    ({"presence_penalty": -3}, "presence_penalty"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"seed": 2**70}, "seed"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": ""}, "stop"),
    ({"stop": ["a", ""]}, "stop"),
    ({"stop": [1]}, "stop[0]"),
    ({"stop": "x" * 2000}, "stop"),
    ({"cache_salt": "x" * 257}, "cache_salt"),
    ({"cache_salt": 5}, "cache_salt"),
    ({"stop_token_ids": [258]}, "stop_token_ids"),
    ({"stop_token_ids": [-1]}, "stop_token_ids"),
    ({"allowed_token_ids": [258]}, "allowed_token_ids"),
    ({"allowed_token_ids": []}, "allowed_token_ids"),
    ({"logit_bias": {"5": 1, "05": 1}}, "logit_bias"),
    ({"logit_bias": {"1": 101}}, "logit_bias"),
    ({"logit_bias": {"258": 1}}, "logit_bias"),
    ({"logit_bias": {"-1": 1}}, "logit_bias"),
    ({"logit_bias": {"½": 1}}, "logit_bias"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"logit_bias": [1]}, "logit_bias"),
    ({"logit_bias": {str(i): 0 for i in range(2000)}}, "logit_bias"),
    ({"logprobs": 1}, "logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": 3}, "stream_options"),
    ({"stream": "yes"}, "stream"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "king", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [*HI, {"role": "user"}]}, "messages[1].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": HI * 5000}, "messages"),
    ({"messages": [*HI, {"role": "assistant", "content": "x", "refusal": "no"}]}, "messages[1].refusal"),
    ({"messages": [{"role": "user", "refusal": "no"}]}, "messages[0].refusal"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": "x", "reasoning": "y"}]}, "messages[0].reasoning"),
    ({"messages": [{"role": "user", "content": "x", "tool_call_id": "y"}]}, "messages[0].tool_call_id"),
    (
        {"messages": [{"role": "user", "content": "x", "tool_calls": [{"id": "1", "function": {"name": "f"}}]}]},
        "messages[0].tool_calls",
    ),
    (
        {"messages": [*HI, {"role": "assistant", "content": "x", "reasoning": "y", "reasoning_content": "z"}]},
        "messages[1].reasoning_content",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}]}, "messages[0].content[0].type"),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "text", "text": "x", "refusal": "y"}]}, *HI]},
        "messages[0].content[0].refusal",
    ),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "refusal", "text": "x", "refusal": "y"}]}, *HI]},
        "messages[0].content[0].text",
    ),
    ({"logit_bias": {"05": 1, "5": 2}}, "logit_bias"),
    ({"seed": 1e300}, "seed"),
    ({"n": 1.5}, "n"),
    ({"top_k": -0.5}, "top_k"),
    ({"min_tokens": 3, "min_completion_tokens": 4}, "min_tokens"),
    ({"model": 7}, "model"),
]


@pytest.mark.parametrize(("fields", "param"), IMPOSSIBLE, ids=lambda value: str(value)[:40])
def test_impossible_chat_values_are_refused_by_name(caller, fields, param):
    reply = caller.chat(**fields)
    error = reply.json["error"]
    assert (reply.status, error["type"], error["code"], error["param"]) == (
        400,
        "invalid_request_error",
        "wrong_api_format",
        param,
    )
    assert len(error["message"]) < 300
    assert not caller.engine.submitted
    assert caller.chat().status == 200


UNSUPPORTED = [
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"}, "tools"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"return_raw_tokens": True}, "return_raw_tokens"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].image_url",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"text": "x", "file": {}}]}]}, "messages[0].content[0].file"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "x", "function": {"name": "f"}}]}, *HI]},
        "messages[0].tool_calls[0].type",
    ),
    ({"extra_body": {"guided_json": {}}}, "extra_body"),
    ({"guided_decoding": {"json": {}}}, "guided_decoding"),
    ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag"),
    ({"function_call": {"name": "f"}}, "function_call"),
]


@pytest.mark.parametrize(("fields", "param"), UNSUPPORTED, ids=lambda value: str(value)[:40])
def test_what_is_not_served_says_so(caller, fields, param):
    reply = caller.chat(**fields)
    assert (reply.status, reply.json["error"]["code"], reply.json["error"]["param"]) == (400, "unsupported", param)
    assert "supported" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": []}, "prompt", "wrong_api_format"),
        ({"prompt": ""}, "prompt", "wrong_api_format"),
        ({"prompt": [[]]}, "prompt", "wrong_api_format"),
        ({"prompt": None}, "prompt", "wrong_api_format"),
        ({"prompt": ["a", 1]}, "prompt", "wrong_api_format"),
        ({"prompt": [258]}, "prompt", "wrong_api_format"),
        ({"prompt": [[1], [-1]]}, "prompt", "wrong_api_format"),
        ({"prompt": [10**20]}, "prompt", "wrong_api_format"),
        ({"prompt": ["a"] * 129}, "prompt", "wrong_api_format"),
        ({"prompt": ["a"] * 100, "n": 16}, "n", "wrong_api_format"),
        ({"logprobs": 21}, "logprobs", "wrong_api_format"),
        ({"logprobs": True}, "logprobs", "wrong_api_format"),
        ({"best_of": 3}, "best_of", "unsupported"),
        ({"suffix": "x"}, "suffix", "unsupported"),
        ({"grammar_root": "x"}, "grammar_root", "unsupported"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_impossible_completions_are_refused(caller, fields, param, code):
    reply = caller.complete(**fields)
    assert (reply.status, reply.json["error"]["param"], reply.json["error"]["code"]) == (400, param, code)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body is empty"),
        (b" \n", "body is empty"),
        (b"{", "JSON"),
        (b"[]", "expected an object"),
        (b"null", "expected an object"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "UTF-8"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', "JSON"),
        (b'{"a":' * 50_000, "nested"),
        (b'{"model":"m","tools":[{"x":' + b"[" * 50_000, "nested"),
        (b'{"temperature":NaN}', "JSON"),
        (b'{"seed":' + b"9" * 10_000 + b"}", "seed"),
        (b'{"temperature":1e999}', "temperature"),
    ],
)
def test_broken_bodies_are_refused(caller, body, words):
    for path in (CHAT, TEXT):
        reply = caller.post(path, body)
        assert reply.status == 400
        assert words in reply.json["error"]["message"] or "required" in reply.json["error"]["message"]


def test_large_bodies_are_refused_by_header_and_by_count(make):
    caller = make(settings=Settings(max_body_bytes=1000))
    long = [{"role": "user", "content": "x" * 1000}]
    assert caller.chat(messages=long).status == 413
    assert caller.post(CHAT, b"{}", headers={"content-length": "999999999999999999999999"}).status == 413
    reply = caller.chat(messages=long)
    assert reply.json["error"]["code"] == "request_too_large"
    assert "1000 bytes" in reply.json["error"]["message"]


def test_gzip_is_understood_and_bombs_are_not_unpacked(make):
    caller = make(settings=Settings(max_body_bytes=100_000))
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    assert caller.post(CHAT, gzip.compress(body), headers={"content-encoding": "gzip"}).status == 200
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    assert caller.post(CHAT, bomb, headers={"content-encoding": "gzip"}).status == 413
    for broken in (body, gzip.compress(body)[:-12], b""):
        assert caller.post(CHAT, broken, headers={"content-encoding": "gzip"}).status == 400
    assert caller.post(CHAT, body, headers={"content-encoding": "br"}).status == 400


def test_unknown_model_is_a_404_with_the_remedy(caller):
    reply = caller.chat(model="gpt-9")
    assert (reply.status, reply.json["error"]["code"], reply.json["error"]["param"]) == (
        404,
        "model_not_found",
        "model",
    )
    assert "'m'" in reply.json["error"]["message"]


def test_base_model_refuses_chat_and_names_the_way_out(make):
    caller = make(chat=None)
    reply = caller.chat()
    assert (reply.status, reply.json["error"]["code"]) == (400, "no_chat_template")
    assert "/v1/completions" in reply.json["error"]["message"]
    assert caller.complete().status == 200


@pytest.mark.parametrize(
    ("content", "fields", "numbers"),
    [("x" * 200, {}, ("100", "218")), ("x" * 50, {"max_tokens": 60}, ("100", "68", "60"))],
)
def test_context_overflow_says_both_numbers_in_the_words_clients_look_for(make, content, fields, numbers):
    reply = make(context=100).chat(messages=[{"role": "user", "content": content}], **fields)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["type"]) == (400, "context_length_exceeded", "invalid_request_error")
    assert f"this model's maximum context length is {numbers[0]} tokens" in error["message"]
    assert "Please reduce the length of the messages" in error["message"]
    assert all(number in error["message"] for number in numbers)


def test_hopeless_prompts_are_not_tokenized_to_their_end(make):
    caller = make(context=100)
    longest = []
    encode = caller.deployment.tokenizer.encode
    caller.deployment.tokenizer.encode = lambda text, **how: longest.append(len(text)) or encode(text, **how)
    replies = [
        caller.complete(prompt="x" * 1_000_000),
        caller.chat(messages=[{"role": "user", "content": "x" * 1_000_000}]),
    ]
    for reply in replies:
        assert reply.json["error"]["code"] == "context_length_exceeded"
        assert "this model's maximum context length is 100 tokens" in reply.json["error"]["message"]
        assert "but the" in reply.json["error"]["message"] and "came to more than" in reply.json["error"]["message"]
    assert sum(longest) < 100_000


def test_long_prompts_wait_in_a_bounded_line(make):
    caller = make(settings=Settings(inline_chars=10, long_chars=10, max_long_prompts=2), context=5000)

    async def crowd():
        fields = {"model": "m", "prompt": "word " * 100}
        return await asyncio.gather(*(caller.call("POST", TEXT, fields) for _ in range(5)))

    replies = asyncio.run(crowd())
    assert sorted(reply.status for reply in replies) == [200, 200, 429, 429, 429]
    assert all(reply.headers["retry-after"] == "2" for reply in replies if reply.status == 429)


def test_full_queue_is_a_429_that_says_when(make):
    for wait_s, told in ((0.2, "1"), (7.5, "8"), (500, "60")):
        for stream in (False, True):
            reply = make(error=QueueFullError("The queue is full.", retry_after_s=wait_s)).chat(stream=stream)
            assert (reply.status, reply.json["error"]["code"], reply.headers["retry-after"]) == (
                429,
                "queue_exceeded",
                told,
            )
            assert reply.json["error"]["type"] == "too_many_requests_error"


def test_unavailable_engine_is_a_503_that_says_when(make):
    for n in (1, 3):
        reply = make(error=UnavailableError("The engine restarts.")).chat(n=n)
        assert (reply.status, reply.json["error"]["code"], reply.headers["retry-after"]) == (
            503,
            "service_unavailable",
            "5",
        )


def test_draining_refuses_new_requests_and_fails_health(caller):
    caller.service.state = "draining"
    assert caller.chat().status == 503
    assert caller.complete().headers["retry-after"] == "5"
    assert caller("GET", "/health").status == 503
    assert caller("GET", "/v1/models").status == 200


@pytest.mark.parametrize("n", [1, 2])
def test_engine_failure_before_the_first_token_is_an_http_error(make, n):
    reply = make(error=EngineError("It broke."), fail_at=0).chat(stream=True, n=n)
    assert (reply.status, reply.json["error"]["code"]) == (500, "engine_failure")


def test_a_bug_is_a_500_without_details(make, caplog):
    caller = make()
    caller.deployment.tokenizer.eos_ids = None
    reply = caller.chat()
    assert (reply.status, reply.json["error"]["code"]) == (500, "engine_failure")
    assert "TypeError" not in reply.body.decode()
    assert reply.headers["x-request-id"] in caplog.text


def test_unknown_paths_and_methods_answer_in_json(caller):
    assert (caller("GET", "/v1/nothing").status, caller("GET", "/v1/nothing").json["error"]["code"]) == (
        404,
        "not_found",
    )
    reply = caller("GET", CHAT)
    assert (reply.status, reply.json["error"]["code"], reply.headers["allow"]) == (405, "method_not_allowed", "POST")
