"""With one account every decision is the one that was made before there were accounts.

`RECORDED` holds digests of what the scheduler did with random work at that time: who took part in which step with how
many tokens, and what it was told. A change of the rules within an account changes them; run this file to print them.
"""

from __future__ import annotations

import random
from hashlib import blake2b

import pytest
from msgspec.structs import replace
from support.fake import FakeBackend

from undiced.core.errors import QueueFullError
from undiced.engine.backend import Limits
from undiced.serve import Policy, Priority, Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop
from undiced.serve.plan import Plan

RECORDED = {
    0: (184, "e8fff17e2e694216"),
    1: (233, "e5de6f623feb4be1"),
    2: (237, "c9369e7265e50648"),
    3: (192, "24238dfa25612a88"),
    4: (220, "985b8c0f0396342e"),
    5: (187, "ffdf77edc1717ad6"),
    6: (212, "ead9d9b1bfc3758f"),
    7: (199, "f3d3cb63d019c83d"),
}


class Telling(Scheduler):
    """Keeps a digest of its plans."""

    def __init__(self, limits: Limits, policy: Policy) -> None:
        super().__init__(limits, policy)
        self.digest = blake2b(digest_size=8)
        self.plans = 0

    def tell(self, *words: object) -> None:
        self.digest.update(repr(words).encode())

    def schedule(self, now: float) -> Plan | None:
        plan = super().schedule(now)
        if plan is not None:
            self.plans += 1
            self.tell([sequence.id for sequence in plan.sequences], plan.counts, plan.decodes, round(now, 6))
        return plan


def limits(chance: random.Random) -> Limits:
    batch = chance.choice((1, 2, 4, 8))
    return Limits(
        max_batch=batch,
        max_tokens=chance.choice((16, 32, 64)),
        context=128,
        pages=chance.choice((20, 40, 200)),
        page_tokens=8,
        vocab=1000,
        source="test",
        scored_rows=8,
        in_flight=chance.choice((1, 1, 2, 3)),
    )


def request(chance: random.Random, serial: int) -> Request:
    shared = tuple(range(chance.choice((0, 0, 16, 40))))
    own = tuple(chance.randrange(1000) for _ in range(chance.choice((1, 5, 20, 60))))
    return Request(
        f"r{serial}",
        shared + own,
        chance.choice((0, 1, 3, 10, 25)),
        Sampling(seed=serial, presence_penalty=chance.choice((0.0, 1.0))),
        priority=chance.choice((Priority.NORMAL, Priority.NORMAL, Priority.HIGH, Priority.LOW)),
        prompt_logprobs=chance.choice((-1, -1, -1, 0)),
    )


def trace(seed: int, account: str = "") -> tuple[int, str]:
    """Random work for a while; how many steps it took, and the digest of all decisions."""
    chance = random.Random(seed)
    held = limits(chance)
    policy = Policy(max_waiting=12, stall_s=chance.choice((0.0, 0.05, 1.0)), min_chunk=3)
    scheduler, clock = Telling(held, policy), VirtualClock()
    loop = EngineLoop(FakeBackend(held, step_s=0.02, token_s=0.001), scheduler, clock=clock)
    alive: list[str] = []
    serial = 0
    while serial < 150 or not loop.idle:
        for _ in range(chance.choice((0, 0, 0, 1, 1, 4)) if serial < 150 else 0):
            serial += 1
            try:
                loop.add(replace(request(chance, serial), account=account))
            except QueueFullError as error:
                scheduler.tell("full", round(error.retry_after_s, 9))
            else:
                alive.append(f"r{serial}")
        if alive and chance.random() < 0.05:
            loop.cancel(chance.choice(alive))
        if alive and chance.random() < 0.1:
            loop.hold(chance.choice(alive), held=serial < 150 and chance.random() < 0.5)
        if serial >= 150:
            for name in alive:
                loop.hold(name, held=False)
        if chance.random() < 0.02:
            clock.advance(chance.choice((1.0, 8.0, 70.0)))
        for delta in loop.step():
            scheduler.tell(delta.request_id, delta.tokens, delta.finish_reason)
            if delta.usage is not None:
                alive.remove(delta.request_id)
                scheduler.tell(delta.usage.cached_tokens, round(delta.usage.queue_s, 6))
    loop.check()
    scheduler.tell(scheduler.stats().preemptions)
    return scheduler.plans, scheduler.digest.hexdigest()


@pytest.mark.parametrize("seed", RECORDED)
def test_decisions_are_those_that_were_recorded(seed: int) -> None:
    assert trace(seed, account="org_1" if seed % 2 else "") == RECORDED[seed]


if __name__ == "__main__":
    for number in range(8):
        print(f"    {number}: {trace(number)},")
