"""Two engines on one team: what a draft model guesses changes when tokens come, and not one bit of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from safetensors.numpy import save_file
from support import tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.core.errors import UnsupportedError
from undiced.core.kv_type import KV_TYPES, KvType
from undiced.engine.backend import StepOutput
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds
from undiced.serve import GREEDY, Policy, Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.delta import Delta
from undiced.serve.loop import EngineLoop

CASE = tiny_models.load_case("llama")
STEP_S, TOKEN_S = 0.004, 0.0002


class Timed(HostBackend):
    """An engine that reports seconds by tokens, so that what is guessed does not depend on the machine."""

    share = 1.0

    def collect(self, ticket: int) -> StepOutput:
        tokens = len(self._submitted.oldest(ticket).tokens)
        out = super().collect(ticket)
        out.seconds = self.share * (STEP_S + TOKEN_S * tokens)
        return out


def opened(
    folder: Path,
    *,
    team: HostBackend | None = None,
    pages: int = 24,
    context: int = 128,
    kv_type: KvType = "f16",
) -> Timed:
    checkpoint = open_checkpoint(folder)
    program = compile(build(checkpoint), host(2), Bounds(4, context), kv_type)
    backend = Timed(program, checkpoint, pages=pages, max_tokens=32, team=team)
    backend.share = 1.0 if team is None else 0.1
    return backend


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """Checkpoints by how far their weights are from the target's, in spreads of each matrix."""
    found = {}
    for noise in (0.0, 0.1, 3.0):
        folder = tiny_models.make_folder(CASE, tmp_path_factory.mktemp("pair") / str(noise))
        rng = np.random.default_rng(1)
        weights = {
            name: (value + noise * value.std() * rng.standard_normal(value.shape)).astype(np.float32)
            for name, value in tiny_models.weights_of(CASE).items()
        }
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        found[noise] = folder
    return found


def answers(
    target: Path, requests: list[Request], draft: Path | None = None, pages: int = 24, kv_type: KvType = "f16"
) -> tuple[dict[str, Delta], EngineLoop]:
    """Each answer as one delta."""
    backend = opened(target, pages=pages, kv_type=kv_type)
    guesser = None if draft is None else opened(draft, team=backend, pages=pages, kv_type=kv_type)
    scheduler = Scheduler(
        backend.limits, Policy(speculate=draft is not None), None if guesser is None else guesser.limits
    )
    loop = EngineLoop(backend, scheduler, clock=VirtualClock(), draft=guesser)
    found = {request.id: Delta(request.id, [], [], []) for request in requests}
    for deltas in loop.run(requests):
        for delta in deltas:
            whole = found[delta.request_id]
            whole.tokens += delta.tokens
            whole.logprobs += delta.logprobs
            whole.top += delta.top
            whole.finish_reason = delta.finish_reason
    loop.check()
    loop.close()
    return found, loop


def asked(**sampling: object) -> list[Request]:
    """Requests of which two begin alike, by a page and more."""
    rng = np.random.default_rng(3)
    prompts = [tuple(map(int, rng.integers(12, 40, count))) for count in (40, 5, 9)]
    prompts.append((*prompts[0][:36], 7, 8))
    drawn = Sampling(temperature=0.9, seed=5, logprobs=2)
    return [
        Request(f"r{i}", prompt, 70, replace(drawn, **sampling), stop_token_ids=(11,))  # type: ignore[arg-type]
        for i, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"temperature": 0.0},
        {"presence_penalty": 0.7, "repetition_penalty": 1.3},
        {"top_p": 0.8, "top_k": 20, "min_tokens": 50, "logit_bias": ((11, 4.0),)},
        {"allowed": (4, 9, 12, 30, 39)},
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.1, 3.0])
def test_answers_are_the_same_to_the_bit(folders: dict[float, Path], noise: float, sampling: dict[str, object]) -> None:
    plain, _ = answers(folders[0.0], asked(**sampling))
    found, loop = answers(folders[0.0], asked(**sampling), folders[noise])
    assert found == plain
    assert loop.stats().modeled_tokens > 0


def test_the_same_model_is_always_right_and_another_one_less_often(folders: dict[float, Path]) -> None:
    shares = []
    for noise in (0.0, 0.1, 3.0):
        request = replace(asked()[0], stop_token_ids=())
        stats = answers(folders[0.0], [request], folders[noise])[1].stats()
        shares.append(stats.modeled_accepted / stats.modeled_tokens)
    assert shares[0] == 1.0 and shares[0] > shares[1] > shares[2]
    assert shares[2] < 0.3


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_few_pages_and_prompts_that_begin_alike_change_nothing(folders: dict[float, Path], kv_type: KvType) -> None:
    requests = [replace(request, ignore_eos=True, stop_token_ids=(), max_tokens=60) for request in asked()]
    plain, _ = answers(folders[0.0], requests, pages=7, kv_type=kv_type)
    found, loop = answers(folders[0.0], requests, folders[0.0], pages=7, kv_type=kv_type)
    assert found == plain
    stats = loop.stats()
    assert stats.preemptions > 0 and stats.modeled_tokens == stats.modeled_accepted > 0


def test_beyond_the_drafts_own_context_nothing_is_guessed(folders: dict[float, Path]) -> None:
    backend = opened(folders[0.0])
    short = opened(folders[0.0], team=backend, context=48)
    loop = EngineLoop(backend, Scheduler(backend.limits, None, short.limits), clock=VirtualClock(), draft=short)
    [request] = asked(temperature=0.0)[1:2]
    guessed, come = {}, 0
    for deltas in loop.run([replace(request, max_tokens=100, stop_token_ids=())]):
        come += sum(len(delta.tokens) for delta in deltas)
        guessed[come] = loop.stats().modeled_tokens
    loop.close()
    assert guessed[100] > 20
    assert {count for tokens, count in guessed.items() if tokens + len(request.prompt) > 48} == {guessed[100]}


def test_a_team_lives_as_long_as_either_of_its_engines(folders: dict[float, Path]) -> None:
    backend = opened(folders[0.0])
    other = opened(folders[3.0], team=backend)
    backend.close()
    other.warm_up()
    other.close()
    with pytest.raises(UnsupportedError, match="closed"):
        opened(folders[0.0], team=backend)


def test_greedy_steps_take_turns(folders: dict[float, Path]) -> None:
    """A native engine steps with threads that another one has started, and both give what they give alone."""
    backend, alone = opened(folders[0.0]), opened(folders[3.0])
    other = opened(folders[3.0], team=backend)
    request = [Request("a", (5, 6, 7), 20, GREEDY)]
    expected = [d for ds in EngineLoop(alone).run(request) for d in ds]
    found = [d for ds in EngineLoop(other).run(request) for d in ds]
    assert [d.tokens for d in found] == [d.tokens for d in expected]
    for each in (alone, other, backend):
        each.close()
