"""A draft model: the tokens of an answer without it, in less time where it is right, and in hardly more where not."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from msgspec.structs import replace
from support.fake import FAKE_LIMITS, FakeBackend

from undiced.core.errors import InvalidRequestError
from undiced.engine.backend import Limits
from undiced.serve import Policy, Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.drafting import check_pair
from undiced.serve.loop import EngineLoop

STEP_S, TOKEN_S = 0.004, 0.0005


class FakeDraft(FakeBackend):
    """A fake backend that draws another token now and then: `wrong` times in a hundred."""

    def __init__(self, limits: Limits = FAKE_LIMITS, wrong: int = 0, share: float = 0.1) -> None:
        super().__init__(limits, step_s=share * STEP_S, token_s=share * TOKEN_S)
        self._wrong = wrong
        self.drawn = 0

    def _sample(self, history, row, slot, allowed):  # type: ignore[no-untyped-def]
        self.drawn += 1
        token = super()._sample(history, row, slot, allowed)
        slips = zlib.crc32(np.ascontiguousarray(history).tobytes(), 99) % 100 < self._wrong
        return (token + 1) % self.limits.vocab if slips else token


def run(
    requests: list[Request], draft: FakeBackend | None = None, limits: Limits = FAKE_LIMITS
) -> tuple[dict[str, list[int]], EngineLoop, float]:
    clock = VirtualClock()
    backend = FakeBackend(limits, step_s=STEP_S, token_s=TOKEN_S)
    scheduler = Scheduler(limits, Policy(speculate=draft is not None), draft and draft.limits)
    loop = EngineLoop(backend, scheduler, clock=clock, draft=draft)
    found: dict[str, list[int]] = {request.id: [] for request in requests}
    for deltas in loop.run(requests):
        for delta in deltas:
            found[delta.request_id] += delta.tokens
    loop.check()
    return found, loop, clock()


def ask(name: str = "a", wanted: int = 300, prompt: tuple[int, ...] = (5, 6, 7), **sampling: object) -> Request:
    drawn = Sampling(temperature=1.0, seed=sum(name.encode()))
    return Request(name, prompt, wanted, replace(drawn, **sampling))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 3])
def test_a_draft_that_is_the_model_itself_is_always_right(count: int) -> None:
    """Which it is only if its keys and values are those of the answer, whatever was guessed before."""
    requests = [ask(f"r{i}") for i in range(count)]
    plain, _, slow = run(requests)
    found, loop, quick = run(requests, FakeDraft())
    stats = loop.stats()
    assert found == plain and quick < 0.6 * slow
    assert stats.accepted_tokens == stats.drafted_tokens == stats.modeled_tokens == stats.modeled_accepted > 200 * count
    assert loop.scheduler.pool.held == 0


def test_a_draft_that_is_never_right_costs_little() -> None:
    requests = [ask(wanted=1200)]
    plain, _, slow = run(requests)
    found, loop, quick = run(requests, FakeDraft(wrong=100))
    assert found == plain and quick <= 1.05 * slow
    assert loop.stats().modeled_accepted == 0 < loop.stats().modeled_tokens < 100


@pytest.mark.parametrize(("wrong", "least"), [(10, 1.6), (30, 1.2), (60, 0.97)])
def test_a_draft_that_is_right_now_and_then_pays_in_between(wrong: int, least: float) -> None:
    requests = [ask(wanted=700)]
    plain, _, slow = run(requests)
    found, loop, quick = run(requests, FakeDraft(wrong=wrong))
    assert found == plain and slow / quick > least
    stats = loop.stats()
    assert 0 < stats.modeled_accepted < stats.modeled_tokens
    assert stats.draft_s > 0 and stats.step_s == pytest.approx(quick)


def test_a_draft_as_slow_as_the_model_is_left_alone() -> None:
    requests = [ask(wanted=800)]
    plain, _, slow = run(requests)
    found, _, quick = run(requests, FakeDraft(wrong=30, share=1.0))
    assert found == plain and quick <= 1.05 * slow


def test_what_is_guessed_and_what_is_looked_up_compete() -> None:
    """A text that is expected is looked up for nothing; where it is wrong the draft model guesses."""
    request = ask(wanted=600)
    plain, _, _ = run([request])
    right = tuple(plain["a"])
    foretold, loop, _ = run([replace(request, expected=right)], FakeDraft())
    assert foretold == plain
    stats = loop.stats()
    assert stats.modeled_tokens < 20 < 400 < stats.accepted_tokens
    half = (*right[:300], *((token + 1) % 1000 for token in right[300:]))
    found, loop, _ = run([replace(request, expected=half)], FakeDraft())
    stats = loop.stats()
    assert found == plain
    assert stats.modeled_accepted > 150 and stats.accepted_tokens - stats.modeled_accepted > 200


def test_the_account_tells_a_models_guesses_from_others() -> None:
    request = ask(wanted=200)
    clock = VirtualClock()
    backend, draft = FakeBackend(step_s=STEP_S, token_s=TOKEN_S), FakeDraft(wrong=20)
    loop = EngineLoop(backend, Scheduler(FAKE_LIMITS, draft=FAKE_LIMITS), clock=clock, draft=draft)
    [usage] = [delta.usage for deltas in loop.run([request]) for delta in deltas if delta.usage is not None]
    stats = loop.stats()
    assert usage.drafted_tokens == usage.modeled_tokens == stats.modeled_tokens > 0
    assert usage.accepted_tokens == usage.modeled_accepted == stats.modeled_accepted > 0
    assert usage.foretold_tokens == usage.foretold_accepted == 0 and usage.completion_tokens == 200


def test_prompts_that_others_have_read_are_not_read_again() -> None:
    prompt = tuple(range(100, 340))
    draft = FakeDraft()
    requests = [ask(f"r{i}", 200, prompt) for i in range(2)]
    plain = {request.id: run([request])[0][request.id] for request in requests}
    loop = EngineLoop(
        FakeBackend(step_s=STEP_S, token_s=TOKEN_S), Scheduler(FAKE_LIMITS, draft=FAKE_LIMITS),
        clock=VirtualClock(), draft=draft,
    )  # fmt: skip
    fed: list[int] = []
    submit = draft.submit
    draft.submit = lambda batch: fed.append(len(batch.tokens)) or submit(batch)  # type: ignore[func-returns-value]
    for request in requests:
        before = len(fed)
        tokens = [token for deltas in loop.run([request]) for delta in deltas for token in delta.tokens]
        assert tokens == plain[request.id]
        most = max(fed[before:])
        assert most >= 200 if request is requests[0] else most <= 2 * FAKE_LIMITS.page_tokens


def test_held_and_cancelled_sequences_leave_nothing_behind() -> None:
    requests = [ask(f"r{i}", 300) for i in range(3)]
    plain, _, _ = run(requests)
    draft = FakeDraft()
    loop = EngineLoop(
        FakeBackend(step_s=STEP_S, token_s=TOKEN_S), Scheduler(FAKE_LIMITS, draft=FAKE_LIMITS),
        clock=VirtualClock(), draft=draft,
    )  # fmt: skip
    for request in requests:
        loop.add(request)
    found: dict[str, list[int]] = {request.id: [] for request in requests}
    for number in range(1000):
        if loop.idle:
            break
        if number == 40:
            loop.cancel("r1")
        loop.hold("r2", held=number < 50)
        for delta in loop.step():
            found[delta.request_id] += delta.tokens
    assert loop.idle and loop.scheduler.pool.held == 0
    assert found["r0"] == plain["r0"] and found["r2"] == plain["r2"]
    assert found["r1"] == plain["r1"][: len(found["r1"])] and 0 < len(found["r1"]) < 300
    loop.check()


def test_a_draft_that_computes_no_numbers_is_left_alone() -> None:
    class Broken(FakeDraft):
        def _sample(self, history, row, slot, allowed):  # type: ignore[no-untyped-def]
            return -1

    plain, _, _ = run([ask()])
    found, loop, _ = run([ask()], Broken())
    assert found == plain and loop.stats().modeled_tokens == 0


def test_tokens_that_the_draft_has_not_are_never_given_to_it() -> None:
    small = replace(FAKE_LIMITS, vocab=900)
    plain, _, _ = run([ask(wanted=200)])
    assert max(plain["a"]) >= 900
    found, _, _ = run([ask(wanted=200)], FakeDraft(small))
    assert found == plain


@pytest.mark.parametrize(
    ("target", "draft", "told"),
    [
        ({"draft": 0}, {}, "draws one token of a sequence in a step"),
        ({"in_flight": 3}, {}, "draws one token of a sequence in a step"),
        (
            {},
            {"page_tokens": 32},
            "The draft model has 32 positions in a page, and the model that it guesses for has 16",
        ),
        ({}, {"pages": 1000}, "The draft model has 1000 pages, and the model that it guesses for has 1024"),
        ({}, {"max_batch": 8}, "The draft model has 8 sequences, and the model that it guesses for has 32"),
    ],
)
def test_pairs_that_can_not_work_are_refused(target: dict[str, int], draft: dict[str, int], told: str) -> None:
    check_pair(FAKE_LIMITS, FAKE_LIMITS)
    with pytest.raises(InvalidRequestError, match=told):
        check_pair(replace(FAKE_LIMITS, **target), replace(FAKE_LIMITS, **draft))
