"""Strangers: connections that have not yet sent a request that was let in. They have a part of a server's places at
most: when more come, the one that has kept silent longest makes room, so that who has a key always finds a place.

Knows no bytes: connections say when somebody comes, was answered, or leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from undiced.api.caller import CALLER

if TYPE_CHECKING:
    from undiced.api.exchange import Exchange


class Stranger(Protocol):
    """What is known of a connection."""

    @property
    def exchange(self) -> Exchange | None:
        """Its request that was begun last."""

    def give_way(self) -> None:
        """Close it: others want its place."""


class Strangers:
    """See the file's head. `most`: of them at once; None: as many as there are places."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._all: dict[Stranger, None] = {}  # whoever has kept silent longest comes first

    def __contains__(self, one: Stranger) -> bool:
        return one in self._all

    def came(self, one: Stranger) -> None:
        """Somebody comes; another one goes if they are too many. Who waits for an answer stays."""
        self._all[one] = None
        if self._most is None or len(self._all) <= self._most:
            return
        for known in [each for each in self._all if _let_in(each)]:
            self.left(known)
        silent = [each for each in self._all if each is not one and not _waits(each)]
        for each in silent[: max(0, len(self._all) - self._most)]:
            self.left(each)
            each.give_way()

    def answered(self, one: Stranger) -> None:
        """A request was answered: it was let in, or its sender is heard of now."""
        if self._all.pop(one, self) is self:
            return
        if not _let_in(one):
            self._all[one] = None

    def left(self, one: Stranger) -> None:
        """It is gone, or no stranger any more."""
        self._all.pop(one, None)


def _let_in(one: Stranger) -> bool:
    return one.exchange is not None and CALLER in one.exchange.scope


def _waits(one: Stranger) -> bool:
    """Whether it has sent a request and has no answer yet."""
    exchange = one.exchange
    return exchange is not None and exchange.complete and not exchange.ended
