"""Errors on the wire: from an exception to a JSON body, a status and headers. Knows no endpoint."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.account.errors import HeldBackError, InsufficientCreditError, LimitExceededError
from undiced.api.anthropic import errors as anthropic
from undiced.api.encoding import encode
from undiced.api.standing import DAY_S, standing_headers
from undiced.core.errors import InvalidRequestError, KeyRefusedError, QueueFullError, UnavailableError, UndicedError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)  # what ends a task or the process
MAX_RETRY_AFTER_S = 60  # the official clients ignore a longer wait
_NEVER = {"x-should-retry": "false"}


class BodyTooLargeError(InvalidRequestError):
    """A request body over the limit."""

    code = "request_too_large"
    status = 413


class MediaTypeError(InvalidRequestError):
    """A body of a type that is not understood."""

    code = "unsupported_media_type"
    status = 415


class HeadTooLargeError(InvalidRequestError):
    """Request headers over the limit."""

    code = "headers_too_large"
    status = 431


class CodingNotServedError(InvalidRequestError):
    """A transfer coding that is not understood."""

    code = "transfer_coding_not_served"
    status = 501


class VersionNotServedError(InvalidRequestError):
    """A version of HTTP that is not spoken."""

    code = "http_version_not_served"
    status = 505


class ExpectationError(InvalidRequestError):
    """An `Expect` header that can't be met."""

    code = "expectation_failed"
    status = 417


class RequestTimeoutError(InvalidRequestError):
    """A request that did not arrive in time; its connection is closed."""

    code = "request_timeout"
    status = 408


class NotFoundError(InvalidRequestError):
    """A path that is not served."""

    code = "not_found"
    status = 404
    kind = "not_found_error"


class MethodNotAllowedError(InvalidRequestError):
    """A path that is served with another method."""

    code = "method_not_allowed"
    status = 405


class NotServedError(InvalidRequestError):
    """A part of the API that this server does not offer yet; refused so that it's never silently left out."""

    code = "unsupported"


class ClientClosedError(UndicedError):
    """The client went away; nobody reads this, but metrics count it."""

    code = "client_closed_request"
    status = 499


def new_request_id() -> str:
    """The id of a request whose client gave none."""
    return "req_" + secrets.token_hex(12)


def error_object(error: UndicedError, request_id: str) -> dict[str, object]:
    """The `error` member that OpenAI and Cerebras clients read."""
    told = {"message": str(error), "type": error.kind, "param": error.param, "code": error.code, "id": request_id}
    return told | ({"limit": error.limit} if isinstance(error, LimitExceededError) else {})


def error_body(error: UndicedError, request_id: str, path: str = "") -> bytes:
    """The JSON body of an error response, as clients of that path read it."""
    if path in anthropic.PATHS:
        return anthropic.error_body(error, request_id)
    return encode({"error": error_object(error, request_id), "status_code": error.status})


def error_event(error: UndicedError, request_id: str) -> bytes:
    """A server-sent event that carries an error; `status_code` tells the Cerebras client which exception to raise."""
    return b"data: " + error_body(error, request_id) + b"\n\n"


def retry_headers(error: UndicedError, default_s: float, *, path: str = "") -> dict[str, str]:
    """`retry-after` in whole seconds for errors that pass, nothing for others. Where limits or money are short also how
    the limits stand, as clients of that path read it.
    """
    if isinstance(error, HeldBackError):
        return standing_headers(error.standings, time.time(), anthropic=path in anthropic.PATHS) | _again(error)
    if error.status not in (429, 503):
        return {}
    known_s = error.retry_after_s if isinstance(error, QueueFullError | UnavailableError) else None
    wait_s = default_s if known_s is None else known_s
    return {"retry-after": str(min(MAX_RETRY_AFTER_S, max(1, math.ceil(wait_s))))}


def _again(error: HeldBackError) -> dict[str, str]:
    """When a limit has room again: the whole truth, and that it is not worth waiting for within a call."""
    if not isinstance(error, LimitExceededError):
        return _NEVER if isinstance(error, InsufficientCreditError) else {}
    wait_s = max(error.retry_after_s, 0.001)
    headers = {"retry-after": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(wait_s * 1000))}
    if wait_s > MAX_RETRY_AFTER_S or error.limit["window_s"] == DAY_S:
        headers |= _NEVER
    return headers


def error_response(
    error: UndicedError,
    request_id: str,
    *,
    path: str = "",
    retry_after_s: float = 5.0,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as an HTTP response."""
    fields = {**retry_headers(error, retry_after_s, path=path), **(headers or {})}
    if isinstance(error, RequestTimeoutError):
        fields["connection"] = "close"
    if isinstance(error, KeyRefusedError):
        fields["www-authenticate"] = "Bearer"
    return Response(error_body(error, request_id, path), error.status, headers=fields, media_type="application/json")
