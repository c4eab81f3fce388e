"""The official openai client against a running server with a real model."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import httpx
import openai
import pytest
from live import engines

pytestmark = [pytest.mark.wire, pytest.mark.model]
ASK = [{"role": "user", "content": "Count from one to ten in words."}]


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as made:
        yield made


def metric(server, name):
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def until(condition, limit_s=10.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_models_are_listed_and_found(server, client):
    assert [model.id for model in client.models.list()] == [server.model]
    assert client.models.retrieve(server.model).object == "model"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("org/other")
    assert caught.value.code == "model_not_found"


def test_whole_and_streamed_answers_agree(server, client):
    fields = {"model": server.model, "messages": ASK, "temperature": 0, "max_tokens": 40}
    whole = client.chat.completions.create(**fields)
    chunks = list(client.chat.completions.create(**fields, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(text) > 20
    assert whole.choices[0].message.role == "assistant"
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens > 10
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert whole.system_fingerprint == chunks[0].system_fingerprint


def test_length_ends_an_answer(server, client):
    answer = client.chat.completions.create(model=server.model, messages=ASK, max_completion_tokens=3, temperature=0)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 3


def test_the_model_ends_an_answer(server, client):
    question = [{"role": "user", "content": "Answer with one word: what is the capital of France?"}]
    answer = client.chat.completions.create(model=server.model, messages=question, temperature=0, max_tokens=200)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens < 200


def test_a_stop_string_cuts_text_and_account(server, client):
    fields = {"model": server.model, "messages": ASK, "temperature": 0, "max_tokens": 60}
    free = client.chat.completions.create(**fields)
    text = free.choices[0].message.content
    stop = text[12:16]
    cut = client.chat.completions.create(**fields, stop=[stop, "never to be seen"])
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    assert 0 < cut.usage.completion_tokens < free.usage.completion_tokens


def test_usage_comes_in_a_chunk_of_its_own_when_asked(server, client):
    chunks = list(
        client.chat.completions.create(
            model=server.model,
            messages=ASK,
            max_tokens=5,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_the_stream_helper_understands_the_stream(server, client):
    question = [{"role": "user", "content": "Answer with one word: what is the capital of France?"}]
    with client.chat.completions.stream(model=server.model, messages=question, temperature=0) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert final.choices[0].message.content == text
    assert final.choices[0].finish_reason == "stop"


def test_choices_are_independent_and_seeds_repeat(server, client):
    fields = {"model": server.model, "messages": ASK, "max_tokens": 12, "temperature": 1.5, "n": 3, "seed": 11}
    fields |= {"extra_body": {"ignore_eos": True}}
    first, second = (client.chat.completions.create(**fields) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2]
    assert len(set(texts)) > 1
    assert texts == [choice.message.content for choice in second.choices]
    assert first.usage.completion_tokens == 3 * 12


def test_log_probabilities(server, client):
    answer = client.chat.completions.create(
        model=server.model, messages=ASK, max_tokens=6, temperature=0, logprobs=True, top_logprobs=3
    )
    rows = answer.choices[0].logprobs.content
    assert "".join(row.token for row in rows) == answer.choices[0].message.content
    for row in rows:
        assert len(row.top_logprobs) == 3
        assert row.token == row.top_logprobs[0].token
        assert abs(row.logprob - row.top_logprobs[0].logprob) < 1e-3 and row.logprob <= 0


def test_text_completions(server, client):
    answer = client.completions.create(
        model=server.model, prompt=["The sky is", "Water is"], max_tokens=4, temperature=0, echo=True, n=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text == answer.choices[1].text
    assert answer.choices[0].text.startswith("The sky is")
    assert answer.choices[2].text.startswith("Water is")
    rows = client.completions.create(model=server.model, prompt="The sky is", max_tokens=4, temperature=0, logprobs=2)
    found = rows.choices[0].logprobs
    assert "".join(found.tokens) == rows.choices[0].text
    assert found.text_offset[0] == 0 and len(found.token_logprobs) == len(found.top_logprobs) == 4
    chunks = list(
        client.completions.create(model=server.model, prompt="The sky is", max_tokens=4, temperature=0, stream=True)
    )
    assert "".join(chunk.choices[0].text for chunk in chunks) == rows.choices[0].text


def test_a_prompts_scores_are_those_that_its_tokens_had_when_they_were_drawn(server, client):
    """What evaluation harnesses do with log-likelihoods: echo and logprobs, of texts and of token ids."""
    fields = {"model": server.model, "temperature": 0, "logprobs": 1}
    drawn = client.completions.create(**fields, prompt="The sky is", max_tokens=6).choices[0]
    whole = "The sky is" + drawn.text
    for max_tokens in (0, 1):
        scored = client.completions.create(**fields, prompt=whole, max_tokens=max_tokens, echo=True)
        rows = scored.choices[0].logprobs
        assert scored.choices[0].text.startswith(whole) and scored.usage.completion_tokens == max_tokens
        assert rows.token_logprobs[0] is None and rows.top_logprobs[0] is None
        assert len(rows.tokens) == scored.usage.prompt_tokens + max_tokens
        end = len(rows.tokens) - max_tokens
        assert rows.tokens[end - 6 : end] == drawn.logprobs.tokens
        for score, value, top in zip(
            rows.token_logprobs[end - 6 : end],
            drawn.logprobs.token_logprobs,
            rows.top_logprobs[end - 6 :],
            strict=False,
        ):
            assert abs(score - value) < 2e-3 and score == max(top.values())
        assert [whole[at:].startswith(token) for at, token in zip(rows.text_offset, rows.tokens[:end], strict=False)]
    chunks = list(client.completions.create(**fields, prompt=whole, max_tokens=0, echo=True, stream=True))
    parts = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(part.text for part in parts) == whole
    joined = [value for part in parts if part.logprobs for value in part.logprobs.token_logprobs]
    assert joined[0] is None and len(joined) == end
    batch = client.completions.create(**fields, prompt=[[1, 2, 3], [504], [5, 6]], max_tokens=1, echo=True)
    assert [len(choice.logprobs.tokens) for choice in batch.choices] == [4, 2, 3]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}}, None),
        ({"extra_body": {"enable_thinking": True}}, "enable_thinking"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"verbosity": "low"}, "verbosity"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"extra_body": {"moderation": {"model": "m"}}}, "moderation"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_not_served_is_refused_by_name(server, client, fields, param):
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(model=server.model, messages=ASK, max_tokens=2, **fields)
    if param is not None:
        assert (refusal.value.code, refusal.value.param) == ("unsupported", param)


def test_the_last_message_is_continued(server, client):
    messages = [*ASK, {"role": "assistant", "content": "The answer to your question, in one word, is"}]
    fields = {"model": server.model, "messages": messages, "max_tokens": 8, "temperature": 0}
    goes_on = client.chat.completions.create(**fields, extra_body={"continue_final_message": True})
    begins = client.chat.completions.create(**fields)
    assert begins.usage.prompt_tokens > goes_on.usage.prompt_tokens
    assert goes_on.choices[0].message.content.startswith(" ")


def test_a_control_tokens_name_stops(server, client):
    fields = {"model": server.model, "messages": ASK, "max_tokens": 5, "temperature": 0}
    for name, token in (("<|im_start|>", "1"), ("<|endoftext|>", "0")):
        forced = client.chat.completions.create(**fields, logit_bias={token: 100}, stop=[name])
        assert (forced.choices[0].finish_reason, forced.usage.completion_tokens) == ("stop", 1)
    shown = client.chat.completions.create(**fields, logit_bias={"1": 100}, extra_body={"skip_special_tokens": False})
    assert shown.choices[0].message.content == "<|im_start|>" * 5


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"model": "other"}, openai.NotFoundError, "model_not_found"),
        ({"temperature": 3}, openai.BadRequestError, "wrong_api_format"),
        ({"n": 10_000}, openai.BadRequestError, "wrong_api_format"),
        ({"max_tokens": -5}, openai.BadRequestError, "wrong_api_format"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, openai.BadRequestError, "wrong_api_format"),
        (
            {"messages": [{"role": "user", "content": "word " * 3000}]},
            openai.BadRequestError,
            "context_length_exceeded",
        ),
        ({"response_format": {"type": "json"}}, openai.BadRequestError, "wrong_api_format"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_errors_have_class_code_and_request_id(server, client, fields, kind, code):
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**{"model": server.model, "messages": ASK, "stream": stream} | fields)
        assert caught.value.code == code
        assert caught.value.request_id.startswith("req_")
    assert client.chat.completions.create(model=server.model, messages=ASK, max_tokens=1).choices


def test_many_at_once_get_what_each_gets_alone(server):
    async def ask_all():
        async with openai.AsyncOpenAI(base_url=server.v1, api_key="none", max_retries=0) as client:
            asked = [f"Say the number {number}." for number in range(12)]  # more than run together
            jobs = [
                client.chat.completions.create(
                    model=server.model, messages=[{"role": "user", "content": text}], max_tokens=8, temperature=0
                )
                for text in asked
            ]
            return await asyncio.gather(*jobs)

    answers = asyncio.run(ask_all())
    assert len({answer.id for answer in answers}) == 12
    assert all(answer.usage.completion_tokens <= 8 and answer.choices[0].finish_reason for answer in answers)


def test_leaving_a_stream_ends_its_sequence(server, client):
    cancelled = f'undiced_sequences_total{{model="{server.model}",reason="cancelled"}}'
    before = metric(server, cancelled)
    stream = client.completions.create(
        model=server.model, prompt="Once", max_tokens=900, stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    stream.close()
    until(lambda: metric(server, cancelled) == before + 1)
    until(lambda: metric(server, "undiced_sequences_running") == 0)


def test_leaving_without_a_stream_ends_its_sequence_too(server, client):
    cancelled = f'undiced_sequences_total{{model="{server.model}",reason="cancelled"}}'
    before = metric(server, cancelled)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).completions.create(
            model=server.model, prompt="Once", max_tokens=900, extra_body={"ignore_eos": True}
        )
    until(lambda: metric(server, cancelled) == before + 1)


def test_more_choices_than_the_queue_holds_can_never_be_had(narrow):
    with openai.OpenAI(base_url=narrow.v1, api_key="none", max_retries=0) as client:
        for wanted in ({"prompt": "Once", "n": 2}, {"prompt": ["Once", "Twice"]}):
            with pytest.raises(openai.BadRequestError) as caught:
                client.completions.create(model=narrow.model, **wanted)
            assert caught.value.param == "n"


def test_a_full_queue_is_a_rate_limit_error_that_says_when(narrow):
    with openai.OpenAI(base_url=narrow.v1, api_key="none", max_retries=0) as client:
        endless = {"model": narrow.model, "prompt": "Once", "max_tokens": 1500, "extra_body": {"ignore_eos": True}}
        streams = [client.completions.create(**endless, stream=True)]
        next(iter(streams[0]))
        waiting = threading.Thread(target=lambda: streams.append(client.completions.create(**endless, stream=True)))
        waiting.start()
        until(lambda: metric(narrow, "undiced_sequences_waiting") == 1)
        with pytest.raises(openai.RateLimitError) as caught:
            client.completions.create(**endless)
        assert caught.value.code == "queue_exceeded"
        assert 0 < float(caught.value.response.headers["retry-after"]) <= 60
        streams[0].close()
        waiting.join(20)
        assert not waiting.is_alive()
        streams[1].close()
        until(lambda: metric(narrow, "undiced_sequences_running") == 0)


def test_a_dead_engine_is_an_error_chunk_and_the_next_one_serves(start):
    with (
        start("--max-context", "1024", "--max-batch", "2") as server,
        openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client,
    ):
        fields = {"model": server.model, "prompt": "Once", "extra_body": {"ignore_eos": True}}
        stream = client.completions.create(**fields, max_tokens=900, stream=True)
        next(iter(stream))
        (engine,) = engines(server.process.pid)
        os.kill(engine, signal.SIGKILL)
        with pytest.raises(openai.APIError) as caught:
            for _ in stream:
                pass
        assert caught.value.code == "engine_failure"
        until(lambda: httpx.get(f"{server.url}/health").status_code == 200, 20)
        assert client.completions.create(**fields, max_tokens=3).usage.completion_tokens == 3
