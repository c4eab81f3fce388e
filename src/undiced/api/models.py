"""The small endpoints: models and their properties, warming, health, metrics, version. Each answers from memory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.account.errors import PermissionDeniedError
from undiced.api.caller import caller_of, usable
from undiced.api.encoding import encode
from undiced.api.errors import NotServedError, retry_headers
from undiced.api.metrics import CONTENT_TYPE
from undiced.api.openapi import document
from undiced.core.errors import UnavailableError
from undiced.core.sampling import PARAMETERS
from undiced.core.usual import chat_defaults

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.deployment import ModelCard
    from undiced.api.service import Service


def model_object(card: ModelCard) -> dict[str, object]:
    """A model as `GET /v1/models` shows it. Extras that clients may read: `context_length`, `license`,
    `capabilities`, `reasoning_efforts`, and in `chat_defaults` what the chat page asks for.
    """
    shown: dict[str, object] = {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "owned_by": card.owned_by,
        "context_length": card.context,
        "chat_defaults": chat_defaults(card.sampling),
    }
    shown["capabilities"] = {"function_calling": card.calls, "reasoning": bool(card.efforts)}
    if card.efforts:
        shown["reasoning_efforts"] = list(card.efforts)
    return shown | ({"license": card.license} if card.license else {})


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(value), status, headers=headers, media_type="application/json")


def _plain(request: Request) -> None:
    """Refuse another format of model objects than OpenAI's."""
    form = request.query_params.get("format", "default")
    if form != "default":
        raise NotServedError(f"The format '{form[:40]}' is not supported.", remedy="Leave it out.", param="format")


async def list_models(request: Request) -> Response:
    """GET /v1/models."""
    _plain(request)
    service: Service = request.app.state.service
    return _json(
        {
            "object": "list",
            "data": [model_object(one.card) for one in usable(service.deployments, caller_of(request.scope))],
        }
    )


async def get_model(request: Request) -> Response:
    """GET /v1/models/{model_id}; ids may hold slashes."""
    _plain(request)
    service: Service = request.app.state.service
    return _json(model_object(service.deployment(request.path_params["model_id"], caller_of(request.scope)).card))


async def props(request: Request) -> Response:
    """GET /props: what the model is and how it is served, `defaults` those of chats; `?model=` names one of several."""
    service: Service = request.app.state.service
    card = service.deployment(request.query_params.get("model", ""), caller_of(request.scope)).card
    facts: dict[str, object] = {} if card.facts is None else asdict(card.facts)
    shown = {
        **model_object(card),
        **facts,
        "version": service.version,
        "system_fingerprint": card.fingerprint,
        "modalities": {"input": ["text"], "output": ["text"]},
        "defaults": {row.name: card.sampling.get(row.name, row.default) for row in PARAMETERS},
        "max_connections": service.settings.max_connections,
    }
    return _json(shown)


async def version(request: Request) -> Response:
    """GET /version."""
    service: Service = request.app.state.service
    return _json({"version": service.version})


async def describe(request: Request) -> Response:
    """GET /openapi.json."""
    service: Service = request.app.state.service
    return _json(document(service.version, key=request.app.state.asks))


async def tcp_warming(request: Request) -> Response:
    """GET /v1/tcp_warming: the Cerebras client opens its connection with it, at every construction."""
    return Response(b"{}", media_type="application/json")


async def health(request: Request) -> Response:
    """GET /health: 200 while requests for every model are taken, 503 while the server drains or an engine is down.

    `?model=` asks about that model alone. `status`, `progress` and `detail` are those of `model`, the first that is not
    ready. Where callers are told apart, nobody has said here who asks, and no model is named.
    """
    service: Service = request.app.state.service
    asked, nameless = request.query_params.get("model"), request.app.state.parts
    if nameless and asked is not None:
        remedy = "Ask about all, or read /metrics with a key that has that scope."
        raise PermissionDeniedError("Strangers are told of no model.", remedy=remedy, param="model")
    of = service.deployments if asked is None else [service.deployment(asked)]
    engines = {one.card.id: one.engine.health for one in of}
    name = next((name for name, health in engines.items() if health.state != "ready"), of[0].card.id)
    seen, well = engines[name], engines[name].state == "ready" and service.state == "ready"
    names: dict[str, object] = {} if nameless else {"model": name}
    if len(engines) > 1 and not nameless:
        names["models"] = {name: health.state for name, health in engines.items()}
    if well:
        return _json({"status": "ok", **names})
    state = seen.state if service.state == "ready" else service.state
    told = {"status": state, **names, "progress": seen.progress, "detail": seen.detail}
    error = UnavailableError(seen.detail, retry_after_s=seen.back_s)
    return _json(told, 503, retry_headers(error, service.settings.retry_after_s))


async def metrics(request: Request) -> Response:
    """GET /metrics in the Prometheus text format."""
    service: Service = request.app.state.service
    engines = {one.card.id: (one.engine.stats(), one.engine.health) for one in service.deployments}
    text = service.metrics.render(engines)
    return Response(text, media_type=None, headers={"content-type": CONTENT_TYPE})
