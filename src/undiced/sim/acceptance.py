"""Acceptance: how likely guesses are right, by their place in a round. Assumed, or made of counts. Knows no machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undiced.core.errors import CompileError

LENGTH_MAX = 16  # guesses of a round, ours: sliding windows keep so many positions more
COUNTED = 10  # guesses that a place must have been given for its share to count, ours


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What becomes of a round's guesses.

    Attributes:
        shares: of each place, how likely a guess there is right if all before it are. Nothing is guessed beyond.
        made: how likely a round has guesses at all: a lookup may find nothing.
    """

    shares: tuple[float, ...]
    made: float = 1.0

    @classmethod
    def assumed(cls, share: float) -> Acceptance:
        """The same at every place, each guess by itself.

        Raises:
            CompileError: no probability.
        """
        if not 0 <= share <= 1:
            raise CompileError(f"An acceptance of {share:g} is no probability.", remedy="Use 0 to 1.")
        return cls((share,) * LENGTH_MAX)

    @classmethod
    def counted(cls, guessed: Sequence[int], accepted: Sequence[int], steps: int) -> Acceptance:
        """Of counts: guesses that stood at each place with all before them right, those that were right too, and
        rounds in all. Places with fewer than `COUNTED` guesses are left out.

        Raises:
            CompileError: fewer at the first place.
        """
        shares: list[float] = []
        for count, right in list(zip(guessed, accepted, strict=True))[:LENGTH_MAX]:
            if count < COUNTED:
                break
            shares.append(right / count)
        if not shares:
            raise CompileError(f"Fewer than {COUNTED} first guesses say too little.", remedy="Measure more.")
        return cls(tuple(shares), guessed[0] / steps)

    def chances(self, length: int) -> list[float]:
        """That exactly 0, 1, ... `length` guesses are right before a wrong one, or the end."""
        found, reached = [], 1.0
        for share in self.shares[:length]:
            found.append(reached * (1 - share))
            reached *= share
        return [*found, reached]
