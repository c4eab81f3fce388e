"""Several models on one application: found by name, listed, counted and watched apart."""

from __future__ import annotations

import asyncio

import pytest
from scripted import Caller, build_caller

from undiced.api.app import build_app
from undiced.api.call import TAG
from undiced.api.service import Service
from undiced.core.errors import InvalidRequestError
from undiced.remote.client import Health

CHAT = "/v1/chat/completions"
FAST, SLOW = "Quick as lightning.", "One step after another."


def two() -> tuple[Caller, Caller, Service]:
    """A model that answers at once and one that takes its time, on one application; callers know their engine."""
    parts = [
        build_caller(name="fast", aliases=("org/fast",), text=FAST),
        build_caller(name="slow", aliases=(), text=SLOW, delay_s=0.001),
    ]
    service = Service([part.deployment for part in parts])
    app = build_app(service)
    for part in parts:
        part.app, part.service = app, service
        part.engine.on_usage = service.metrics.of(part.engine.name).ended
    return parts[0], parts[1], service


def body(model: str, **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}


def test_two_models_answer_at_once_each_with_its_own_engine():
    fast, slow, _ = two()

    async def both():
        asked = [fast.call("POST", CHAT, body(model, n=2)) for model in ("slow", "fast", "org/fast")]
        return [reply.json for reply in await asyncio.gather(*asked)]

    answers = asyncio.run(both())
    assert [answer["model"] for answer in answers] == ["slow", "fast", "fast"]
    assert [choice["message"]["content"] for answer in answers for choice in answer["choices"]] == [
        *[SLOW] * 2,
        *[FAST] * 4,
    ]
    assert (len(fast.engine.submitted), len(slow.engine.submitted)) == (4, 2)
    metrics = fast("GET", "/metrics").body.decode()
    for caller in (fast, slow):
        counted = sum(event.completion_tokens for event in caller.engine.ended)
        assert f'undiced_completion_tokens_total{{model="{caller.engine.name}"}} {float(counted)}' in metrics
        assert f'undiced_sequences_running{{model="{caller.engine.name}"}} 1.0' in metrics


def test_all_models_are_listed_and_each_is_found_by_its_names():
    caller, _, _ = two()
    assert [model["id"] for model in caller("GET", "/v1/models").json["data"]] == ["fast", "slow"]
    for name, found in (("fast", "fast"), ("org/fast", "fast"), ("slow", "slow")):
        assert caller("GET", f"/v1/models/{name}").json["id"] == found


@pytest.mark.parametrize("path", [CHAT, "/v1/models/other"])
def test_an_unknown_model_is_told_what_is_served(path):
    caller, _, _ = two()
    reply = caller.post(path, body("other")) if path == CHAT else caller("GET", path)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "'fast' or 'slow'" in error["message"]


def test_health_tells_of_every_engine():
    caller, slow, _ = two()
    good = {"status": "ok", "model": "fast", "models": {"fast": "ready", "slow": "ready"}}
    assert caller("GET", "/health").json == good
    slow.engine.health = Health("restarting", 0.5, "packing weights", 1)
    reply = caller("GET", "/health")
    assert reply.status == 503
    assert reply.json["models"] == {"fast": "ready", "slow": "restarting"}
    assert (reply.json["status"], reply.json["model"], reply.json["detail"]) == (
        "restarting",
        "slow",
        "packing weights",
    )
    assert caller("GET", "/health", query=b"model=org/fast").json == {"status": "ok", "model": "fast"}
    assert caller("GET", "/health", query=b"model=slow").status == 503
    assert caller("GET", "/health", query=b"model=other").status == 404
    assert caller.post(CHAT, body("fast")).status == 200


def test_two_models_of_one_name_are_refused():
    first, second = build_caller(), build_caller(name="other", aliases=("m",))
    with pytest.raises(InvalidRequestError, match="'m'"):
        Service([first.deployment, second.deployment])


def test_whose_request_it_is_goes_with_every_sequence(caller):
    app = caller.app

    async def tagged(scope, receive, send):
        await app(scope | {TAG: "account 7"}, receive, send)

    caller.chat()
    caller.app = tagged
    caller.chat(n=2)
    caller.complete(prompt=["a", "b"])
    assert [request.tag for request in caller.engine.submitted] == ["", *["account 7"] * 4]
