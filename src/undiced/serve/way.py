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
    from collections.abc import Iterator

    from undiced.serve.queue import Line
    from undiced.serve.sequence import Sequence
    from undiced.serve.shares import Account, Share


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

    def claimants(self, lines: list[Line]) -> Iterator[Share]:
        """Shares that may take a place, the highest class first, then the one served least."""
        most, lowest = 0, 0
        richest: dict[int, int] = {}
        for one in self._seated:
            share = one.share
            most, lowest = max(most, share.account.slots), max(lowest, share.priority)
            richest[share.priority] = max(richest.get(share.priority, 0), share.served)
        few = [
            share
            for share in (line.share for line in lines)
            if share.account.slots + 2 <= most
            and (share.priority < lowest or share.served <= richest.get(share.priority, -1))
        ]
        for share in sorted(few, key=lambda share: (share.priority, share.served)):
            if self.victim(share, [], seat=True) is not None:
                yield share

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
            and left.get(one.share.account, one.share.account.slots) >= share.account.slots + 2
            and self._outranks(share, one.share)
        ]
        return max(able, key=yields, default=None)

    def _outranks(self, share: Share, other: Share) -> bool:
        if share.priority != other.priority:
            return share.priority < other.priority
        return share.served <= other.served
