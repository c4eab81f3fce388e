"""The ASGI application: routes, request ids, request counts, and errors that left an endpoint."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from undiced.api.anthropic.endpoints import count_tokens, messages
from undiced.api.anthropic.errors import PATHS
from undiced.api.control import control
from undiced.api.embeddings import embeddings
from undiced.api.endpoints import chat_completions, completions, input_tokens
from undiced.api.errors import ENDS, MethodNotAllowedError, NotFoundError, error_response, new_request_id
from undiced.api.gate import Gate
from undiced.api.key import Lock
from undiced.api.models import describe, get_model, health, list_models, metrics, props, tcp_warming, version
from undiced.api.page import is_page, page_routes
from undiced.api.reference import show_reference
from undiced.api.request_log import entry_of
from undiced.api.responses.endpoints import input_tokens as response_tokens
from undiced.api.responses.endpoints import responses
from undiced.api.tokenization import detokenize, tokenize
from undiced.core.errors import EngineError, InvalidRequestError, UndicedError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from undiced.api.request_log import Entry
    from undiced.api.service import Service

_COUNTED = frozenset(
    f"/v1/{name}" for name in ("chat/completions", "completions", "embeddings", "messages", "responses")
)
_CLIENT_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_log = logging.getLogger("undiced.api")


def build_app(service: Service) -> Starlette:
    """The application that serves one model."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
            Route("/v1/chat/completions/control", control, methods=["POST"]),
            Route("/v1/chat/completions/input_tokens", input_tokens, methods=["POST"]),
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
            Route("/v1/responses", responses, methods=["POST"]),
            Route("/v1/responses/input_tokens", response_tokens, methods=["POST"]),
            Route("/v1/embeddings", embeddings, methods=["POST"]),
            Route("/v1/tokenize", tokenize, methods=["POST"]),
            Route("/v1/detokenize", detokenize, methods=["POST"]),
            Route("/v1/models", list_models, methods=["GET"]),
            Route("/v1/models/{model_id:path}", get_model, methods=["GET"]),
            Route("/v1/tcp_warming", tcp_warming, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
            Route("/props", props, methods=["GET"]),
            Route("/version", version, methods=["GET"]),
            Route("/openapi.json", describe, methods=["GET"]),
            Route("/docs", show_reference, methods=["GET"]),
            *page_routes(),
        ],
        middleware=[Middleware(_Edge, service=service)],
        exception_handlers={UndicedError: _refuse, HTTPException: _refuse},
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


class _Edge:
    """Lets in what may come in and carries the key, gives every response an x-request-id, the client's own if it sent
    a usable one, counts inference requests by status, and logs every request.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service
        self.gate = Gate(service.settings)
        self.lock = Lock(service.settings.api_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _CLIENT_ID.fullmatch(given) else new_request_id().encode()
        scope["undiced.request_id"] = request_id.decode()
        entry: Entry = scope.setdefault("undiced.entry", entry_of(scope, request_id.decode()))
        scope["undiced.send"] = send  # the way out without the layers in between, for the tokens of a stream
        verdict = self.gate.judge(scope)
        path, requests, started = scope["path"], self.service.metrics.requests, False

        async def traced(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started, entry.status = True, message["status"]
                names = (b"x-request-id", b"request-id") if path in PATHS else (b"x-request-id",)
                ids = [(name, request_id) for name in names]
                message["headers"] = [*message.get("headers", ()), *ids, *verdict.fields]
                if path in _COUNTED:
                    requests.labels(path, str(message["status"])).inc()
            await send(message)

        try:
            refused = verdict.error or (None if verdict.preflight else self.lock.refusal(scope))
            if refused is not None:
                entry.error = refused.code
                await error_response(refused, scope["undiced.request_id"], path=path)(scope, receive, traced)
            elif verdict.preflight:
                await Response(status_code=204)(scope, receive, traced)
            elif path == "*":  # OPTIONS * asks about the server as a whole
                await Response(status_code=204, headers={"allow": "GET, HEAD, POST, OPTIONS"})(scope, receive, traced)
            else:
                await self.app(scope, receive, traced)
        except ENDS:
            raise
        except BaseException:  # a bug, or a library's panic; logged here, told to the client without details
            _log.exception("request %s failed", scope["undiced.request_id"])
            entry.error = "internal_error"
            if not started:
                error = EngineError("The server failed while it worked on this request.", remedy="Try again.")
                await error_response(error, scope["undiced.request_id"], path=path)(scope, receive, traced)
        finally:
            entry.write()


async def _refuse(request: Request, error: Exception) -> Response:
    """An error raised on purpose, or by the router, as JSON."""
    service: Service = request.app.state.service
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        error = _routing_error(error, request)
    assert isinstance(error, UndicedError)
    request.scope["undiced.entry"].error = error.code
    return error_response(
        error,
        request.scope["undiced.request_id"],
        path=request.scope["path"],
        retry_after_s=service.settings.retry_after_s,
        headers=headers,
    )


def _offer(request: Request) -> str:
    """What there is, for those who ask for what there is not."""
    app: Starlette = request.app
    served = [route for route in app.routes if isinstance(route, Route) and not is_page(route.path)]
    names = [f"{'POST' if 'POST' in (route.methods or ()) else 'GET'} {route.path}" for route in served]
    return f"Served are {', '.join(names).replace(':path}', '}')}; GET /docs describes them."


def _routing_error(error: HTTPException, request: Request) -> UndicedError:
    if error.status_code == 404:
        return NotFoundError(f"There is nothing at {request.url.path[:200]}.", remedy=_offer(request))
    if error.status_code == 405:
        return MethodNotAllowedError(f"{request.method[:20]} is not allowed at {request.url.path[:200]}.")
    return InvalidRequestError(str(error.detail))
