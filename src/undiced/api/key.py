"""Guards: what a request has to carry to be let in. The one here is the server's only key, or nothing; the one for the
keys of accounts is in `register`. Knows headers, and neither paths nor what a request asks for.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Protocol

from undiced.core.errors import InvalidRequestError, KeyRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undiced.account.keyring import Caller

    Headers = Iterable[tuple[bytes, bytes]]

_SENDABLE = re.compile(r"[!-~]{1,512}")
_SCHEME = b"bearer "


class Guard(Protocol):
    """Lets requests in.

    Attributes:
        asks: whether they have to carry a key. parts: whether there are several callers, who shall not learn of each
            other, nor strangers of any.
    """

    parts: bool

    @property
    def asks(self) -> bool:
        """Whether it does."""

    async def admit(self, headers: Headers) -> Caller | None:
        """Who asks; None where that makes no difference.

        Raises:
            UndicedError: the request is not let in.
        """


class Lock:
    """Holds requests against one key for all; without one everything is open.

    Raises:
        InvalidRequestError: the key could not be sent in a header.
    """

    parts = False

    def __init__(self, key: str | None) -> None:
        if key is not None and not _SENDABLE.fullmatch(key):
            raise InvalidRequestError(
                "The API key has to be 1 to 512 visible ASCII characters without spaces.",
                remedy="Make one with: openssl rand -hex 24.",
            )
        self._key = None if key is None else key.encode()

    @property
    def asks(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    async def admit(self, headers: Headers) -> None:
        """See that every key that is carried is the right one.

        Raises:
            KeyRefusedError: there is none, or another one.
        """
        if self._key is None:
            return
        given = keys_in(headers)
        if not given:
            raise KeyRefusedError("No API key was sent.", remedy="Send the header 'Authorization: Bearer KEY'.")
        if sum([hmac.compare_digest(key, self._key) for key in given]) < len(given):  # all of them, whatever comes out
            raise KeyRefusedError("The API key is wrong.", remedy="Send the key that the server was started with.")


def keys_in(headers: Headers) -> list[bytes]:
    """The keys that a request carries, as Bearer and in x-api-key."""
    found = []
    for name, value in headers:
        if name == b"x-api-key":
            found.append(value.strip())
        elif name == b"authorization":
            found.append(value[len(_SCHEME) :].strip() if value[: len(_SCHEME)].lower() == _SCHEME else value)
    return found
