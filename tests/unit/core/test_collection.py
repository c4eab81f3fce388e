"""Nothing is collected while much is built, and everything is as it was behind it."""

from __future__ import annotations

import gc

import pytest

from undiced.core.collection import all_stays


class Node:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.own = self


def test_nothing_is_walked_inside_and_what_was_made_is_old_behind_it() -> None:
    gc.collect()
    with all_stays():
        before = gc.get_stats()
        assert not gc.isenabled()
        made = [Node() for _ in range(5000)]
        assert gc.get_stats() == before
    assert gc.isenabled()
    assert gc.get_count()[0] < 700  # the youngest generation is empty: no walk of all that was made follows
    del made
    assert gc.collect() >= 5000  # and what became garbage is found later


def test_who_collects_nothing_or_has_frozen_something_stays_so() -> None:
    gc.disable()
    try:
        with all_stays():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    gc.freeze()
    frozen = gc.get_freeze_count()
    try:
        with all_stays():
            pass
        assert gc.get_freeze_count() > 0.9 * frozen  # some may have been let go since
    finally:
        gc.unfreeze()


def test_an_error_inside_changes_nothing() -> None:
    with pytest.raises(ZeroDivisionError), all_stays():
        _ = 1 / 0
    assert gc.isenabled()
