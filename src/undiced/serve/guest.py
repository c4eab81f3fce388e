"""Guest: an account whose only sequence a step reads to its end; the step shall not last much longer for others.

Whoever comes now and then waits for one step to end, and for the one that reads it. Those that flood the engine have
what is left of that one, within a share of its time, and all of the others. Knows the tokens of one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.serve.pace import Pacer
    from undiced.serve.sequence import Sequence
    from undiced.serve.shares import Account


class Guest:
    """The guest of one step, if it has one."""

    def __init__(self, pacer: Pacer, modest: Callable[[Account], bool] | None) -> None:
        self._pacer = pacer
        self._modest = modest
        self._read = 0  # prompt tokens of the step
        self._account: Account | None = None
        self._left = 0  # that others may add

    def room(self, sequence: Sequence, budget: int) -> int:
        """Tokens that a sequence may have of so many."""
        if self._account is None or sequence.share.account is self._account:
            return budget
        return min(budget, self._left)

    def count(self, tokens: int, sequence: Sequence) -> int:
        """The step reads so many tokens of a sequence; returns them."""
        self._read += tokens
        if self._account is None:
            if self._modest and tokens and not sequence.left and self._modest(sequence.share.account):
                self._account = sequence.share.account
                self._left = self._pacer.beside(self._read)
        elif sequence.share.account is not self._account:
            self._left -= tokens
        return tokens
