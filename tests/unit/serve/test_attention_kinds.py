"""Latents and chunks in service: shared prefixes, sequences that gave way, and guesses leave every token as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support import tiny_models

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram
from undiced.serve import GREEDY, Request, Scheduler
from undiced.serve.loop import EngineLoop
from undiced.serve.policy import Policy
from undiced.serve.usage import UsageEvent

WANTED = 40
PREFIX = tuple((7 * i * i + 3 * i) % 40 for i in range(40))
PROMPTS = [(*PREFIX, 1, 2, 3), (*PREFIX, 9, 8), tuple(range(5, 30)), (3, 1, 2) * 6]


@pytest.fixture(params=["deepseek-v2-lite", "deepseek-v3-wide", "llama4-wide"])
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HostProgram, Checkpoint]]:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case(request.param), tmp_path / "model"))
    yield compile(build(checkpoint), host(2), Bounds(len(PROMPTS), 96)), checkpoint
    checkpoint.close()


def served(
    tiny: tuple[HostProgram, Checkpoint], prompts: list[tuple[int, ...]], pages: int, *, speculate: bool = False
) -> tuple[list[list[int]], list[UsageEvent], EngineLoop]:
    """The tokens of each prompt's answer, and the accounts, by one service whose requests all come at once."""
    program, checkpoint = tiny
    backend = HostBackend(program, checkpoint, threads=2, pages=pages)
    loop = EngineLoop(backend, Scheduler(backend.limits, Policy(speculate=speculate)))
    requests = [Request(f"r{i}", prompt, WANTED, GREEDY) for i, prompt in enumerate(prompts)]
    answers: dict[str, list[int]] = {request.id: [] for request in requests}
    accounts: list[UsageEvent] = []
    for deltas in loop.run(requests):
        for delta in deltas:
            answers[delta.request_id] += delta.tokens
            accounts += [delta.usage] if delta.usage is not None else []
    backend.close()
    return list(answers.values()), accounts, loop


def test_tokens_are_those_of_each_sequence_alone(tiny: tuple[HostProgram, Checkpoint]) -> None:
    alone = [served(tiny, [prompt], 12)[0][0] for prompt in PROMPTS]
    assert all(len(answer) == WANTED for answer in alone)
    roomy, _, _ = served(tiny, PROMPTS, 12)
    tight, _, loop = served(tiny, PROMPTS, 6)  # three pages a sequence: some give way and are computed again
    assert roomy == tight == alone
    assert loop.stats().preemptions > 0 and loop.scheduler.pool.held == 0


def test_a_prefix_that_is_shared_is_not_computed_again(tiny: tuple[HostProgram, Checkpoint]) -> None:
    alone = [served(tiny, [prompt], 12)[0][0] for prompt in PROMPTS[:2]]
    program, checkpoint = tiny
    backend = HostBackend(program, checkpoint, threads=2, pages=12)
    loop = EngineLoop(backend, Scheduler(backend.limits))
    for number, (prompt, expected) in enumerate(zip(PROMPTS[:2], alone, strict=True)):
        deltas = [d for ds in loop.run([Request(f"p{number}", prompt, WANTED, GREEDY)]) for d in ds]
        assert [token for delta in deltas for token in delta.tokens] == expected
        usage = next(delta.usage for delta in deltas if delta.usage is not None)
        assert usage.cached_tokens == (32 if number else 0)
    backend.close()


def test_guesses_change_no_token(tiny: tuple[HostProgram, Checkpoint]) -> None:
    plain, _, _ = served(tiny, PROMPTS[-1:], 12)
    program, checkpoint = tiny
    backend = HostBackend(program, checkpoint, threads=2, pages=12)
    loop = EngineLoop(backend, Scheduler(backend.limits))
    request = replace(Request("g", PROMPTS[-1], WANTED, GREEDY), expected=tuple(plain[0][:20]) + (0, 1) * 10)
    answer = [token for deltas in loop.run([request]) for delta in deltas for token in delta.tokens]
    backend.close()
    assert answer == plain[0]
    assert loop.stats().accepted_tokens > 0
