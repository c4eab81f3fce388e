"""What guesses would be worth if every step took what it takes on a quiet machine: answers that are known are replayed
through the scheduler on a virtual clock. Nothing is computed, so that the policy alone is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from undiced.core.sampling import TOP_LOGPROBS_MAX
from undiced.engine.backend import AnyStep, NoToken, PlainStep, SlotState, StepInput, StepOutput, Submitted
from undiced.engine.host import HostBackend
from undiced.engine.record import greedy
from undiced.serve import GREEDY, Request, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop

POSITION, TRIES = 256, 40  # where a sequence stands whose steps are timed, and how often each of them is


@dataclass(frozen=True)
class Told:
    """How an answer was guessed: steps, the rows and accepted guesses of all, and the seconds of plain steps over
    those of these steps; `most` is that ratio for one who knows the answer.
    """

    steps: int
    rows: int
    accepted: int
    ratio: float
    most: float


def costs_of(backend: HostBackend) -> list[float]:
    """Seconds of a step of 0, 1, 2, ... rows of one sequence: the least of many, in turns."""
    limits = backend.limits
    pages = np.arange(-(-limits.context // limits.page_tokens), dtype=np.int32)[None]
    tokens = np.arange(100, 100 + POSITION + limits.draft + 1, dtype=np.int32)

    def step(begin: int, count: int, drawn: int) -> float:
        rows = np.arange(count - drawn, count, dtype=np.int32)
        positions, starts = np.arange(begin, begin + count, dtype=np.int32), np.array([0, count], np.int32)
        slots = np.zeros(drawn, np.int32)
        batch = StepInput(tokens[positions], positions, starts, np.zeros(1, np.int32), pages, rows, greedy(slots))
        return backend.collect(backend.submit(batch)).seconds

    backend.open_slot(0, SlotState())
    for begin in range(0, POSITION, limits.max_tokens):
        step(begin, min(limits.max_tokens, POSITION - begin), 0)
    counts = range(1, limits.draft + 2)
    found = [[step(POSITION, count, count) for count in counts] for _ in range(TRIES)]
    least_of = [min(of) for of in zip(*found, strict=True)]
    return [0.0, *(min(least_of[number:]) for number in range(len(least_of)))]  # fewer rows take no more


class Replayed:
    """A backend that draws a text that is there, in steps of given seconds."""

    def __init__(self, like: HostBackend, costs: list[float]) -> None:
        self.limits = replace(like.limits)
        self.text: list[int] = []
        self.begins = 0  # where the answer does
        self.steps: list[tuple[int, int]] = []  # rows, and tokens that were drawn
        self._costs, self._submitted = costs, Submitted(like.limits.in_flight)

    def open_slot(self, slot: int, state: SlotState) -> None:
        """Nothing to reset."""

    def count_tokens(self, slot: int, tokens: list[int]) -> None:
        """Nothing to count."""

    def submit(self, batch: AnyStep) -> int:
        """Take in a step."""
        return self._submitted.push(batch)

    def collect(self, ticket: int) -> StepOutput:
        """The tokens that stand behind its rows, up to the first wrong guess."""
        given = self._submitted.oldest(ticket)
        batch = given.arrays() if isinstance(given, PlainStep) else given
        rows, drawn = batch.sample_rows.tolist(), list[int]()
        for number, row in enumerate(rows):
            if number and batch.tokens[row] != drawn[-1]:
                break
            drawn.append(self.text[batch.positions[row] + 1])
        reads = batch.positions[0] < self.begins
        if not reads:
            self.steps.append((len(rows), len(drawn)))
        shape, left = (len(rows), TOP_LOGPROBS_MAX), [int(NoToken.NOT_REACHED)] * (len(rows) - len(drawn))
        self._submitted.done()
        tokens = np.array([*drawn, *left], np.int32)
        values = np.zeros(shape, np.float32)
        seconds = 0.0 if reads else self._costs[len(rows)]
        return StepOutput(tokens, values[:, 0].copy(), np.zeros(shape, np.int32), values, seconds, 0.0)

    def progress(self) -> int:
        """Never asked."""
        return 0

    def close(self) -> None:
        """Nothing to free."""


class Replay:
    """A scheduler that guesses, and keeps what it learns from answer to answer."""

    def __init__(self, like: HostBackend, costs: list[float]) -> None:
        self._backend, self._costs = Replayed(like, costs), costs
        self._loop = EngineLoop(self._backend, Scheduler(self._backend.limits), clock=VirtualClock())

    def run(self, prompt: tuple[int, ...], answer: list[int], expected: tuple[int, ...]) -> Told:
        """Replay an answer."""
        backend, costs = self._backend, self._costs
        backend.text, backend.begins, backend.steps = [*prompt, *answer, 0], len(prompt), []
        self._loop.scheduler.pool.clear()
        self._loop.add(Request("r", prompt, len(answer), GREEDY, ignore_eos=True, expected=expected))
        while not self._loop.idle:
            self._loop.step()
        rows = sum(count for count, _ in backend.steps)
        drawn = sum(count for _, count in backend.steps)
        assert drawn == len(answer) - 1, "a token was lost"
        plain, took = drawn * costs[1], sum(costs[count] for count, _ in backend.steps)
        return Told(len(backend.steps), rows, drawn - len(backend.steps), plain / took, plain / least(drawn, costs))


def least(tokens: int, costs: list[float]) -> float:
    """Seconds for so many tokens if every guess is right and their number the best there is."""
    found = [0.0]
    for count in range(1, tokens + 1):
        found.append(min(found[count - rows] + costs[rows] for rows in range(1, min(count, len(costs) - 1) + 1)))
    return found[tokens]
