"""Accounts reach everybody who keeps them."""

from __future__ import annotations

import logging

import pytest

from undiced.serve import UsageEvent
from undiced.serve.usage import tell

EVENT = UsageEvent("a", "stop", 1, 0, 2, 0.0, 0.1, 0.2, 0.0, "host", tag="somebody")


def test_an_observer_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[UsageEvent] = []

    def broken(event: UsageEvent) -> None:
        raise OSError("the disk is full")

    with caplog.at_level(logging.ERROR):
        tell([seen.append, broken, seen.append], EVENT)
    assert seen == [EVENT, EVENT]
    assert "the disk is full" in caplog.text


def test_an_account_that_is_cut_is_still_the_callers() -> None:
    assert EVENT.cut(1, "stop").tag == "somebody"
