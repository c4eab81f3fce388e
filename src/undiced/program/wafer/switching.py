"""Switching: how few positions of a switch let everything pass in its order, and how it goes on behind each.

Knows ways through a router, no place and no tree. A switch goes on to its next position (from the last to the first),
stays, or goes back to its first one; when all has passed it stands at its first again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Generic, TypeVar

_Way = TypeVar("_Way")


class Move(StrEnum):
    """What a switch does behind what has passed."""

    ADVANCE = "advance"
    STAY = "stay"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Switching(Generic[_Way]):
    """The positions of a switch in their order, and its move behind each that passes."""

    positions: tuple[_Way, ...]
    moves: tuple[Move, ...]


def switching(ways: Sequence[_Way], most: int) -> Switching[_Way]:
    """A position for each way where they reach, else the fewest that do; more than `most` where nothing else does."""
    numbers = {way: number for number, way in enumerate(dict.fromkeys(ways))}
    named = {number: way for way, number in numbers.items()}
    places, moves = _switching(tuple(numbers[way] for way in ways), most)
    return Switching(tuple(named[number] for number in places), moves)


@lru_cache(maxsize=1 << 14)
def _switching(ways: tuple[int, ...], most: int) -> tuple[tuple[int, ...], tuple[Move, ...]]:
    if len(set(ways)) <= 1:
        return ways[:1], (Move.STAY,) * len(ways)
    for count in range(len(set(ways)), min(most, len(ways) - 1) + 1):
        if len(ways) > most and (found := _walk(ways, count)):
            return found
    return ways, (Move.ADVANCE,) * len(ways)


def _walk(ways: tuple[int, ...], count: int) -> tuple[tuple[int, ...], tuple[Move, ...]] | None:
    """Positions and moves of a switch of `count` positions, by trying."""

    def walk(at: int, position: int, held: dict[int, int]) -> tuple[dict[int, int], tuple[Move, ...]] | None:
        if held.setdefault(position, ways[at]) != ways[at]:
            return None
        options = ((Move.ADVANCE, (position + 1) % count), (Move.STAY, position), (Move.RESET, 0))
        for move, following in options:
            if at == len(ways) - 1:
                if following == 0 and len(held) == count:
                    return held, (move,)
                continue
            found = walk(at + 1, following, dict(held))
            if found is not None:
                return found[0], (move, *found[1])
        return None

    found = walk(0, 0, {})
    return (tuple(found[0][number] for number in range(count)), found[1]) if found else None
