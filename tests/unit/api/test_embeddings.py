"""Embeddings: unit vectors in order, by either format; what is refused; nothing is left behind."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from undiced.core.errors import QueueFullError

PATH = "/v1/embeddings"


def ask(caller, **fields):
    return caller.post(PATH, {"model": "m", "input": "hello"} | fields)


def vectors(reply):
    assert reply.status == 200, reply.body
    return np.array([row["embedding"] for row in reply.json["data"]])


def test_texts_and_token_ids_become_unit_vectors_in_order(caller):
    several = ask(caller, input=["hello", "other", "hello"])
    found = vectors(several)
    np.testing.assert_allclose((found**2).sum(axis=1), 1, rtol=1e-6)
    assert (found[0] == found[2]).all() and not (found[0] == found[1]).all()
    assert [row["index"] for row in several.json["data"]] == [0, 1, 2]
    assert several.json["usage"] == {"prompt_tokens": 15, "total_tokens": 15}
    ids = list(b"hello")
    for given in ("hello", ids, [ids]):
        np.testing.assert_array_equal(vectors(ask(caller, input=given)), found[:1])
    assert all(request.embeds and request.max_tokens == 1 for request in caller.engine.submitted)


def test_base64_is_the_same_in_single_precision(caller):
    plain = vectors(ask(caller))[0]
    (row,) = ask(caller, encoding_format="base64").json["data"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(row["embedding"]), "<f4"), plain, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [10**9]}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": "a" * 5_000}, "input"),
        ({"input": None}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 3}, "dimensions"),
        ({"model": "other"}, "model"),
        ({"input_type": "query"}, "input_type"),
    ],
)
def test_what_can_not_be_is_refused(caller, fields, param):
    reply = ask(caller, **fields)
    assert reply.status in (400, 404) and reply.json["error"]["param"] == param


def test_a_failure_of_one_is_the_answer(make):
    caller = make(error=QueueFullError("The queue is full.", retry_after_s=2.0, remedy="Try again later."))
    reply = ask(caller, input=["a", "b"])
    assert reply.status == 503 or reply.status == 429
    assert reply.json["error"]["code"] == "queue_exceeded" and not caller.service.running
