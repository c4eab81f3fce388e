"""The door: what the connections of one server share, and what is told to those that find no place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.api.errors import error_response, new_request_id
from undiced.api.request_log import entry_of
from undiced.core.errors import UnavailableError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from undiced.api.budget import Budget
    from undiced.api.connection import Connection
    from undiced.api.settings import Settings
    from undiced.api.strangers import Strangers


@dataclass(frozen=True, slots=True)
class Door:
    """What the connections of one server share.

    Attributes:
        most: connections at once. strangers: those that were not let in yet.
        lingering: connections that only wait for their clients' end; they don't count.
    """

    limits: Settings
    budget: Budget
    most: int
    strangers: Strangers
    lingering: set[Connection] = field(default_factory=set)


def too_many() -> UnavailableError:
    """Why a connection has no place."""
    return UnavailableError("The server has too many connections.", remedy="Try again in a few seconds.")


async def turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    """The whole application of a connection over the limit."""
    error = too_many()
    entry = entry_of(scope, new_request_id())
    entry.status, entry.error = error.status, error.code
    entry.write()
    await error_response(error, entry.request_id, headers={"connection": "close"})(scope, receive, send)
