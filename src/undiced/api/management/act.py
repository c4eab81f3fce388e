"""Act: one thing that can be done over the management API: its path, the scope that a key needs, what is sent and what
is answered. Knows neither HTTP nor what is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgspec import Struct

    from undiced.api.management.asked import Asked, Page
    from undiced.api.management.shapes import Record

    Answer = Page | dict[str, object]


@dataclass(frozen=True, slots=True)
class Act:
    """See the file's head.

    Attributes:
        needs: as of a `Way`. name: for programs that are made from the description; summary: for people.
        makes: what the answer shows; `many`: a page of a list of it.
        query: names of its members; lists: of those that may be given several times.
        body: what is sent; None for nothing.
        status: of the answer. secret: it shows one, for the only time.
    """

    method: str
    path: str
    needs: str
    name: str
    summary: str
    do: Callable[[Asked], Answer]
    makes: type[Record]
    body: type[Struct] | None = None
    query: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    many: bool = False
    status: int = 200
    secret: bool = False
