"""Tenants that send requests to one engine loop, on a clock that only the engine's own seconds move.

The engine is a formula: so many seconds a step, and so many for each of its tokens. Requests come when they come, also
in the middle of a step, and are seen at its end, as a server sees them.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from undiced.core.sampling import TOP_LOGPROBS_MAX
from undiced.engine.backend import Limits, SlotState, StepInput, StepOutput
from undiced.serve import GREEDY, Policy, Priority, Request, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop

LIMITS = Limits(max_batch=8, max_tokens=256, context=8192, pages=4000, page_tokens=32, vocab=50_000, source="formula")


class Formula:
    """A backend that computes nothing and says how long that took."""

    def __init__(self, limits: Limits, step_s: float, token_s: float) -> None:
        self.limits = limits
        self.longest_s = 0.0
        self._step_s, self._token_s = step_s, token_s
        self._flights: deque[tuple[int, int]] = deque()
        self._tickets = count()

    def open_slot(self, slot: int, state: SlotState) -> None:
        """Nothing to open."""

    def count_tokens(self, slot: int, tokens: list[int]) -> None:
        """Nothing to count."""

    def submit(self, batch: StepInput) -> int:
        """Take a step on."""
        self._flights.append((len(batch.sample_rows), len(batch.tokens)))
        return next(self._tickets)

    def collect(self, ticket: int) -> StepOutput:
        """The same token for everybody."""
        rows, tokens = self._flights.popleft()
        seconds = self._step_s + self._token_s * tokens
        self.longest_s = max(self.longest_s, seconds)
        values = np.zeros((rows, TOP_LOGPROBS_MAX), np.float32)
        return StepOutput(np.full(rows, 7, np.int32), values[:, 0], values.astype(np.int32), values, seconds, 0.0)

    def progress(self) -> int:
        """Steps begun."""
        return 0

    def close(self) -> None:
        """Nothing to free."""


@dataclass
class Tenant:
    """Who sends, what, and what came of it.

    Attributes:
        prompt, answer: fewest and most tokens.
        open: as many requests of it are open at any time; or `every_s`: seconds between two, give or take half.
        waits_s: until the first token, of each request. tokens: prompt tokens of what began, and tokens of answers.
        served: the same, tokens of answers counted twice, as virtual token counters do.
    """

    name: str
    prompt: tuple[int, int]
    answer: tuple[int, int]
    open: int = 0
    every_s: float = 0.0
    start_s: float = 0.0
    priority: Priority = Priority.NORMAL
    waits_s: list[float] = field(default_factory=list)
    tokens: int = 0
    served: int = 0
    alive: int = 0
    next_s: float = 0.0

    def wait_s(self, share: float) -> float:
        """The wait that this share of its requests did not exceed."""
        waits = sorted(self.waits_s)
        return waits[min(len(waits) - 1, int(share * len(waits)))]


class World:
    """Tenants and an engine.

    Args:
        seed: of lengths and arrivals.
        apart: whether the engine is told whose a request is.
    """

    def __init__(
        self,
        tenants: list[Tenant],
        limits: Limits = LIMITS,
        *,
        step_s: float = 0.01,
        token_s: float = 0.001,
        seed: int = 0,
        apart: bool = True,
    ) -> None:
        self.tenants, self.clock, self.apart = tenants, VirtualClock(), apart
        self.engine = Formula(limits, step_s, token_s)
        self.loop = EngineLoop(self.engine, Scheduler(limits, Policy(max_waiting=100_000)), clock=self.clock)
        self._chance, self._serial = random.Random(seed), count()
        self._owners: dict[str, tuple[Tenant, float, int]] = {}  # tenant, arrival, prompt tokens
        self._begun: set[str] = set()
        for tenant in tenants:
            tenant.next_s = tenant.start_s

    def run(self, until_s: float) -> None:
        """Let everybody send until then."""
        while self.clock() < until_s:
            for tenant in self.tenants:
                self._send(tenant, self.clock())
            if self.loop.idle:
                self.clock.advance(max(min(tenant.next_s for tenant in self.tenants) - self.clock(), 1e-6))
            else:
                self._step()

    def _send(self, tenant: Tenant, now: float) -> None:
        if tenant.every_s:
            while tenant.next_s <= now:
                self._add(tenant, tenant.next_s)
                tenant.next_s += tenant.every_s * self._chance.uniform(0.5, 1.5)
        elif now >= tenant.start_s:
            while tenant.alive < tenant.open:
                self._add(tenant, now)

    def _add(self, tenant: Tenant, arrival_s: float) -> None:
        name, length = f"{tenant.name}-{next(self._serial)}", self._chance.randint(*tenant.prompt)
        prompt = tuple(self._chance.randrange(50_000) for _ in range(length))
        wanted, account = self._chance.randint(*tenant.answer), tenant.name if self.apart else ""
        self.loop.add(Request(name, prompt, wanted, GREEDY, priority=tenant.priority, account=account), arrival_s)
        self._owners[name] = (tenant, arrival_s, length)
        tenant.alive += 1

    def _step(self) -> None:
        for delta in self.loop.step():
            tenant, arrival_s, length = self._owners[delta.request_id]
            read = 0
            if delta.tokens and delta.request_id not in self._begun:
                self._begun.add(delta.request_id)
                tenant.waits_s.append(self.clock() - arrival_s)
                read = length
            tenant.tokens += read + len(delta.tokens)
            tenant.served += read + 2 * len(delta.tokens)
            if delta.usage is not None:
                tenant.alive -= 1
                self._begun.discard(delta.request_id)
                del self._owners[delta.request_id]


def jain(values: list[int]) -> float:
    """Jain's index: 1 if all are equal, 1 / n if one has everything."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))
