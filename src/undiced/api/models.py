"""The small endpoints: models, warming, health, metrics. Each answers from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.encoding import encode
from undiced.api.metrics import CONTENT_TYPE
from undiced.core.errors import ModelNotFoundError

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.service import ModelCard, Service


def model_object(card: ModelCard) -> dict[str, object]:
    """A model as `GET /v1/models` shows it; `context_length` and `license` are extras that clients may read."""
    shown: dict[str, object] = {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "owned_by": card.owned_by,
        "context_length": card.context,
    }
    return shown | ({"license": card.license} if card.license else {})


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(value), status, headers=headers, media_type="application/json")


async def list_models(request: Request) -> Response:
    """GET /v1/models."""
    service: Service = request.app.state.service
    return _json({"object": "list", "data": [model_object(service.card)]})


async def get_model(request: Request) -> Response:
    """GET /v1/models/{model_id}; ids may hold slashes."""
    service: Service = request.app.state.service
    name = request.path_params["model_id"]
    if name != service.card.id and name not in service.card.aliases:
        raise ModelNotFoundError(
            f"The model '{name[:200]}' is not served here.", remedy=f"Use '{service.card.id}'.", param="model"
        )
    return _json(model_object(service.card))


async def tcp_warming(request: Request) -> Response:
    """GET /v1/tcp_warming: the Cerebras client opens its connection with it, at every construction."""
    return Response(b"{}", media_type="application/json")


async def health(request: Request) -> Response:
    """GET /health: 200 while requests are taken, 503 while the server drains or its engine is down."""
    service: Service = request.app.state.service
    engine = service.engine.health
    state = engine.state if service.state == "ready" else service.state
    if state == "ready":
        return _json({"status": "ok", "model": service.card.id})
    told = {"status": state, "progress": engine.progress, "detail": engine.detail}
    return _json(told, 503, {"retry-after": str(int(service.settings.retry_after_s))})


async def metrics(request: Request) -> Response:
    """GET /metrics in the Prometheus text format."""
    service: Service = request.app.state.service
    return Response(
        service.metrics.render(service.engine.stats()), media_type=None, headers={"content-type": CONTENT_TYPE}
    )
