"""One record a request, when its answer has ended, with what it took and how it ended."""

from __future__ import annotations

import logging

import pytest

from undiced.core.errors import EngineError


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.DEBUG, "undiced.request")
    return lambda: [record.fields for record in caplog.records if record.name == "undiced.request"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_logged_once_with_its_account(caller, records, stream):
    reply = caller.chat(stream=stream, max_tokens=5, n=2)
    (fields,) = records()
    assert fields.items() >= {
        "id": reply.headers["x-request-id"], "method": "POST", "path": "/v1/chat/completions", "status": 200,
        "model": "m", "completion_tokens": 10, "cached_tokens": 3, "queue_s": 0.001, "first_token_s": 0.011,
        "finish_reason": "length", "client": "127.0.0.1",
    }.items()  # fmt: skip
    assert fields["prompt_tokens"] == len("user: hi\nassistant: "), "two choices share their prompt"
    assert 0 <= fields["total_s"] < 10
    assert "error" not in fields


def test_embeddings_are_logged_with_model_and_tokens(caller, records):
    caller.post("/v1/embeddings", {"model": "m", "input": ["hello", "you"]})
    (fields,) = records()
    assert fields.items() >= {"path": "/v1/embeddings", "status": 200, "model": "m", "prompt_tokens": 8}.items()


def test_choices_that_end_differently_are_all_told(make, records):
    make(text="ab").complete(prompt=["a", "b"], max_tokens=2)
    make(text="ab").complete(max_tokens=5)
    assert [fields["finish_reason"] for fields in records()] == ["length", "stop"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_left_is_logged_with_what_was_written_for_it(make, records, stream):
    caller = make(hang_at=4)
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    caller.post("/v1/chat/completions", body, leave_after=3 if stream else 0)
    (fields,) = records()
    assert (fields["finish_reason"], fields["error"]) == ("cancelled", "client_closed_request")
    assert fields["status"] == (200 if stream else 499)
    assert fields["completion_tokens"] == caller.engine.ended[0].completion_tokens


def test_a_failure_is_a_warning_and_a_refusal_is_not(make, records, caplog):
    make(error=EngineError("gone")).chat()
    make(fail_at=3, error=EngineError("gone")).chat(stream=True)
    make().chat(temperature=9)
    make()("GET", "/v1/nowhere")
    told = [(fields["status"], fields["error"]) for fields in records()]
    assert told == [(500, "engine_failure"), (200, "engine_failure"), (400, "wrong_api_format"), (404, "not_found")]
    levels = [record.levelno for record in caplog.records if record.name == "undiced.request"]
    assert levels == [logging.WARNING, logging.WARNING, logging.INFO, logging.INFO]


def test_what_is_asked_for_all_day_is_for_debugging_alone(caller, caplog):
    caplog.set_level(logging.INFO, "undiced.request")
    for path in ("/health", "/metrics", "/", "/static/style.css", "/v1/tcp_warming"):
        assert caller("GET", path).status == 200
    assert not caplog.records
    caller("GET", "/static/none.css")
    assert [record.fields["status"] for record in caplog.records] == [404]


def test_a_query_stays_out_of_the_log(caller, records):
    caller("GET", "/v1/models", query=b"key=secret")
    assert "secret" not in str(records())
