"""Switches: any order of ways is walked through, and as few positions as possible are taken."""

from collections.abc import Callable
from itertools import product

import pytest

from undiced.program.wafer.switching import Move, Switching, switching


def walked(known: Switching[str], pick: Callable[[list[Move]], Move]) -> tuple[list[str], int]:
    """The ways that a switch offers one after the other, and where it stands in the end."""
    at, ways = 0, []
    for moves in known.moves:
        ways.append(known.positions[at])
        ends = {Move.ADVANCE: (at + 1) % len(known.positions), Move.STAY: at, Move.RESET: 0}
        at = ends[pick(sorted(moves))]
    return ways, at


@pytest.mark.parametrize("which", [0, -1])
def test_a_switch_offers_every_way_when_its_turn_comes_and_starts_again(which: int) -> None:
    for length in range(1, 7):
        for ways in product("abc", repeat=length):
            assert walked(switching(ways, 4), lambda moves: moves[which]) == (list(ways), 0)


def test_each_that_passes_has_a_position_where_they_reach() -> None:
    assert switching("abab", 4).positions == ("a", "b", "a", "b")
    assert switching("aaaa", 4).positions == ("a",)


def test_behind_the_last_a_switch_may_always_go_back() -> None:
    for ways in product("ab", repeat=5):
        assert Move.RESET in switching(ways, 4).moves[-1]


def test_ways_share_positions_where_they_do_not_reach() -> None:
    assert switching("ababab", 4).positions == ("a", "b")
    assert len(switching("abbaac", 4).positions) == 4
    assert (
        len(switching("abacd", 4).positions) == 5
    )  # nothing goes from the second back to the first, then to the third
