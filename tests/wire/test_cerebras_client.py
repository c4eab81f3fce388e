"""The official cerebras-cloud-sdk client against a running server with a real model. Its base URL has no /v1."""

from __future__ import annotations

import json
import time

import cerebras.cloud.sdk as sdk
import httpx
import pytest
from cerebras.cloud.sdk.types.chat.chat_completion import ChatChunkResponse, ChatCompletionResponse, ErrorChunkResponse
from cerebras.cloud.sdk.types.completion import CompletionResponse

pytestmark = [pytest.mark.wire, pytest.mark.model]
ASK = [{"role": "user", "content": "Name three animals."}]
ALWAYS = ("id", "created", "model", "object", "system_fingerprint")


@pytest.fixture
def client(server):
    with sdk.Cerebras(base_url=server.url, api_key="none", max_retries=0) as made:
        yield made


def data_lines(server, path, **fields):
    """The JSON of each event, as it went over the wire."""
    body = {"model": server.model, "stream": True, "max_tokens": 6, **fields}
    with httpx.stream("POST", f"{server.v1}{path}", json=body, timeout=60) as response:
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def test_construction_warms_the_connection_at_once(server):
    began = time.perf_counter()
    for _ in range(3):
        sdk.Cerebras(base_url=server.url, api_key="none").close()
    assert time.perf_counter() - began < 2


def test_whole_answers_have_the_types_of_the_client(server, client):
    answer = client.chat.completions.create(model=server.model, messages=ASK, max_completion_tokens=12, temperature=0)
    assert isinstance(answer, ChatCompletionResponse)
    ChatCompletionResponse.model_validate(json.loads(answer.model_dump_json()), strict=True)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    times = answer.time_info
    assert times.total_time == pytest.approx(times.queue_time + times.prompt_time + times.completion_time)
    assert times.completion_time > 0 and times.prompt_time > 0 and times.queue_time >= 0
    assert abs(times.created - time.time()) < 60


def test_streamed_chunks_are_built_as_chunks(server, client):
    chunks = list(client.chat.completions.create(model=server.model, messages=ASK, max_tokens=12, stream=True))
    for chunk in chunks:
        assert type(chunk) is ChatChunkResponse
        assert all(getattr(chunk, name) is not None for name in ALWAYS)
        assert not isinstance(chunk.choices[0].delta, dict)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    last = chunks[-1]
    assert last.choices[0].finish_reason in ("stop", "length")
    assert last.usage.completion_tokens > 0
    assert last.time_info.total_time > 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 2},
        {"logprobs": True, "top_logprobs": 2},
        {"logprobs": True},
        {"stop": ["a", "e"]},
        {"stream_options": {"include_usage": True}},
        {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    ],
    ids=str,
)
def test_every_chat_chunk_passes_strict_validation(server, fields):
    for event in data_lines(server, "/chat/completions", messages=ASK, **fields):
        ChatChunkResponse.model_validate(event, strict=True)
        assert all(event[name] is not None for name in ALWAYS)


@pytest.mark.parametrize("fields", [{}, {"n": 2}, {"logprobs": 2}, {"echo": True}, {"stop": "e"}], ids=str)
def test_every_completion_chunk_passes_strict_validation(server, fields):
    for event in data_lines(server, "/completions", prompt="The sea is", **fields):
        CompletionResponse.model_validate(event, strict=True)
        assert all(event[name] is not None for name in ALWAYS)


def test_clients_that_read_choices_blindly_survive(server):
    for event in data_lines(server, "/chat/completions", messages=ASK, seed=None, max_completion_tokens=None):
        assert event["choices"][0]["delta"] is not None


def test_text_completions(server, client):
    answer = client.completions.create(model=server.model, prompt="The sea is", max_tokens=5, temperature=0)
    assert isinstance(answer, CompletionResponse)
    chunks = list(
        client.completions.create(model=server.model, prompt="The sea is", max_tokens=5, temperature=0, stream=True)
    )
    assert all(type(chunk) is CompletionResponse for chunk in chunks)
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


def test_what_is_not_served_is_refused_by_name_and_what_is_harmless_passes(server, client):
    fields = {"model": server.model, "messages": ASK, "max_tokens": 2}
    for refused in ({"reasoning_effort": "high"}, {"model_parameters": {"a": 1}}):
        with pytest.raises(sdk.BadRequestError) as refusal:
            client.chat.completions.create(**fields, **refused)
        assert next(iter(refused)) in str(refusal.value)
    assert client.chat.completions.create(**fields, reasoning_format="parsed", clear_thinking=True).choices
    harmless = {"service_tier": "flex", "prompt_cache_key": "x", "user": "me", "parallel_tool_calls": False}
    assert client.chat.completions.create(**fields, **harmless, prediction={"type": "content", "content": "x"}).choices
    with pytest.raises(sdk.BadRequestError):
        client.completions.create(model=server.model, prompt="a", grammar_root="root")


def test_scores_of_prompts(server, client):
    answer = client.completions.create(model=server.model, prompt="The sea is", max_tokens=0, echo=True, logprobs=1)
    assert isinstance(answer, CompletionResponse)
    assert answer.choices[0].text == "The sea is" and len(answer.choices[0].logprobs.token_logprobs) == 3


def test_models(server, client):
    assert [model.id for model in client.models.list().data] == [server.model]
    assert client.models.retrieve(server.model).id == server.model


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"model": "other"}, sdk.NotFoundError),
        ({"top_p": 5}, sdk.BadRequestError),
        ({"stop": ["1", "2", "3", "4", "5"]}, sdk.BadRequestError),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, sdk.BadRequestError),
    ],
    ids=lambda value: str(value)[:30],
)
def test_errors(server, client, fields, kind):
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": server.model, "messages": ASK} | fields)
    ErrorChunkResponse.model_validate(caught.value.response.json(), strict=True)


def test_an_end_of_the_server_in_a_stream_is_an_error_and_never_silence(start):
    with start("--max-context", "2048", "--max-batch", "2", "--drain", "0.3") as server:
        with sdk.Cerebras(base_url=server.url, api_key="none", max_retries=0) as client:
            stream = client.completions.create(
                model=server.model, prompt="Once", max_tokens=1500, stream=True, extra_body={"ignore_eos": True}
            )
            next(iter(stream))
            server.process.terminate()
            with pytest.raises(sdk.APIStatusError) as caught:
                for _ in stream:
                    pass
        assert caught.value.status_code == 503
        assert server.process.wait(15) == 0
