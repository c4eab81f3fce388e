"""What a full queue tells is true: a place is free after that long, give or take a factor of two, whatever answers were
allowed to be. Answers of several kinds of lengths, on a backend of a known speed and a clock that only it moves.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from statistics import mean

import pytest
from msgspec.structs import replace
from support.fake import FakeBackend

from undiced.core.errors import QueueFullError
from undiced.engine.backend import Limits
from undiced.serve import GREEDY, Policy, Request, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.lengths import Lengths
from undiced.serve.loop import EngineLoop

ALLOWED = 3000  # as clients say it who don't know
KINDS: dict[str, Callable[[random.Random], int]] = {
    "all alike": lambda _: 60,
    "nearly alike": lambda chance: chance.randint(40, 80),
    "any": lambda chance: 1 + int(chance.expovariate(1 / 60)),
    "short and long": lambda chance: chance.choice((8, 8, 8, 240)),
}


class Team:
    """Clients that keep a queue full; each answer is ended at its length, as stop strings do."""

    def __init__(self, kind: str, batch: int) -> None:
        limits = Limits(
            max_batch=batch, max_tokens=64, context=4096, pages=8192, page_tokens=16, vocab=1000, source="t"
        )
        scheduler = Scheduler(limits, Policy(max_waiting=2))
        self.clock = VirtualClock()
        self.loop = EngineLoop(FakeBackend(limits, step_s=0.01, token_s=0.001), scheduler, clock=self.clock)  # type: ignore[arg-type]
        self.chance, self.kind, self.count = random.Random(7), KINDS[kind], 0
        self.ends: dict[str, int] = {}
        self.made: dict[str, int] = {}

    def fill(self) -> float:
        """Queue requests until one is refused; returns what that one is told."""
        while True:
            name = f"r{self.count}"
            try:
                self.loop.add(replace(Request(name, (1, 2, 3), ALLOWED, GREEDY), ignore_eos=True))
            except QueueFullError as error:
                return error.retry_after_s
            self.count += 1
            self.ends[name], self.made[name] = self.kind(self.chance), 0
            self.step()  # they don't come all at once

    def step(self) -> None:
        for delta in self.loop.step():
            made = self.made[delta.request_id] = self.made[delta.request_id] + len(delta.tokens)
            if delta.tokens and made == self.ends[delta.request_id]:
                self.loop.finish(delta.request_id, made)

    def wait(self) -> float:
        """Seconds until a place is free."""
        began_s = self.clock()
        while not self.loop.scheduler.has_room:
            self.step()
        return self.clock() - began_s


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_told_to_wait_waits_about_that_long(kind: str, batch: int) -> None:
    team, told, true = Team(kind, batch), [], []
    for turn in range(40):
        said = team.fill()
        for _ in range(team.chance.randint(0, 20)):  # the refused one asks again at any moment
            if team.loop.scheduler.has_room:
                break
            team.step()
        if team.loop.scheduler.has_room:
            continue
        said = team.fill()
        waited = team.wait()
        if turn >= 12:
            told.append(said)
            true.append(waited)
    assert 0.5 < mean(told) / mean(true) < 2
    if kind == "all alike":
        assert all(max(said, 0.1) < 2 * max(waited, 0.1) for said, waited in zip(told, true, strict=True))


def test_before_anything_has_ended_a_limit_is_no_forecast() -> None:
    """Two wait, one runs that may take 3000 tokens, and took 300 of them: not the minute that the limit would be."""
    team = Team("nearly alike", 1)
    team.fill()
    assert team.fill() < 4
    assert Lengths().until_next([(0, 20)]) <= 20, "but nothing outlasts its limit"
    assert Lengths().until_next([(0, 0)]) == 0


def test_only_the_last_answers_count() -> None:
    lengths = Lengths()
    for _ in range(100):
        lengths.add(1000)
    for _ in range(64):
        lengths.add(10)
    assert 9 < lengths.until_next([(0, 3000)]) < 15


def test_the_judgment_of_thousands_is_quick() -> None:
    lengths = Lengths()
    for length in range(64):
        lengths.add(length * 20)
    times = []
    for _ in range(3):
        start = time.thread_time()
        lengths.until_next([(at % 700, 3000) for at in range(4096)])
        times.append(time.thread_time() - start)
    assert min(times) < 0.05, "1.5 ms, since a fair part of them is looked at"
