"""A real model, a step at a time and with the next one planned ahead: the same answers, to the bit."""

from __future__ import annotations

import pytest
from support import tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.core.kv_type import KV_TYPES
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds
from undiced.serve import GREEDY, Policy, Request, Sampling, Scheduler
from undiced.serve.loop import EngineLoop

Told = dict[str, tuple[list[int], list[float]]]
REQUESTS = [
    Request("greedy", (3, 1, 4), 40, GREEDY, ignore_eos=True),
    Request("drawn", (1, 5), 40, Sampling(temperature=1.0, seed=5, logprobs=3), ignore_eos=True),
    Request(
        "penalized",
        (9, 2, 6, 5),
        30,
        Sampling(temperature=0.8, seed=1, top_p=0.9, repetition_penalty=1.3, frequency_penalty=0.5, logprobs=0),
    ),
    Request("least", (3, 5), 25, Sampling(temperature=1.0, seed=9, min_tokens=10), eos_ids=tuple(range(0, 60, 2))),
    Request("long", tuple(range(1, 40)), 20, Sampling(temperature=1.0, seed=2), ignore_eos=True),
]


@pytest.fixture(scope="module", params=KV_TYPES)
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HostBackend:
    folder = tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path_factory.mktemp("models") / "llama")
    checkpoint = open_checkpoint(folder)
    return HostBackend(compile(build(checkpoint), host(2), Bounds(4, 64), request.param), checkpoint)


def told(backend: HostBackend, ahead_s: float) -> tuple[Told, int]:
    """What comes of the requests, and how many steps were submitted before the one ahead of them was collected."""
    loop = EngineLoop(backend, Scheduler(backend.limits, Policy(ahead_s=ahead_s, speculate=False)))
    found: Told = {request.id: ([], []) for request in REQUESTS}
    ahead = 0
    for deltas in loop.run(REQUESTS):
        ahead += len(loop._flights)
        for delta in deltas:
            assert delta.finish_reason != "error"
            tokens, logprobs = found[delta.request_id]
            tokens += delta.tokens
            logprobs += delta.logprobs
    return found, ahead


def test_answers_are_the_same(backend: HostBackend) -> None:
    plain, none = told(backend, 0.0)
    for _ in range(3):
        found, ahead = told(backend, 1e9)
        assert found == plain
        assert (none, ahead > 20) == (0, True)


def test_seconds_are_those_of_each_step(backend: HostBackend) -> None:
    loop = EngineLoop(backend, Scheduler(backend.limits, Policy(ahead_s=1e9, speculate=False)))
    for _ in loop.run(REQUESTS[:1]):
        pass
    stats = loop.stats()
    assert stats.steps == 40
    assert 0 < stats.step_s < 30
