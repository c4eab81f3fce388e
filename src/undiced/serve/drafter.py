"""Drafter: what is looked up for one sequence, and how often that was right for each length of agreement."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from undiced.serve.lookup import LONGEST, Lookup
from undiced.serve.rates import KEPT, KEPT_OF_ALL, Rates

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence

_AGREED = (2, 3, 4, 6, 10, 20)  # where classes of agreement begin, but the first
_CLASSES = [bisect_right(_AGREED, agreed) for agreed in range(LONGEST + 1)]
_BEGIN = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # how often a guess of each class is right, until it is learned
_LEAST = 0.1  # a draft's next token is less likely than that: it ends
_READ = 1024  # tokens of a prompt that are indexed before a step


def rates_of_all() -> Rates:
    """What the drafters of all sequences learn."""
    return Rates(_BEGIN, KEPT_OF_ALL)


class Drafter:
    """What is guessed for one sequence. `foretold`: whether its latest draft came from the expected text."""

    __slots__ = ("_lookup", "_prompt", "_rates", "foretold")

    def __init__(self, sequence: Sequence, of_all: Rates) -> None:
        self._lookup = Lookup(sequence.request.expected)
        self._prompt = len(sequence.request.prompt)
        self._rates = Rates(_BEGIN, KEPT, of_all)
        self.foretold = False

    def follow(self, tokens: list[int]) -> bool:
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
                self._rates.add(_CLASSES[lookup.agreed], hit=guess == token)
            lookup.follow(token)
        return True

    def chances(self, most: int) -> list[float]:
        """How likely it is that a draft's first tokens, up to each, are all right; at most so many."""
        found: list[float] = []
        agreed, chance, kind, rate = self._lookup.agreed, 1.0, -1, 0.0
        for longer in range(agreed, agreed + most if agreed else 0):
            before, kind = kind, _CLASSES[min(longer, LONGEST)]
            rate = rate if kind == before else self._rates.rate(kind)
            chance *= rate
            if chance < _LEAST:
                break
            found.append(chance)
        return found

    def draft(self, most: int) -> list[int]:
        """The tokens that are guessed."""
        self.foretold = self._lookup.foretold
        return self._lookup.draft(most)
