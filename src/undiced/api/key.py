"""The server's key: whether a request carries it. One key for all; knows neither users nor what a request asks for."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

from undiced.api.page import is_page
from undiced.core.errors import InvalidRequestError, KeyRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Scope

_OPEN = "/health"  # supervisors look at it
_SENDABLE = re.compile(r"[!-~]{1,512}")
_SCHEME = b"bearer "


class Lock:
    """Holds requests against a key; without one everything is open.

    Raises:
        InvalidRequestError: the key could not be sent in a header.
    """

    def __init__(self, key: str | None) -> None:
        if key is not None and not _SENDABLE.fullmatch(key):
            raise InvalidRequestError(
                "The API key has to be 1 to 512 visible ASCII characters without spaces.",
                remedy="Make one with: openssl rand -hex 24.",
            )
        self._key = None if key is None else key.encode()

    def refusal(self, scope: Scope) -> KeyRefusedError | None:
        """Why a request is not answered, or None."""
        path: str = scope["path"]
        if self._key is None or path == _OPEN or is_page(path):  # the page asks its user for the key
            return None
        given = list(_keys(scope["headers"]))
        if not given:
            return KeyRefusedError("No API key was sent.", remedy="Send the header 'Authorization: Bearer KEY'.")
        if sum([hmac.compare_digest(key, self._key) for key in given]) < len(given):  # all of them, whatever comes out
            return KeyRefusedError("The API key is wrong.", remedy="Send the key that the server was started with.")
        return None


def _keys(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    for name, value in headers:
        if name == b"x-api-key":
            yield value.strip()
        elif name == b"authorization":
            yield value[len(_SCHEME) :].strip() if value[: len(_SCHEME)].lower() == _SCHEME else value
