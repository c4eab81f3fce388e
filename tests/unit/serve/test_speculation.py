"""Drafts: the tokens of an answer without them, fewer steps, and none where they do not pay."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace
from support.fake import FAKE_LIMITS, FakeBackend

from undiced.engine.backend import AnyStep, Limits
from undiced.serve import GREEDY, Request, Sampling, Scheduler
from undiced.serve.batch import StepBuffer
from undiced.serve.clock import VirtualClock
from undiced.serve.costs import Costs
from undiced.serve.loop import EngineLoop
from undiced.serve.policy import Policy

STEP_S, TOKEN_S = 0.004, 0.001


def run(
    requests: list[Request], *, repeats: int = 0, speculate: bool = True, **limits: int
) -> tuple[dict[str, list[int]], EngineLoop, float]:
    held = replace(FAKE_LIMITS, **limits)
    clock = VirtualClock()
    backend = FakeBackend(held, step_s=STEP_S, token_s=TOKEN_S, repeats=repeats)
    loop = EngineLoop(backend, Scheduler(held, Policy(speculate=speculate)), clock=clock)
    found: dict[str, list[int]] = {request.id: [] for request in requests}
    for deltas in loop.run(requests):
        for delta in deltas:
            found[delta.request_id] += delta.tokens
    return found, loop, clock()


def ask(name: str = "a", wanted: int = 300, **fields: object) -> Request:
    sampling = Sampling(temperature=1.0, seed=sum(name.encode()))
    return replace(Request(name, (5, 6, 7), wanted, sampling), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 3])
def test_a_text_that_repeats_itself_takes_fewer_steps_and_the_same_tokens(count: int) -> None:
    requests = [ask(f"r{i}") for i in range(count)]
    plain, without, slow = run(requests, repeats=9, speculate=False)
    drafted, loop, quick = run(requests, repeats=9)
    assert drafted == plain
    assert without.stats().drafted_tokens == 0 < loop.stats().accepted_tokens
    assert loop.stats().steps < without.stats().steps and quick < slow
    assert loop.scheduler.pool.held == 0


def test_a_text_that_never_repeats_itself_costs_nothing() -> None:
    requests = [ask()]
    plain, _, slow = run(requests, speculate=False)
    drafted, loop, quick = run(requests)
    assert drafted == plain and quick <= 1.02 * slow
    assert loop.stats().drafted_tokens <= 6


def test_rows_that_cost_what_a_step_does_are_not_drafted() -> None:
    """Where many run together a row more costs as much as the tokens that it may bring."""
    requests = [ask(f"r{i}") for i in range(12)]
    plain, _, slow = run(requests, repeats=9, speculate=False)
    drafted, _, quick = run(requests, repeats=9)
    assert drafted == plain and quick <= 1.01 * slow


def test_an_expected_answer_comes_in_few_steps_and_its_account_says_so() -> None:
    (answer,) = run([ask()], speculate=False)[0].values()
    found, loop, _ = run([ask(expected=tuple(answer))])
    assert found["a"] == answer
    assert loop.stats().steps < 60
    wrong, _, _ = run([ask(expected=tuple(token + 1 for token in answer if token < 999))])
    assert wrong["a"] == answer
    held = FAKE_LIMITS
    single = EngineLoop(FakeBackend(held, step_s=STEP_S, token_s=TOKEN_S), Scheduler(held), clock=VirtualClock())
    usage = next(d.usage for ds in single.run([ask(expected=tuple(answer))]) for d in ds if d.usage is not None)
    assert usage.completion_tokens == 300
    assert 200 < usage.foretold_accepted <= usage.foretold_tokens <= usage.drafted_tokens
    assert usage.foretold_accepted <= usage.accepted_tokens
    assert usage.joules == pytest.approx(3 + 299 + usage.drafted_tokens - usage.accepted_tokens)


def test_ends_stops_and_bounds_are_those_of_an_answer_without_drafts() -> None:
    (answer,) = run([ask()], repeats=9, speculate=False)[0].values()
    stop, at = next((token, at) for at, token in enumerate(answer) if at > 60 and token not in answer[:at])
    request = ask(expected=tuple(answer), stop_token_ids=(stop,))
    assert run([request], repeats=9)[0]["a"] == answer[: at + 1]
    for wanted in (1, 2, 30):
        assert run([ask(wanted=wanted, expected=tuple(answer))], repeats=9)[0]["a"] == answer[:wanted]
    full, loop, _ = run([ask(wanted=61, expected=tuple(answer))], repeats=9, context=64, pages=4)
    assert full["a"] == answer[:61] and loop.stats().accepted_tokens > 0


def test_log_probabilities_penalties_and_least_lengths_go_along() -> None:
    sampling = Sampling(temperature=1.0, seed=4, logprobs=3, presence_penalty=0.5, min_tokens=40)
    request = ask(sampling=sampling, eos_ids=(1, 2, 3, 4, 5, 6))
    (answer,) = run([request], repeats=9, speculate=False)[0].values()
    loop = EngineLoop(FakeBackend(step_s=STEP_S, token_s=TOKEN_S, repeats=9), clock=VirtualClock())
    told = [d for ds in loop.run([replace(request, expected=tuple(answer))]) for d in ds]
    assert [token for delta in told for token in delta.tokens] == answer
    assert all(len(delta.logprobs) == len(delta.top) == len(delta.tokens) for delta in told)
    assert Counter(len(delta.tokens) for delta in told)[8] > 3  # seven of a draft, and one more


def test_costs_are_a_line_through_what_steps_took() -> None:
    costs = Costs()
    assert not costs.known
    costs.observe(1, 0.010)
    assert costs.seconds(1) == pytest.approx(0.010) and 0.010 < costs.seconds(5) < 0.050
    for rows in (1, 5, 8, 2) * 40:
        costs.observe(rows, 0.004 + 0.001 * rows)
    base, each = costs.line()
    assert (base, each) == (pytest.approx(0.004, rel=0.02), pytest.approx(0.001, rel=0.02))
    costs.observe(8, 5.0)  # held up by others
    assert costs.seconds(8) < 0.02


def test_costs_know_how_far_a_number_of_rows_is_from_the_line() -> None:
    """Three rows that hide behind the reading of weights, and products that take rows in fours."""
    costs, took = Costs(), {1: 0.0040, 2: 0.0040, 3: 0.0042, 4: 0.0044, 5: 0.0064, 6: 0.0068, 7: 0.0072, 8: 0.0076}
    for _ in range(40):
        for rows, seconds in took.items():
            costs.observe(rows, seconds)
    base, each = costs.line()
    assert max(abs(base + each * rows - seconds) / seconds for rows, seconds in took.items()) > 0.1
    for rows, seconds in took.items():
        assert costs.seconds(rows) == pytest.approx(seconds, rel=0.05)
    assert costs.seconds(12) == pytest.approx(base + 12 * each)
    for _ in range(400):
        costs.observe(1, 0.0040)
    base, each = costs.line()
    assert costs.seconds(4) == pytest.approx(base + 4 * each, rel=0.01)  # what was seen long ago is forgotten


def test_costs_that_only_fall_or_only_grow_with_rows_are_never_negative() -> None:
    for seconds in ((0.01, 0.001), (0.001, 0.05)):
        costs = Costs()
        for _ in range(50):
            costs.observe(1, seconds[0])
            costs.observe(8, seconds[1])
        base, each = costs.line()
        assert base >= 0 and each >= 0


def test_greedy_drafts_of_the_backend_are_left_at_the_first_other_token() -> None:
    """A row behind a wrong guess is not drawn, and not counted."""
    held = replace(FAKE_LIMITS, max_batch=1, scored_rows=3, draft=3)
    (answer,) = run([Request("a", (1, 2), 40, GREEDY)], speculate=False)[0].values()
    wrong = [token if at % 3 else (token + 1) % 1000 for at, token in enumerate(answer)]
    loop = EngineLoop(FakeBackend(held, step_s=STEP_S, token_s=TOKEN_S), Scheduler(held), clock=VirtualClock())
    told = [d for ds in loop.run([Request("a", (1, 2), 40, GREEDY, expected=tuple(wrong))]) for d in ds]
    assert [token for delta in told for token in delta.tokens] == answer


class Written(FakeBackend):
    """Remembers what every step said."""

    def submit(self, batch: AnyStep) -> int:
        arrays = (batch.tokens, batch.positions, batch.seq_start, batch.slots, batch.page_table, batch.sample_rows)
        self.__dict__.setdefault("said", []).append(b"|".join(a.tobytes() for a in (*arrays, batch.sampling)))
        return super().submit(batch)


@pytest.mark.parametrize("limits", [FAKE_LIMITS, replace(FAKE_LIMITS, in_flight=2, chained=True)])
@pytest.mark.parametrize("count", [1, 3])
def test_a_sequence_alone_has_the_arrays_that_are_gathered_for_several(
    limits: Limits, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> list[bytes]:
        backend = Written(limits, step_s=STEP_S, token_s=TOKEN_S, repeats=9)
        loop = EngineLoop(backend, Scheduler(limits), clock=VirtualClock())
        lengths = (40, 90, 150)  # so that each is alone for a while, and the last one in a slot of its own
        requests = [ask(f"r{i}", lengths[i]) for i in range(count)]
        sampling = Sampling(temperature=1.0, seed=7, min_tokens=12, presence_penalty=0.5)
        requests.append(ask("z", 60, sampling=sampling, eos_ids=(1, 2, 3, 4)))
        for request in requests:
            for _ in loop.run([request]):
                pass
        for _ in loop.run(requests):
            pass
        said: list[bytes] = backend.said
        return said

    alone = said()
    assert max(map(len, alone)) > min(map(len, alone))
    monkeypatch.setattr(StepBuffer, "_alone", lambda *_: False)
    assert said() == alone
