"""Shares: how much each account has been served, so that the next one served is the one that was served least.

A virtual token counter per account and priority class, as in "Fairness in Serving Large Language Models" (Sheng and
others, OSDI 2024): it grows by what is computed for the account. An account that comes back to wait is lifted to the
smallest counter of those that wait, so that idling earns nothing. Knows neither queues nor steps.

Memory is that of the accounts with sequences alive, and of the counters of the last 1,024 that left: one that has used
more than others does not lose that by leaving for a moment. A class that has nobody left forgets them all.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PROMPT_WEIGHT, OUTPUT_WEIGHT = 1, 2  # what a token counts for; the paper's. A token out of the prefix cache: nothing
_REMEMBERED = 1024


class Account:
    """An account with sequences alive.

    Attributes:
        name: the request's. alive: how many sequences. slots: how many of them hold a slot.
    """

    __slots__ = ("alive", "name", "slots")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = 0
        self.slots = 0


class Share:
    """What an account has been served in a class.

    Attributes:
        served: its virtual token counter. alive: sequences of this account and class.
    """

    __slots__ = ("account", "alive", "priority", "served")

    def __init__(self, account: Account, priority: int, served: int) -> None:
        self.account = account
        self.priority = priority
        self.served = served
        self.alive = 0


class _Class:
    """The shares of one priority class, the counters of those that left, and who was served last."""

    def __init__(self) -> None:
        self.shares: dict[str, Share] = {}
        self.left: OrderedDict[str, int] = OrderedDict()  # the one that left longest ago first
        self.last: Share | None = None


class Shares:
    """The shares of all accounts with sequences alive."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._classes: dict[int, _Class] = {}
        self._alive = 0

    @property
    def several(self) -> bool:
        """Whether more than one account has sequences alive; with one nothing is ever decided by shares."""
        return len(self._accounts) > 1

    def modest(self, account: Account) -> bool:
        """Whether it has fewer sequences alive than an equal part of all."""
        return account.alive * len(self._accounts) < self._alive

    def enter(self, name: str, priority: int, wanting: Iterable[Share]) -> Share:
        """The share of a new sequence.

        Args:
            wanting: shares with sequences that wait or are read; of those that wait, its own and the one of its class
                that was served least are enough. One that isn't among them has been idle.
        """
        account = self._accounts.setdefault(name, Account(name))
        account.alive += 1
        self._alive += 1
        group = self._classes.setdefault(priority, _Class())
        share = group.shares.get(name)
        if share is None:
            share = group.shares[name] = Share(account, priority, group.left.pop(name, 0))
        share.alive += 1
        if self.several:
            floors = {other: other.served for other in wanting if other.priority == priority}
            if share not in floors:
                share.served = max(share.served, min(floors.values(), default=group.last.served if group.last else 0))
        return share

    def find(self, name: str, priority: int) -> Share | None:
        """The share of an account in a class, if it has sequences alive there."""
        group = self._classes.get(priority)
        return None if group is None else group.shares.get(name)

    def charge(self, share: Share, prompt_tokens: int) -> None:
        """Prompt tokens are being computed for it."""
        share.served += PROMPT_WEIGHT * prompt_tokens
        self._classes[share.priority].last = share

    def leave(self, share: Share) -> None:
        """One of its sequences has ended."""
        account, group = share.account, self._classes[share.priority]
        share.alive -= 1
        account.alive -= 1
        self._alive -= 1
        if not account.alive:
            del self._accounts[account.name]
        if share.alive:
            return
        del group.shares[account.name]
        group.left[account.name] = share.served
        if len(group.left) > _REMEMBERED:
            group.left.popitem(last=False)
        if not group.shares:
            del self._classes[share.priority]


def has_place(waiting: int, own: int, accounts: int, most: int) -> bool:
    """Whether a queue for `most` takes one more of an account that has `own` in it.

    It does while it isn't full, and beyond that while the account has less than an equal share, so that nobody is
    refused for what others send. That many `accounts` are in it, the one that asks included. The k-th account to come
    finds at most most / k places: the queue holds at most most * (1 + 1/2 + 1/3 + ...).
    """
    return waiting < most or own < most // accounts
