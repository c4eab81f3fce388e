"""Speculative decoding on wafers: guesses run ahead, the target verifies. Arithmetic over timings; knows no program.

The target's places form a pipeline. A round begins with a token that is known; its row enters at once, and each guess
follows as a row of its own as soon as it is there and the row before has made way. Nothing waits for a whole draft. A
guess is wrong where the row before it draws another token. With that the round ends: the token that was drawn begins
the next, and rows behind it are in vain. They can't be called back and drain ahead of the next round. What they leave
in caches is overwritten by the rows that take their positions, before anything attends to it (`program/wafer/rings`).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import floor

from undiced.sim.acceptance import LENGTH_MAX, Acceptance
from undiced.sim.clock import Timing


@dataclass(frozen=True, slots=True)
class Guesses:
    """Where guesses come from, in cycles of the target's clock.

    Attributes:
        turn_cycles: both crossings: to the draft with a token, to the target with a guess.
        each_cycles: from one guess to the next; 0: all are there at once.
        interval_cycles: what the draft's slowest place takes for a token: what it does in vain drains, too.
    """

    turn_cycles: float
    each_cycles: float = 0.0
    interval_cycles: float = 0.0

    @classmethod
    def drafted(cls, draft: Timing, turn_s: float, clock_hz: float) -> Guesses:
        """By a model that guesses token by token."""
        scale = clock_hz / draft.clock_hz
        return cls(turn_s * clock_hz, draft.token_cycles * scale, draft.initiation_interval_cycles * scale)


@dataclass(frozen=True, slots=True)
class Round:
    """A round with so many right guesses: until the next begins, the target's rows and the draft's tokens that it took,
    those in vain included."""

    cycles: float
    rows: int
    drafted: int


@dataclass(frozen=True, slots=True)
class Speculation:
    """One choice of length.

    Attributes:
        length: guesses of a round at most; 0: none are made.
        tokens: expected tokens of a round, the target's own included; cycles, rows: of it, expected.
        drafted: tokens that the draft computes in a round, expected.
    """

    acceptance: Acceptance
    length: int
    tokens: float
    cycles: float
    rows: float
    drafted: float
    clock_hz: float

    @property
    def tokens_per_second(self) -> float:
        """Of one user."""
        return self.tokens * self.clock_hz / self.cycles


def speculate(target: Timing, guesses: Guesses, acceptance: Acceptance, held: int = LENGTH_MAX) -> Speculation:
    """The length with the most tokens per second, the shortest of equals; none where guesses do not pay. `held`: wrong
    guesses that caches can take back."""
    most = len(_entered(target, guesses, min(LENGTH_MAX, held, len(acceptance.shares)))) - 1
    choices = (_expected(target, guesses, acceptance, length) for length in range(most + 1))
    return max(choices, key=lambda choice: choice.tokens_per_second)


def rounds(target: Timing, guesses: Guesses, length: int) -> list[Round]:
    """Rounds with 0, 1, ... right guesses, up to `length` or as many as come in time. The next round begins once its
    token is known and what was done in vain is no longer in its way, in the target and in the draft.

    Rows are as far apart as the slowest place takes, and so never wait for each other further on.
    """
    entered, found = _entered(target, guesses, length), []
    for at in entered:
        known = at + target.token_cycles
        rows = bisect_right(entered, known)
        clear = entered[rows - 1] + target.initiation_interval_cycles
        drafted = _drafted(guesses, known, length)
        free = (drafted - 1) * guesses.each_cycles + guesses.interval_cycles if drafted else 0.0
        found.append(Round(max(known, clear, free), rows, drafted))
    return found


def _entered(target: Timing, guesses: Guesses, length: int) -> list[float]:
    """When a round's rows enter: fewer where a guess comes later than the token that it foretells."""
    entered = [0.0]
    for number in range(1, length + 1):
        there = guesses.turn_cycles + number * guesses.each_cycles
        if there >= entered[-1] + target.token_cycles:
            break
        entered.append(max(there, entered[-1] + target.initiation_interval_cycles))
    return entered


def _drafted(guesses: Guesses, known: float, length: int) -> int:
    """Tokens that the draft takes until it hears what was drawn: the one that begins the round and its own guesses. Of
    a whole round it takes the last guess, too, whose keys and values the next round needs."""
    if not (guesses.each_cycles and length):
        return 0
    return 1 + min(length, floor(known / guesses.each_cycles))


def _expected(target: Timing, guesses: Guesses, acceptance: Acceptance, length: int) -> Speculation:
    """Rounds are alike and independent, so that tokens by cycles of one are those of many."""
    each = list(zip(acceptance.chances(length), rounds(target, guesses, length), strict=True))
    made, plain = acceptance.made, 1 - acceptance.made  # a round without guesses is a token of the target alone
    tokens = made * sum(chance * (right + 1) for right, (chance, _) in enumerate(each)) + plain
    cycles = made * sum(chance * one.cycles for chance, one in each) + plain * target.token_cycles
    rows = made * sum(chance * one.rows for chance, one in each) + plain
    drafted = made * sum(chance * one.drafted for chance, one in each)
    return Speculation(acceptance, length, tokens, cycles, rows, drafted, target.clock_hz)
