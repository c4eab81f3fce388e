"""The application that serves models: its ways, each with the scope that a key needs for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from undiced.api.allowances import own_limits
from undiced.api.anthropic.endpoints import count_tokens, messages
from undiced.api.anthropic.errors import PATHS
from undiced.api.caller import CALLER, org_of
from undiced.api.control import control
from undiced.api.edge import application
from undiced.api.embeddings import embeddings
from undiced.api.endpoints import chat_completions, completions, input_tokens
from undiced.api.key import Lock
from undiced.api.models import describe, get_model, health, list_models, metrics, props, tcp_warming, version
from undiced.api.page import page_files
from undiced.api.reference import show_reference
from undiced.api.responses.endpoints import input_tokens as response_tokens
from undiced.api.responses.endpoints import responses
from undiced.api.standing import standing_headers
from undiced.api.tokenization import detokenize, tokenize
from undiced.api.ways import ANY_KEY, OPEN, Way

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.applications import Starlette
    from starlette.types import Scope

    from undiced.api.key import Guard
    from undiced.api.request_log import Entry
    from undiced.api.service import Service

_COUNTED = frozenset(  # what costs something
    f"/v1/{name}" for name in ("chat/completions", "completions", "embeddings", "messages", "responses")
)
WAYS = (
    Way("POST", "/v1/chat/completions", "inference", chat_completions),
    Way("POST", "/v1/chat/completions/control", "inference", control),
    Way("POST", "/v1/chat/completions/input_tokens", "tokens", input_tokens),
    Way("POST", "/v1/completions", "inference", completions),
    Way("POST", "/v1/messages", "inference", messages),
    Way("POST", "/v1/messages/count_tokens", "tokens", count_tokens),
    Way("POST", "/v1/responses", "inference", responses),
    Way("POST", "/v1/responses/input_tokens", "tokens", response_tokens),
    Way("POST", "/v1/embeddings", "embeddings", embeddings),
    Way("POST", "/v1/tokenize", "tokens", tokenize),
    Way("POST", "/v1/detokenize", "tokens", detokenize),
    Way("GET", "/v1/models", "models", list_models),
    Way("GET", "/v1/models/{model_id:path}", "models", get_model),
    Way("GET", "/v1/limits", ANY_KEY, own_limits),  # whatever a key is for, it may know its own limits
    Way("GET", "/v1/tcp_warming", ANY_KEY, tcp_warming),  # clients ask at once, whatever their key is for
    Way("GET", "/health", OPEN, health),  # supervisors look at it
    Way("GET", "/metrics", "metrics", metrics),
    Way("GET", "/props", "models", props),
    Way("GET", "/version", ANY_KEY, version),
    Way("GET", "/openapi.json", "models", describe),
    Way("GET", "/docs", OPEN, show_reference),  # as the chat page, which asks its user for a key
    *(Way("GET", path, OPEN, show) for path, show in page_files()),
)


def build_app(service: Service, guard: Guard | None = None) -> Starlette:
    """The application that serves a service's models; without another guard its settings say whether there is a key."""
    guard = guard or Lock(service.settings.api_key)
    requests, organizations = service.metrics.requests, service.metrics.organizations

    def count(scope: Scope, status: int) -> None:
        if scope["path"] not in _COUNTED:
            return
        requests.labels(scope["path"], str(status)).inc()
        if org_id := org_of(scope.get(CALLER)):
            entry: Entry = scope["undiced.entry"]
            organizations.of(org_id).answered(entry.model, status)

    async def known(scope: Scope) -> Mapping[str, str]:
        caller, path = scope.get(CALLER), scope["path"]
        if service.meter is None or caller is None or path not in _COUNTED:
            return {}
        standings = await service.meter.known.of(caller, scope["undiced.entry"].model)
        return standing_headers(standings, time.time(), anthropic=path in PATHS)

    app = application(WAYS, service.settings, guard, described="/docs", count=count, known=known)
    app.state.service, app.state.asks, app.state.parts = service, guard.asks, guard.parts
    return app
