"""The edge of an application: lets requests in, gives every answer an id, logs every request, and tells every error in
our words. Knows ways, and nothing of what is behind them.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response

from undiced.account.secret_text import masked
from undiced.api.anthropic.errors import PATHS
from undiced.api.call import TAG
from undiced.api.caller import CALLER
from undiced.api.errors import ENDS, MethodNotAllowedError, NotFoundError, error_response, new_request_id
from undiced.api.gate import Fields, Gate
from undiced.api.page import is_page
from undiced.api.request_log import entry_of
from undiced.api.standing import STANDING
from undiced.api.ways import Way, open_paths
from undiced.core.errors import EngineError, InvalidRequestError, UndicedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from undiced.api.key import Guard
    from undiced.api.request_log import Entry
    from undiced.api.settings import Settings

    Count = Callable[[Scope, int], None]
    Known = Callable[[Scope], Awaitable[Mapping[str, str]]]

_CLIENT_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_log = logging.getLogger("undiced.api")


async def _nothing(scope: Scope) -> Mapping[str, str]:
    return {}


def application(
    ways: Sequence[Way],
    settings: Settings,
    guard: Guard,
    *,
    described: str,
    count: Count = lambda scope, status: None,
    known: Known = _nothing,
) -> Starlette:
    """An application behind an edge.

    Args:
        described: the path at which it describes itself. count: told the request and the status of every answer.
        known: headers of an answer to a request, where the answer doesn't say the same itself.
    """
    app = Starlette(
        routes=ways,
        middleware=[Middleware(_Edge, settings=settings, guard=guard, free=open_paths(ways), count=count, known=known)],
        exception_handlers={UndicedError: _refuse, HTTPException: _refuse},
    )
    app.router.redirect_slashes = False
    app.state.settings, app.state.described = settings, described
    return app


class _Edge:
    """Lets in what may come in and carries the key, gives every response an x-request-id, the client's own if it sent
    a usable one, and logs every request. `free`: paths that need no key.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, guard: Guard, free: frozenset[str], count: Count, known: Known
    ) -> None:
        self.app = app
        self.gate = Gate(settings)
        self.guard = guard
        self.free = free
        self.count, self.known = count, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _usable(given) else new_request_id().encode()
        scope["undiced.request_id"] = request_id.decode()
        entry: Entry = scope.setdefault("undiced.entry", entry_of(scope, request_id.decode()))
        verdict = self.gate.judge(scope)
        path, started = scope["path"], False

        async def traced(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started, entry.status = True, message["status"]
                names = (b"x-request-id", b"request-id") if path in PATHS else (b"x-request-id",)
                ids = [(name, request_id) for name in names]
                own = message.get("headers", ())
                message["headers"] = [*own, *ids, *await self._standing(scope, own), *verdict.fields]
                self.count(scope, entry.status)
            await send(message)

        try:
            refused = verdict.error or (None if verdict.preflight else await self._refusal(scope, entry))
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

    async def _standing(self, scope: Scope, own: Fields) -> Fields:
        """What an answer says of its caller's limits beside its own headers."""
        told = scope[STANDING] if STANDING in scope else await self.known(scope)
        if not told:
            return []
        names = {name for name, _ in own}
        fields = [(name.encode(), value.encode()) for name, value in told.items()]
        return [field for field in fields if field[0] not in names]

    async def _refusal(self, scope: Scope, entry: Entry) -> UndicedError | None:
        """Why a request is not let in, or None; then the scope says who asks."""
        if scope["path"] in self.free:
            return None
        try:
            caller = scope[CALLER] = await self.guard.admit(scope["headers"])
        except UndicedError as error:
            return error
        if caller is not None:
            scope[TAG] = entry.key = caller.key_id
        return None


def _usable(request_id: bytes) -> bool:
    """Whether a client's id can go into headers and logs; a key can't."""
    return _CLIENT_ID.fullmatch(request_id) is not None and masked(text := request_id.decode()) == text


async def _refuse(request: Request, error: Exception) -> Response:
    """An error raised on purpose, or by the router, as JSON."""
    settings: Settings = request.app.state.settings
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
        retry_after_s=settings.retry_after_s,
        headers=headers,
    )


def _offer(request: Request) -> str:
    """What there is, for those who ask for what there is not."""
    app: Starlette = request.app
    served = [route for route in app.routes if isinstance(route, Way) and not is_page(route.path)]
    names = [f"{'POST' if 'POST' in (route.methods or ()) else 'GET'} {route.path}" for route in served]
    return f"Served are {', '.join(names).replace(':path}', '}')}; GET {app.state.described} describes them."


def _routing_error(error: HTTPException, request: Request) -> UndicedError:
    path = request.scope["path"][:200]
    if error.status_code == 404:
        return NotFoundError(f"There is nothing at {path}.", remedy=_offer(request))
    if error.status_code == 405:
        return MethodNotAllowedError(f"{request.method[:20]} is not allowed at {path}.")
    return InvalidRequestError(str(error.detail))
