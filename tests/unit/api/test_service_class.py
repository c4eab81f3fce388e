"""`service_tier`: from the request to a class of the engine's queue, and back into the answer."""

from __future__ import annotations

import pytest
from scripted import Caller

from undiced.serve import Priority

ASKED = [
    ("priority", Priority.HIGH, "priority"),
    ("default", Priority.NORMAL, "default"),
    ("auto", Priority.NORMAL, "default"),
    ("flex", Priority.LOW, "flex"),
]


def classes(caller: Caller, count: int) -> list[Priority]:
    """Those of the latest requests of the engine."""
    return [request.priority for request in caller.engine.submitted[-count:]]


@pytest.mark.parametrize(("asked", "priority", "served"), ASKED)
def test_a_class_of_service_reaches_the_queue_and_the_answer_tells_it(caller, asked, priority, served):
    replies = [caller.chat(service_tier=asked, n=2), caller.complete(service_tier=asked)]
    assert [reply.json["service_tier"] for reply in replies] == [served, served]
    replies.append(caller.post("/v1/responses", {"input": "hi", "service_tier": asked}))
    assert replies[-1].json["service_tier"] == served
    assert classes(caller, 4) == [priority] * 4
    assert not any("x-undiced-ignored-fields" in reply.headers for reply in replies)


def test_every_chunk_of_a_stream_tells_it(caller):
    chunks = [event for event in caller.chat(service_tier="flex", stream=True).events if event != "[DONE]"]
    assert len(chunks) > 2 and {chunk["service_tier"] for chunk in chunks} == {"flex"}


def test_who_asks_for_none_is_served_as_usual_and_told_nothing(caller):
    for fields in ({}, {"service_tier": None}):
        assert "service_tier" not in caller.chat(**fields).json
    assert classes(caller, 2) == [Priority.NORMAL] * 2
    assert caller.post("/v1/responses", {"input": "hi"}).json["service_tier"] == "default"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
@pytest.mark.parametrize("asked", ["fastest", "", "PRIORITY", 1])
def test_a_class_that_there_is_not_is_refused(caller, path, asked):
    own = {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "input": "hi"}
    member = {"/v1/chat/completions": "messages", "/v1/completions": "prompt", "/v1/responses": "input"}[path]
    reply = caller.post(path, {member: own[member], "service_tier": asked})
    assert reply.status == 400
    assert "service_tier" in reply.json["error"]["message"]
