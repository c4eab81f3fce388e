"""A database that takes long, or is away: what is only nice to know of it makes nobody wait for long."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from scripted import build_caller
from support.installation import Installation, bearer, installed
from support.metered import behind_keys, metered

from undiced.account.estimates import Estimates
from undiced.api import known_limits
from undiced.api.known_limits import KnownLimits

SAY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory):
    with installed(tmp_path_factory.mktemp("accounts")) as made:
        yield made


def test_a_request_waits_for_no_lengths_of_earlier_answers(
    house: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, answers = threading.Event(), build_caller()
    monkeypatch.setattr(Estimates, "fetch", lambda *_: goes_on.wait(5) and [])
    with metered(house, [answers.deployment]) as service:
        answers.app, answers.service = behind_keys(house, service), service
        began = time.monotonic()
        try:
            assert answers.post("/v1/chat/completions", SAY, headers=bearer(house.key())).status == 200
            assert time.monotonic() - began < 3
        finally:
            goes_on.set()


def test_looks_at_limits_that_wait_behind_one_that_takes_long_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_limits, "_PATIENCE_S", 0.05)
    goes_on, looks = threading.Event(), []

    def look(*subjects: str) -> tuple[()]:
        looks.append(subjects)
        goes_on.wait(5)
        raise known_limits.DatabaseAwayError("It is away.", remedy="Try again.", retry_after_s=1.0)

    async def ask() -> None:
        with ThreadPoolExecutor(1) as thread:
            known = KnownLimits(look, thread)
            callers = [SimpleNamespace(key_id=f"k{at}", org_id="o", project_id="p") for at in range(9)]
            assert await asyncio.gather(*(known.of(one, "m") for one in callers)) == [()] * 9
            goes_on.set()
            await asyncio.get_running_loop().run_in_executor(thread, bool)  # behind all that waits

    asyncio.run(ask())
    assert looks == [("o", "p", "k0")]
