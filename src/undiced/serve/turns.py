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
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.sequence import State

if TYPE_CHECKING:
    from undiced.serve.queue import WaitingQueue
    from undiced.serve.sequence import Sequence


class Turns:
    """The turns of one step.

    Args:
        prompts: under way, oldest first.
        preempted: that would resume, oldest first.
        waiting: that would start.
    """

    def __init__(self, prompts: list[Sequence], preempted: list[Sequence], waiting: WaitingQueue) -> None:
        self._prompts = prompts
        self._resuming = preempted[0] if preempted else None
        self._waiting: WaitingQueue | None = waiting

    def eldest(self) -> Sequence | None:
        """The first of all by `order`."""
        heads = (*self._prompts[:1], self._resuming, self._waiting.eldest() if self._waiting else None)
        return min((head for head in heads if head is not None), key=lambda head: head.order, default=None)

    def join(self, sequence: Sequence) -> None:
        """The sequence has started, and will have its turn as the others under way."""
        self._prompts.append(sequence)
        if sequence is self._resuming:
            self._resuming = None

    def refuse(self, sequence: Sequence) -> None:
        """The sequence could not start; nor will those of its kind that are larger."""
        if sequence is not self._resuming:
            self._waiting = None

    def close(self) -> None:
        """Nobody starts any more."""
        self._resuming = self._waiting = None

    def next(self) -> Sequence | None:
        """The smallest of those that have not had their turn, or None. One that is not running yet has to start."""
        under_way = [sequence for sequence in self._prompts if sequence.state is State.RUNNING]  # still
        heads = (*under_way, self._resuming, self._waiting.smallest() if self._waiting else None)
        sequence = min((head for head in heads if head is not None), key=lambda head: head.size, default=None)
        return None if sequence is None else self.take(sequence)

    def take(self, sequence: Sequence) -> Sequence:
        """It is this sequence's turn, and not again in this step."""
        if sequence in self._prompts:
            self._prompts.remove(sequence)
        elif sequence is self._resuming:
            self._resuming = None
        return sequence
