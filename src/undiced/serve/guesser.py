"""Guesser: what a draft model is to guess in a step, what that cost, and what became of it. Data and arithmetic; runs
nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct, field

from undiced.serve.odds import kind_of

if TYPE_CHECKING:
    from undiced.serve.reading import Reading
    from undiced.serve.sequence import Sequence


class Task(Struct, eq=False):
    """What the draft model does for one sequence.

    Attributes:
        lag: tokens of the sequence that it has to read. wanted: tokens to guess; 0 if there is too much to read first.
        typical, by_kind: how likely guesses are right.
        base: tokens of the sequence before the guesses.
        guesses, kinds: what it guessed, and how sure it was; the first `kept` of them take part in the step.
    """

    sequence: Sequence
    lag: int
    wanted: int
    typical: float
    by_kind: list[float]
    base: int = 0
    guesses: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    kept: int = 0
    _chance: float = 1.0

    @property
    def reading(self) -> Reading:
        """How far the draft model has read the sequence."""
        reading = self.sequence.reading
        assert reading is not None
        return reading

    def add(self, guess: int, logprob: float, worth: Worth, drafting: int) -> bool:
        """Take in a guess; returns whether another one is worth a step that so many sequences share."""
        kind = kind_of(logprob)
        self.guesses.append(guess)
        self.kinds.append(kind)
        self._chance *= self.by_kind[kind]
        if self._chance < worth.row:
            return False
        self.kept += 1
        return self.kept < self.wanted and self._chance * self.typical >= worth.guess(drafting)

    def learn(self) -> None:
        """Hold the guesses against what the sequence has come to."""
        odds, tokens = self.reading.odds, self.sequence.tokens
        for place, (guess, kind) in enumerate(zip(self.guesses, self.kinds, strict=True), self.base):
            if place >= len(tokens):
                return
            hit = tokens[place] == guess
            odds.learn(kind, hit=hit)
            if not hit:
                return


class Worth(Struct, frozen=True):
    """How likely to be right a guess has to be.

    Attributes:
        row: for its row in the step. base, each: for one more step of the draft model and a sequence in it.
    """

    row: float = 0.0
    base: float = -math.inf
    each: float = 0.0

    def guess(self, drafting: int) -> float:
        """For another guess, where so many sequences are guessed for."""
        return self.row + self.base / drafting + self.each


class Guessing(Struct, eq=False):
    """What a draft model does for a step.

    Attributes:
        tasks: in the order of `places`, which are the sequences' numbers in the plan.
        worth: when guessing ends.
        steps: (tokens, seconds) of each of its steps. joules: of all.
    """

    tasks: list[Task]
    places: list[int]
    worth: Worth
    steps: list[tuple[int, float]] = field(default_factory=list)
    joules: float = 0.0

    @property
    def seconds(self) -> float:
        """What it took."""
        return sum(seconds for _, seconds in self.steps)
