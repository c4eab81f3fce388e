"""Which turns are kept: whole ones, the newest always, and none that was left out before."""

from __future__ import annotations

import pytest

from undiced.cli.window import first_kept

TALK = [{"role": role, "content": str(at)} for at, role in enumerate(["user", "assistant"] * 3 + ["user"])]


@pytest.mark.parametrize(
    ("start", "most", "kept_from"), [(0, 7, 0), (0, 6, 2), (0, 5, 2), (0, 1, 6), (0, 0, 6), (4, 7, 4), (4, 2, 6)]
)
def test_the_oldest_turns_go_first(start: int, most: int, kept_from: int) -> None:
    assert first_kept(TALK, start, lambda kept: len(kept) <= most) == kept_from


def test_an_answer_that_goes_on_keeps_its_question() -> None:
    assert first_kept(TALK[:6], 0, lambda kept: False) == 4
