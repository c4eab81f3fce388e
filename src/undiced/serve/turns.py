"""Turns: which prompt comes next in a step. The rule by which prompts share a step's token budget.

Half of the budget is the eldest prompt's, so that nobody starves; the rest goes to the smallest first, so that a short
prompt waits for its like and not for long ones. Whatever one of them leaves is the other's. Knows no pages and no time.

With b prompt tokens per step, a prompt of w tokens has been read after at most 2 (w + s) / b steps and one more, where
s is what those before it need: of any other prompt at most w tokens, or all of it if that is of a higher class. And it
has been read after at most 2 (w + e) / b steps, one more, and one for each that is older, where e is what those need,
however many others come. Both hold as long as it finds a slot and pages. Larger prompts under way give up theirs for
it, but the eldest does not.

Of those that wait, nobody but the eldest starts before a smaller one of its class, nor before any of a higher class; if
the smallest finds no pages, the others wait as well. The size of the one that starts is what it has to compute as of
now. The others' is by what the prefix cache held when they were last looked at: when they came, and whenever they were
the smallest. So one whose prefix has come into the cache meanwhile may count as larger than it has become, but none
starts because it counts as smaller than it is. Preempted ones resume by size among the rest, the oldest of them first.

All of that is for one account. With several, each class serves the account first that was served least (`Shares`); one
with few sequences goes first while it was served no more than a step's tokens beyond that. "The eldest" is then the
eldest of that account, "the smallest" its smallest, and who finds no pages keeps only its own account waiting. So what
is said above holds of a prompt and the others of its account, in the steps that are its account's. The eldest of all
is left out eight steps in a row at most, and is then "the eldest": whoever else comes, a prompt has been read after at
most nine times the 2 (w + e) / b steps, one more, and one for each that is older, as long as it finds a slot and pages.
When the last of a prompt of one with few sequences is read, the step takes on no more of those with many but the
eldest's half: the first token comes with its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.sequence import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.serve.queue import Line, WaitingQueue
    from undiced.serve.sequence import Sequence
    from undiced.serve.shares import Account


class Turns:
    """The turns of one step.

    Args:
        prompts: under way, oldest first.
        preempted: that would resume, oldest first.
        waiting: that would start.
        modest: whether an account has few sequences, if there are several accounts; see `Shares.modest`.
        slack: by how much such a one may have been served more and still goes first.
    """

    def __init__(
        self,
        prompts: list[Sequence],
        preempted: list[Sequence],
        waiting: WaitingQueue,
        modest: Callable[[Account], bool] | None = None,
        slack: int = 0,
    ) -> None:
        self._modest = modest
        self._slack = slack
        self._prompts = prompts
        self._resuming = list({sequence.share.account: sequence for sequence in reversed(preempted)}.values())
        self._waiting: WaitingQueue | None = waiting
        self._refused: set[Account] = set()
        self._full = False

    @property
    def _lines(self) -> list[Line]:
        """Of those that may start."""
        lines = self._waiting.lines if self._waiting else []
        if not self._refused:
            return lines
        reading = {prompt.share.account for prompt in self._prompts} if self._full else set()
        return [
            line
            for line in lines
            if line.share.account not in self._refused and (not self._full or line.share.account in reading)
        ]

    def eldest(self) -> Sequence | None:
        """The first of all by `order`."""
        heads = (*self._prompts[:1], *self._resuming, *(line.eldest for line in self._lines))
        return min(heads, key=_order, default=None)

    def favored(self) -> Sequence | None:
        """The first by `order`, of those in each class whose account is next. With one account: the eldest."""
        heads = [*self._prompts, *self._resuming, *(line.eldest for line in self._lines)]
        rank = self._rank(heads)
        best: dict[int, Sequence] = {}
        for head in heads:
            rival = best.setdefault(head.share.priority, head)
            if (rank(head), head.order) < (rank(rival), rival.order):
                best[head.share.priority] = head
        return min(best.values(), key=_order, default=None)

    def join(self, sequence: Sequence) -> None:
        """The sequence has started, and will have its turn as the others under way."""
        self._prompts.append(sequence)
        if sequence in self._resuming:
            self._resuming.remove(sequence)

    def refuse(self, sequence: Sequence, *, full: bool = False) -> None:
        """The sequence could not start; nor will those of its account that are larger. If it is `full`, others start
        only if they may take the place of a prompt of their own account.
        """
        self._refused.add(sequence.share.account)
        self._full = full

    def close(self) -> None:
        """Nobody starts any more."""
        self._resuming, self._waiting = [], None

    def next(self) -> Sequence | None:
        """The smallest of the account served least, of those that have not had their turn, or None. One that is not
        running yet has to start.
        """
        under_way = [sequence for sequence in self._prompts if sequence.state is State.RUNNING]  # still
        heads = [*under_way, *self._resuming, *(line.smallest for line in self._lines)]
        rank = self._rank(heads)
        sequence = min(heads, key=lambda head: (rank(head), head.size), default=None)
        return None if sequence is None else self.take(sequence)

    def _rank(self, heads: list[Sequence]) -> Callable[[Sequence], tuple[int, bool, int]]:
        """The higher class goes first, then who has few sequences and hasn't been served much more, then who was served
        least.
        """
        modest = self._modest
        if modest is None:
            return _by_counter
        least: dict[int, int] = {}
        for head in heads:
            share = head.share
            least[share.priority] = min(least.get(share.priority, share.served), share.served)

        def rank(head: Sequence) -> tuple[int, bool, int]:
            share = head.share
            near = share.served <= least[share.priority] + self._slack
            return share.priority, not (near and modest(share.account)), share.served

        return rank

    def take(self, sequence: Sequence) -> Sequence:
        """It is this sequence's turn, and not again in this step."""
        if sequence in self._prompts:
            self._prompts.remove(sequence)
        elif sequence in self._resuming:
            self._resuming.remove(sequence)
        return sequence


def _order(sequence: Sequence) -> tuple[float, int]:
    return sequence.order


def _by_counter(head: Sequence) -> tuple[int, bool, int]:
    return head.share.priority, False, head.share.served
