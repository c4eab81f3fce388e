"""Office: takes requests to the management API one by one: reads what is sent, lets the accounts do it on a thread, and
says what came of it. Knows HTTP, and no act by its name.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.account.actor import Actor
from undiced.account.errors import DatabaseAwayError, DatabaseError, UnknownNameError
from undiced.api.body import Bodies
from undiced.api.caller import CALLER
from undiced.api.encoding import encode
from undiced.api.errors import NotFoundError
from undiced.api.management.asked import Asked, Page
from undiced.api.management.bodies import read_body
from undiced.core.errors import InvalidRequestError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from undiced.account.accounts import Accounts
    from undiced.account.keyring import Caller
    from undiced.api.management.act import Act
    from undiced.api.settings import Settings

_THREADS = 4  # acts at once
_WAITING = 64  # acts that run or wait
_NOBODY = "invitation"  # who has no key acts with what it sends
_log = logging.getLogger("undiced.accounts")


class Office:
    """See the file's head."""

    def __init__(self, accounts: Accounts, settings: Settings) -> None:
        self._accounts = accounts
        self._threads = ThreadPoolExecutor(_THREADS, "accounts")
        self._inside = 0
        self.bodies = Bodies(settings)

    def close(self) -> None:
        """Take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def endpoint(self, act: Act) -> Callable[[Request], Awaitable[Response]]:
        """What answers requests for an act."""

        async def answer(request: Request) -> Response:
            with self.bodies.budget.hold() as held:
                body = await self.bodies.whole(request, held) if request.method == "POST" else b""
                asked = self._asked(act, request, body)
                made = await self._done(act, asked)
            told = {"object": "list", "data": made.data, "has_more": made.has_more} if isinstance(made, Page) else made
            headers = {"cache-control": "no-store"}  # all of it is of the caller alone, and some is shown once
            return Response(encode(told), act.status, headers=headers, media_type="application/json")

        return answer

    def _asked(self, act: Act, request: Request, body: bytes) -> Asked:
        query, lists = _query(act, request)
        if act.body is None and body.strip() not in (b"", b"{}"):
            raise InvalidRequestError("Nothing is sent here.", remedy="Leave the body out.")
        caller: Caller | None = request.scope.get(CALLER)
        request_id: str = request.scope["undiced.request_id"]
        actor = (
            Actor(_NOBODY, request_id=request_id, scopes=frozenset()) if caller is None else caller.actor(request_id)
        )
        sent = None if act.body is None else read_body(body, act.body)
        return Asked(self._accounts, actor, dict(request.path_params), query, sent, lists)

    async def _done(self, act: Act, asked: Asked) -> Page | dict[str, object]:
        """Raises what the accounts raise, as clients shall read it."""
        if self._inside >= _WAITING:
            raise _away("Too many changes are waiting.")
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act.do, asked)
        except UnknownNameError as error:
            raise _unknown(error, act, asked) from None
        except (DatabaseError, DatabaseAwayError) as error:
            _log.warning("%s: the accounts' database can't be used: %s", act.name, error)
            raise _away("The accounts can't be used now.") from None
        finally:
            self._inside -= 1


def _query(act: Act, request: Request) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """The members of a query, each known and given once; and those that may be given several times, whose names clients
    write with or without `[]`.
    """
    query: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for name, value in request.query_params.multi_items():
        if (plain := name.removesuffix("[]")) in act.lists:
            lists[plain] = (*lists.get(plain, ()), value)
        elif name not in act.query:
            known = ", ".join((*act.query, *act.lists))
            remedy = f"There are {known}." if known else "Leave it out."
            raise InvalidRequestError(f"{name[:64]} is not known here.", remedy=remedy, param=name[:64])
        elif name in query:
            raise InvalidRequestError("A member of the query is given twice.", remedy="Send it once.")
        else:
            query[name] = value
    return query, lists


def _unknown(error: UnknownNameError, act: Act, asked: Asked) -> InvalidRequestError:
    """A name that names nothing: 404 where the path has it, else 400 with the member that has it."""
    param = error.param or ""
    place = act.path.partition(f"/{{{param}}}")[0] if param in asked.path else f"/management/v1/orgs/{{org}}/{param}s"
    for name, value in asked.path.items():
        place = place.replace(f"{{{name}}}", value[:80])
    remedy = f"GET {place} lists those that there are."
    kind = NotFoundError if param in asked.path else InvalidRequestError
    return kind(error.message, remedy=remedy, param=param)


def _away(message: str) -> UnavailableError:
    return DatabaseAwayError(message, remedy="Try again.", retry_after_s=1.0)
