"""Switching: how few positions of a switch let everything pass in its order, and how it goes on behind each.

Knows ways through a router, no place and no tree. A switch goes on to its next position (from the last to the first),
stays, or goes back to its first one; when all has passed it stands at its first again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Generic, TypeVar

_Way = TypeVar("_Way")
_Walk = tuple[tuple[int, ...], tuple[int, ...]]
"""Which way each position is, and at which position each way that passes finds the switch."""


class Move(StrEnum):
    """What a switch does behind what has passed."""

    ADVANCE = "advance"
    STAY = "stay"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Switching(Generic[_Way]):
    """The positions of a switch in their order, and behind each that passes the moves that lead on, any of them."""

    positions: tuple[_Way, ...]
    moves: tuple[frozenset[Move], ...]


def switching(ways: Sequence[_Way], most: int) -> Switching[_Way]:
    """A position for each way where they reach, else as few as do; more than `most` where nothing else does.

    What is not led on by an advance is so as early as can be: what passes later comes from farther, by routers that
    advance.
    """
    named = tuple(dict.fromkeys(ways))
    held, stands = _walked(tuple(map(named.index, ways)), most)
    moves = (_moves(at, to, len(held)) for at, to in zip(stands, (*stands[1:], 0), strict=True))
    return Switching(tuple(named[way] for way in held), tuple(moves))


def _moves(at: int, to: int, count: int) -> frozenset[Move]:
    options = ((Move.ADVANCE, (at + 1) % count), (Move.STAY, at), (Move.RESET, 0))
    return frozenset(move for move, end in options if end == to)


@lru_cache(maxsize=1 << 14)
def _walked(ways: tuple[int, ...], most: int) -> _Walk:
    kinds = len(set(ways))
    if kinds == 1:
        return ways[:1], (0,) * len(ways)
    found: list[_Walk] = []
    if len(ways) > most:
        for count in range(kinds, most + 1):
            found += _walks(ways, count, {0: ways[0]}, (0,))
    return min(found, key=_others, default=(ways, tuple(range(len(ways)))))


def _others(walk: _Walk) -> list[bool]:
    """Behind which ways something else than an advance leads on, the last first."""
    held, stands = walk
    return [to != (at + 1) % len(held) for at, to in zip(stands, (*stands[1:], 0), strict=True)][::-1]


def _walks(ways: tuple[int, ...], count: int, held: dict[int, int], stands: tuple[int, ...]) -> Iterator[_Walk]:
    """All that go on through `count` positions; from any position a switch may go back to the first."""
    if len(stands) == len(ways):
        if len(held) == count:
            yield tuple(held[number] for number in range(count)), stands
        return
    way, at = ways[len(stands)], stands[-1]
    for to in dict.fromkeys(((at + 1) % count, at, 0)):
        if held.get(to, way) == way:
            yield from _walks(ways, count, held | {to: way}, (*stands, to))
