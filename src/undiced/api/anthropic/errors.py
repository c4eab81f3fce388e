"""Errors as clients of the Messages API read them: their types go by HTTP status. Knows no endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.account.errors import LimitExceededError
from undiced.api.encoding import encode

if TYPE_CHECKING:
    from undiced.core.errors import UndicedError

PATHS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_THREAD = "thread"
_NO_THREADS = {"error_code": "thread_unsupported_request", "unsupported": [_THREAD]}  # clients then go on without


def error_body(error: UndicedError, request_id: str) -> bytes:
    """The JSON body of an error response, and of the event that ends a stream."""
    usual = "invalid_request_error" if error.status < 500 else "api_error"
    found: dict[str, object] = {"type": _TYPES.get(error.status, usual), "message": str(error)}
    if error.param == _THREAD:
        found["details"] = _NO_THREADS
    if isinstance(error, LimitExceededError):
        found["limit"] = error.limit
    return encode({"type": "error", "error": found, "request_id": request_id})
