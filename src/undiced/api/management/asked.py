"""Asked: one request to the management API, read: who asks, what the path and the query say, and the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from undiced.api.management.shapes import shown
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from msgspec import Struct

    from undiced.account.accounts import Accounts
    from undiced.account.actor import Actor
    from undiced.api.management.shapes import Record

PAGE_USUAL, PAGE_MOST = 100, 500
_FLAGS = {"true": True, "false": False}
Body = TypeVar("Body", bound="Struct")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and whether there is more behind it."""

    data: list[dict[str, object]]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """See the file's head. `lists`: members of the query that may be given several times. `body`: None where nothing is
    sent.
    """

    accounts: Accounts
    actor: Actor
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Struct | None = None
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sent(self, kind: type[Body]) -> Body:
        """The body."""
        assert isinstance(self.body, kind)
        return self.body

    def flag(self, name: str) -> bool:
        """A switch of the query; off where it is not there.

        Raises:
            InvalidRequestError: it is neither true nor false.
        """
        text = self.query.get(name, "false")
        if text not in _FLAGS:
            raise InvalidRequestError(f"{name} is '{text[:40]}'.", remedy="Use true or false.", param=name)
        return _FLAGS[text]

    def number(self, name: str, usual: int, most: int) -> int:
        """A number of the query from 1 to `most`.

        Raises:
            InvalidRequestError: it is none.
        """
        text = self.query.get(name, str(usual))
        if text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most:
            return int(text)
        raise InvalidRequestError(f"{name} is '{text[:40]}'.", remedy=f"Use 1 to {most}.", param=name)

    @property
    def now(self) -> int:
        """The database's time, in Unix seconds."""
        with self.accounts.database.read() as transaction:
            return transaction.now

    @property
    def limit(self) -> int:
        """How many objects of a list are asked for."""
        return self.number("limit", PAGE_USUAL, PAGE_MOST)

    def page(self, listed: Callable[..., Sequence[Record]]) -> Page:
        """The part of a list that is asked for; `listed` takes `after` and `limit`.

        Raises:
            InvalidRequestError: nothing in the list has the id that `after` says.
        """
        limit = self.limit
        found = listed(after=self.query.get("after"), limit=limit + 1)
        return Page([shown(each) for each in found[:limit]], len(found) > limit)
