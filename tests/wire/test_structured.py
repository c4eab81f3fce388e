"""Answers of a form and embeddings through the official clients, from a running server with a real model."""

from __future__ import annotations

import json
import re
import threading

import cerebras.cloud.sdk as cerebras
import openai
import pytest
from support.schemas import assert_valid

pytestmark = [pytest.mark.wire, pytest.mark.model]
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "people": {"type": "integer", "minimum": 0, "maximum": 10_000_000},
        "river": {"enum": ["Seine", "Spree", "Tiber", None]},
    },
    "required": ["city", "people", "river"],
    "additionalProperties": False,
}
ASK = [{"role": "user", "content": "Describe the capital of France as JSON."}]
FORM = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": SCHEMA}}


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as made:
        yield made


def fields(server, **more):
    return {"model": server.model, "messages": ASK, "temperature": 1.0, "seed": 4, "max_tokens": 80} | more


def test_whole_and_streamed_documents_agree_and_validate(server, client):
    whole = client.chat.completions.create(**fields(server, response_format=FORM, n=3))
    for choice in whole.choices:
        assert choice.finish_reason == "stop"
        assert_valid(choice.message.content, SCHEMA)
    chunks = client.chat.completions.create(**fields(server, response_format=FORM, n=3, stream=True))
    texts = {0: "", 1: "", 2: ""}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == {choice.index: choice.message.content for choice in whole.choices}


def test_cerebras_clients_get_documents_too(server):
    with cerebras.Cerebras(base_url=server.url, api_key="none", max_retries=0, warm_tcp_connection=False) as client:
        answer = client.chat.completions.create(**fields(server, response_format=FORM))
    assert_valid(answer.choices[0].message.content, SCHEMA)


def test_side_by_side_is_as_alone(server, client):
    kinds = [{"response_format": FORM}, {}, {"extra_body": {"regex": "[A-Z][a-z]{2,9} [0-9]{4}"}}, {"stop": ["e"]}] * 2
    asked = [fields(server, seed=at, max_tokens=40) | kind for at, kind in enumerate(kinds)]
    alone = [client.chat.completions.create(**one).choices[0].message.content for one in asked]
    found: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.update(
            {at: client.chat.completions.create(**asked[at]).choices[0].message.content}))
        for at in range(len(asked))
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[at] for at in range(len(asked))] == alone
    assert re.fullmatch("[A-Z][a-z]{2,9} [0-9]{4}", alone[2])


def test_only_a_limit_or_a_stop_string_cuts_a_document(server, client):
    short = client.chat.completions.create(**fields(server, response_format=FORM, max_tokens=9))
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 9
    assert short.choices[0].message.content.startswith('{"city": "')
    stopped = client.chat.completions.create(**fields(server, response_format=FORM, stop='"people'))
    assert stopped.choices[0].finish_reason == "stop" and stopped.choices[0].message.content.endswith('", ')


def test_a_reader_who_leaves_before_its_grammar_is_ready_leaves_nothing(server, client):
    big = {"type": "object", "properties": {f"p{i}": {"enum": [f"{i} {j}" for j in range(30)]} for i in range(60)}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": big}}
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.02).chat.completions.create(**fields(server, response_format=form))
    assert client.completions.create(model=server.model, prompt="One, two,", max_tokens=3).usage.completion_tokens == 3


def test_a_form_whose_first_step_is_too_much_over_this_vocabulary_is_refused(server, client):
    """Over bytes, where it is tried first, it is not."""
    grammar = "start: a\na: a a a | b\nb: b a | /[a-z]/ | /[a-zA-Z ]/"
    with pytest.raises(openai.BadRequestError, match="The grammar cannot be used"):
        client.chat.completions.create(**fields(server, extra_body={"grammar": grammar}))


def test_refusals_name_the_path(server, client):
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"not": {}}}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**fields(server, response_format=form))
    assert refused.value.param == "response_format.json_schema.schema.not"


def test_texts_that_mean_the_same_lie_closer(server, client):
    texts = ["The cat sat on the mat.", "A cat was sitting on a rug.", "Stock prices fell sharply today."]
    rows = [row.embedding for row in client.embeddings.create(model=server.model, input=texts).data]
    near, far = (sum(a * b for a, b in zip(rows[0], rows[at], strict=True)) for at in (1, 2))
    assert far < near < 1.0001
    assert json.dumps(rows[0])
    [alone] = client.embeddings.create(model=server.model, input=texts[0], encoding_format="float").data
    assert sum(a * b for a, b in zip(rows[0], alone.embedding, strict=True)) == pytest.approx(1, abs=1e-4)
