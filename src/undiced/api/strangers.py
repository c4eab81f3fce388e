"""Strangers: connections that have not yet sent a request that was let in. They have a part of a server's places at
most: when more come, the one that has kept silent longest makes room, so that who has a key always finds a place. Nor
does one organization keep more than that part of the places while others want them.

Knows no bytes: connections say when somebody comes, was answered, or leaves.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from undiced.api.caller import CALLER, org_of

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
        self._known: dict[Stranger, str] = {}  # the same of the others, with the organization; '' is the operator's

    def __contains__(self, one: Stranger) -> bool:
        return one in self._all

    def came(self, one: Stranger) -> None:
        """Somebody comes; another one goes if they are too many. Who waits for an answer stays."""
        self._all[one] = None
        if self._most is None or len(self._all) <= self._most:
            return
        self._meet()
        silent = [each for each in self._all if each is not one and not _waits(each)]
        for each in silent[: max(0, len(self._all) - self._most)]:
            self.left(each)
            each.give_way()

    def answered(self, one: Stranger) -> None:
        """A request was answered: it was let in, or its sender is heard of now."""
        if _let_in(one):
            self._know(one)
        elif self._all.pop(one, self) is None:
            self._all[one] = None

    def make_room(self) -> bool:
        """There is no place for somebody who comes: a stranger will go if they have their part; else one of an
        organization that has more than that gives way. Who waits for an answer stays. False if nobody goes.
        """
        if self._most is None:
            return False
        self._meet()
        if len(self._all) >= self._most:
            return not all(_waits(each) for each in self._all)
        (holder, count), *_ = Counter(self._known.values()).most_common(1) or [("", 0)]
        idle = (each for each, whose in self._known.items() if whose == holder and not _waits(each))
        if count <= self._most or (one := next(idle, None)) is None:
            return False
        self.left(one)
        one.give_way()
        return True

    def left(self, one: Stranger) -> None:
        """It is gone."""
        self._all.pop(one, None)
        self._known.pop(one, None)

    def _meet(self) -> None:
        """Whoever was let in meanwhile is no stranger any more."""
        for each in [each for each in self._all if _let_in(each)]:
            self._know(each)

    def _know(self, one: Stranger) -> None:
        """It was let in, and is heard of now."""
        self.left(one)
        if self._most is not None and one.exchange is not None:
            self._known[one] = org_of(one.exchange.scope[CALLER])


def _let_in(one: Stranger) -> bool:
    return one.exchange is not None and CALLER in one.exchange.scope


def _waits(one: Stranger) -> bool:
    """Whether it has sent a request and has no answer yet."""
    exchange = one.exchange
    return exchange is not None and exchange.complete and not exchange.ended
