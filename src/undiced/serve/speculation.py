"""Speculation: how many tokens a step drafts for its sequences: as many as make its tokens per second the most.

A draft's rows are drawn like any others, each with the seed and counter of its place. A row counts only if the rows
before it drew what was drafted, so answers are token for token those of steps without drafts: a draft changes when
tokens come, never which. What a row costs is learned from steps (`Costs`). How often a guess is right is learned from
every token that is drawn, whether or not it was drafted, for each length of agreement, for a sequence and for all.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from undiced.serve.costs import Costs
from undiced.serve.lookup import LONGEST, Lookup

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence

_AGREED = (3, 4, 6, 10, 20)  # where classes of agreement begin, but the first
_CLASSES = [bisect_right(_AGREED, agreed) for agreed in range(LONGEST + 1)]
_BEGIN = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # how often a guess of each class is right, until it is learned
_KEPT, _KEPT_OF_ALL = 0.95, 0.995  # what a guess weighs after the next of its class
_PRIOR = 2.0  # guesses of this sequence that those of all sequences weigh as much as
_LEAST = 0.1  # a draft's next token is less likely than that: it ends
_GAIN = 1.03  # what drafts have to promise: chances are estimates, and the best of many is often one too good
_READ = 1024  # tokens of a prompt that are indexed before a step
_MOST_SEQUENCES = 16  # with more, rows fill the machine by themselves


class Rates:
    """How often guesses are right, by class of agreement."""

    def __init__(self, kept: float) -> None:
        self._kept = kept
        self.tries = [0.0] * len(_BEGIN)
        self.hits = [0.0] * len(_BEGIN)

    def add(self, kind: int, *, hit: bool) -> None:
        """A guess was right, or not."""
        self.tries[kind] = self.tries[kind] * self._kept + 1
        self.hits[kind] = self.hits[kind] * self._kept + hit

    def rate(self, kind: int, prior: float, weight: float) -> float:
        """The share of right ones, where `weight` guesses at a share of `prior` count too."""
        return (self.hits[kind] + weight * prior) / (self.tries[kind] + weight)


class Drafter:
    """What is guessed for one sequence. `foretold`: whether its latest draft came from the expected text."""

    __slots__ = ("_lookup", "_prompt", "_rates", "foretold")

    def __init__(self, sequence: Sequence) -> None:
        self._lookup = Lookup(sequence.request.expected)
        self._prompt = len(sequence.request.prompt)
        self._rates = Rates(_KEPT)
        self.foretold = False

    def follow(self, tokens: list[int], of_all: Rates) -> bool:
        """Take in what the sequence has come to; False while its prompt is not indexed yet."""
        lookup, prompt = self._lookup, self._prompt
        at = len(lookup)
        if at < prompt:
            end = min(at + _READ, prompt)
            lookup.read(tokens[at:end])
            if end < prompt:
                return False
            lookup.begin()
            at = prompt
        for token in tokens[at:]:
            if (guess := lookup.guess) >= 0:
                kind, hit = _CLASSES[lookup.agreed], guess == token
                self._rates.add(kind, hit=hit)
                of_all.add(kind, hit=hit)
            lookup.follow(token)
        return True

    def chances(self, most: int, of_all: Rates) -> list[float]:
        """How likely it is that a draft's first tokens, up to each, are all right; at most so many."""
        found: list[float] = []
        agreed, chance = self._lookup.agreed, 1.0
        while agreed and len(found) < most:
            kind = _CLASSES[min(agreed + len(found), LONGEST)]
            chance *= self._rates.rate(kind, of_all.rate(kind, _BEGIN[kind], _PRIOR), _PRIOR)
            if chance < _LEAST:
                break
            found.append(chance)
        return found

    def draft(self, most: int) -> list[int]:
        """The tokens that are guessed."""
        self.foretold = self._lookup.foretold
        return self._lookup.draft(most)


class Speculation:
    """See the file's head.

    Args:
        most: tokens of a draft. spare: rows that a step can draw besides one of each sequence.
    """

    def __init__(self, most: int, spare: int) -> None:
        self._most, self._spare = most, spare
        self._costs = Costs()
        self._rates = Rates(_KEPT_OF_ALL)

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a step that drew so many rows and read no prompt."""
        if self._most:
            self._costs.observe(rows, seconds)

    def drafts(self, sequences: list[Sequence]) -> list[int]:
        """For each of the sequences that a step decodes how many tokens to draft; empty if none for any."""
        if not (0 < len(sequences) <= _MOST_SEQUENCES and self._spare and self._most):
            return []
        chances: list[tuple[float, int]] = []
        for index, sequence in enumerate(sequences):
            if sequence.guidance is not None:
                continue
            if sequence.drafter is None:
                sequence.drafter = Drafter(sequence)
            if sequence.drafter.follow(sequence.tokens, self._rates):
                most = min(self._most, sequence.max_tokens - sequence.generated - 1)
                chances += [(chance, index) for chance in sequence.drafter.chances(most, self._rates)]
        if not (chances and self._costs.known):
            return []
        return self._best(len(sequences), chances)

    def _best(self, rows: int, chances: list[tuple[float, int]]) -> list[int]:
        """The likeliest of the tokens, as many as make the step's tokens per second the most."""
        chances.sort(reverse=True)
        base, each = self._costs.line()
        tokens, best, count = float(rows), _GAIN * rows / (base + each * rows), 0
        for number, (chance, _) in enumerate(chances[: self._spare], 1):
            tokens += chance
            speed = tokens / (base + each * (rows + number))
            if speed > best:
                best, count = speed, number
        counts = [0] * rows
        for _, index in chances[:count]:
            counts[index] += 1
        return counts if count else []
