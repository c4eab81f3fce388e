"""Way: a route with the scope that a key needs for it. There is no way without one: what is for everybody says so.

Knows no endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from undiced.account.errors import PermissionDeniedError
from undiced.api.caller import CALLER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from undiced.account.keyring import Caller

OPEN = "open"  # for everybody, without a key
ANY_KEY = "any key"  # for whoever has a key that is good for something


class Way(Route):
    """See the file's head.

    Attributes:
        needs: a scope of keys, `OPEN` or `ANY_KEY`.
    """

    def __init__(self, method: str, path: str, needs: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.needs = needs

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the way, if the caller may.

        Raises:
            PermissionDeniedError: the key lacks the scope, which is named.
        """
        if self.needs != OPEN:
            self._see(scope[CALLER])  # whatever let a request in without saying who asks is a fault, not a permission
        await super().handle(scope, receive, send)

    def _see(self, caller: Caller | None) -> None:
        if caller is None or self.needs == ANY_KEY or self.needs in caller.scopes:
            return
        raise PermissionDeniedError(
            f"This needs the scope '{self.needs}', which the key does not have.", remedy="Use a key that has it."
        )


def open_paths(ways: Iterable[Way]) -> frozenset[str]:
    """The paths that need no key."""
    return frozenset(way.path for way in ways if way.needs == OPEN)
