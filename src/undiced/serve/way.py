"""Way: who gives way to whom when slots or pages are short and there are several accounts. Looks, and moves nobody.

For a page: the youngest of the account that holds most slots; among lower classes first, and between equals of the one
served more. The eldest of all that run never does.

For a place among those that run: an account that waits and holds at least two slots fewer than another takes one of
its, if it was served no more. So it holds no more than the other afterwards, and nobody takes a place to and fro. A
sequence of a lower class gives way whatever was served, one of a higher class never. As long as there are more slots
than accounts, then, who holds none waits for no answer of an account that was served as much or more: for the steps in
flight alone. Who gives way goes on later, its pages mostly out of the prefix cache, and says the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.sequence import State

if TYPE_CHECKING:
    from collections.abc import Generator

    from undiced.serve.queue import WaitingQueue
    from undiced.serve.sequence import Sequence
    from undiced.serve.shares import Account, Share

_APART = 2  # slots by which accounts may differ before one takes a place of the other


def yields(sequence: Sequence) -> tuple[int, int, int, tuple[float, int]]:
    """Whose is greatest gives way first."""
    share = sequence.share
    return share.priority, share.account.slots, share.served, sequence.order


class Way:
    """Places as of now.

    Args:
        running, preempted: all that hold slots; oldest first.
        spared: one that doesn't give way; nor does the eldest that runs.
    """

    def __init__(self, running: list[Sequence], preempted: list[Sequence], spared: Sequence | None) -> None:
        self._seated = [one for one in (*running[1:], *preempted) if one is not spared and not one.flights]

    def claimants(self, waiting: WaitingQueue) -> Generator[Share]:
        """Shares that may take a place, the highest class first, then the one served least. Looks at those alone, and
        at accounts that hold slots: however many wait.
        """
        most = max((one.share.account.slots for one in self._seated), default=0)
        if most < _APART:
            return
        for priority in waiting.classes:
            for share in waiting.by_served(priority):
                if not self._has_better(share, 0):
                    break  # nor has anybody who was served more
                if self._has_better(share, share.account.slots):
                    yield share

    def _has_better(self, share: Share, slots: int) -> bool:
        """Whether somebody has a place that a share could take if its account held so many."""
        return any(
            one.share.account.slots >= slots + _APART and self._outranks(share, one.share) for one in self._seated
        )

    def victim(self, share: Share, others: list[Sequence], *, seat: bool) -> Sequence | None:
        """Who gives way next to a share, after `others` have; if a `seat` is what it needs, and not only pages."""
        left: dict[Account, int] = {}
        for one in others:
            left[one.share.account] = left.get(one.share.account, one.share.account.slots) - 1
        able = [
            one
            for one in self._seated
            if one not in others
            and (seat or one.state is State.RUNNING)
            and left.get(one.share.account, one.share.account.slots) >= share.account.slots + _APART
            and self._outranks(share, one.share)
        ]
        return max(able, key=yields, default=None)

    def _outranks(self, share: Share, other: Share) -> bool:
        if share.priority != other.priority:
            return share.priority < other.priority
        return share.served <= other.served
