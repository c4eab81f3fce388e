"""Steps planned while the one before is computed: the same tokens, and never where something depends on those."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.fake import FAKE_LIMITS, FakeBackend

from undiced.core.errors import EngineError
from undiced.engine.backend import Limits
from undiced.serve import GREEDY, Policy, Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.delta import Delta
from undiced.serve.figures import Figures
from undiced.serve.loop import EngineLoop
from undiced.serve.plan import Plan

LIMITS = replace(FAKE_LIMITS, in_flight=2, chained=True, draft=0)
STEP_S = 0.004


def make(
    limits: Limits = LIMITS, *, broken: int = -1, poison: int = -1, repeats: int = 0, **policy: float
) -> EngineLoop:
    backend = FakeBackend(limits, step_s=STEP_S, broken=broken, poison=poison, repeats=repeats)
    return EngineLoop(backend, Scheduler(limits, Policy(**policy)), clock=VirtualClock())  # type: ignore[arg-type]


def ask(name: str, prompt: int = 5, wanted: int = 20, **fields: object) -> Request:
    tokens = tuple((sum(name.encode()) + 7 * at) % 900 for at in range(prompt))
    return replace(Request(name, tokens, wanted, GREEDY), **fields)  # type: ignore[arg-type]


def run(loop: EngineLoop, requests: list[Request]) -> tuple[dict[str, list[int]], int]:
    """The answers, and how many steps were planned ahead."""
    found: dict[str, list[int]] = {request.id: [] for request in requests}
    ahead = 0
    for deltas in loop.run(requests):
        ahead += len(loop._flights)
        for delta in deltas:
            found[delta.request_id] += delta.tokens
    loop.check()
    assert loop.scheduler.pool.held == 0
    return found, ahead


MIXED = [
    ask("plain"),
    ask("drawn", sampling=Sampling(seed=7, temperature=1.0)),
    ask("penalized", sampling=Sampling(seed=1, presence_penalty=1.0)),
    ask("long", prompt=300, wanted=40),
    ask("least", wanted=12, sampling=Sampling(min_tokens=9), eos_ids=tuple(range(0, 1000, 2))),
    ask("short", wanted=1),
    ask("told", sampling=Sampling(logprobs=2)),
]


@pytest.mark.parametrize("in_flight", [2, 3, 6])
def test_answers_are_those_of_one_step_at_a_time(in_flight: int) -> None:
    plain, none = run(make(replace(LIMITS, in_flight=1, chained=False)), MIXED)
    found, ahead = run(make(replace(LIMITS, in_flight=in_flight), ahead_s=1.0), MIXED)
    assert found == plain
    assert (none, ahead > 10 * in_flight) == (0, True)


@pytest.mark.parametrize(("ahead_s", "most"), [(STEP_S, 2), (3.5 * STEP_S, 3), (1.0, 6)])
def test_more_than_two_are_in_flight_as_long_as_all_of_them_are_short(ahead_s: float, most: int) -> None:
    loop = make(replace(LIMITS, in_flight=6), ahead_s=ahead_s)
    loop.add(ask("a", wanted=40))
    flights = []
    while not loop.idle:
        loop.step()
        flights.append(len(loop._flights))
    assert max(flights) + 1 == most
    assert (loop.stats().completion_tokens, loop.stats().steps) == (40, 40), "no step was for nobody"


def test_one_step_at_most_is_behind_a_prompt_whose_first_token_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make(replace(LIMITS, in_flight=6), ahead_s=1.0)
    update, behind = loop.scheduler.update, []

    def told(plan: Plan, *outcome: object) -> list[Delta]:
        behind.append((plan.prompt_tokens > 0, len(loop._flights)))
        return update(plan, *outcome)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.scheduler, "update", told)
    for name in "ab":  # for the second one it is known how short steps are
        run(loop, [ask(name, wanted=30)])
    assert max(flights for prompt, flights in behind if prompt) == 1
    assert max(flights for _, flights in behind) == 5


def test_speed_is_that_of_the_steps_where_several_are_collected_at_once() -> None:
    figures = Figures()
    figures.begin(0.0)
    for step in range(400):
        figures.step(0, 1, (step // 4 + 1) * 0.01, 0.0025, 0.0)
    assert figures.rate == pytest.approx(400, rel=0.03)


@pytest.mark.parametrize("stop", [0, 5, 18])
def test_who_meets_a_stop_token_has_one_row_too_many_and_no_token(stop: int) -> None:
    [tokens] = run(make(), [ask("a")])[0].values()
    ends = ask("a", stop_token_ids=(tokens[stop],))
    found, _ = run(make(), [ends, ask("b")])
    assert found["a"] == tokens[: tokens.index(tokens[stop]) + 1]
    assert len(found["b"]) == 20


def test_steps_ahead_end_with_the_longest_answer_and_the_context() -> None:
    loop = make(replace(LIMITS, context=16))
    found, _ = run(loop, [ask("a", wanted=4), ask("b", prompt=6, wanted=10)])
    assert [len(tokens) for tokens in found.values()] == [4, 10]
    assert loop.stats().steps == 10, "no step was for nobody"


def test_a_sequence_that_fails_leaves_the_others_alone() -> None:
    [tokens] = run(make(), [ask("a")])[0].values()
    loop = make(broken=tokens[4])
    found, _ = run(loop, [ask("a"), ask("b")])
    assert found["a"] == tokens[:5]
    assert len(found["b"]) == 20


def test_who_comes_meanwhile_is_read_in_the_step_after_those_in_flight() -> None:
    loop = make()
    loop.add(ask("a", wanted=40))
    for _ in range(4):
        loop.step()
    assert len(loop._flights) == 1
    loop.add(ask("b"))
    said = [{delta.request_id for delta in loop.step()} for _ in range(3)]
    assert said == [{"a"}, {"a", "b"}, {"a", "b"}]


@pytest.mark.parametrize("when", range(1, 6))
def test_who_is_cancelled_in_flight_gives_its_pages_back_when_the_step_is_over(when: int) -> None:
    loop = make()
    for name in "ab":
        loop.add(ask(name, prompt=40))
    for _ in range(when):
        loop.step()
    assert loop.cancel("a")
    rest = [delta for _ in range(30) for delta in loop.step() if delta.request_id == "b"]
    assert sum(len(delta.tokens) for delta in rest) + when == 20
    assert (loop.idle, loop.scheduler.pool.held) == (True, 0)


def test_a_failure_gives_up_both_steps() -> None:
    loop = make(poison=999)
    loop.add(ask("a"))
    for _ in range(3):
        loop.step()
    loop.add(Request("bad", (999,), 3, GREEDY))
    with pytest.raises(EngineError, match="poison"):
        for _ in range(4):
            loop.step()
    assert {delta.request_id for delta in loop.fail()} == {"a", "bad"}
    assert (loop.idle, loop.scheduler.pool.held) == (True, 0)


def test_short_pages_are_left_to_steps_that_may_take_them_from_others() -> None:
    limits = replace(LIMITS, pages=12, max_batch=4)
    requests = [ask(f"r{at}", prompt=30, wanted=60) for at in range(4)]
    plain, _ = run(make(replace(limits, in_flight=1, chained=False)), requests)
    loop = make(limits)
    assert run(loop, requests)[0] == plain
    assert loop.stats().preemptions > 0


def test_long_steps_are_not_planned_ahead() -> None:
    loop = make(ahead_s=STEP_S / 2)
    run(loop, MIXED[:1])
    assert run(loop, MIXED)[1] == 0


def test_what_is_guessed_for_waits_for_its_tokens() -> None:
    limits = replace(LIMITS, draft=7)
    requests = [ask("a", prompt=20, wanted=300)]
    plain, _ = run(make(replace(limits, in_flight=1, chained=False), repeats=3), requests)
    loop = make(limits, repeats=3)
    found, ahead = run(loop, requests)
    assert found == plain
    assert loop.stats().accepted_tokens > 10
    assert ahead < loop.stats().steps / 2


def test_more_than_two_are_in_flight_only_where_a_late_guess_is_no_loss() -> None:
    def flights(repeats: int) -> list[int]:
        limits = replace(LIMITS, in_flight=6, draft=7)
        loop = make(limits, repeats=repeats, ahead_s=1.0)
        loop.add(ask("a", prompt=20, wanted=300))
        found = []
        while not loop.idle:
            loop.step()
            found.append(len(loop._flights))
        return found

    alone = flights(repeats=0)
    assert max(alone[:60]) == 1, "nobody knows yet whether guesses are right"
    assert max(alone[70:]) == 5
    assert max(flights(repeats=3)) == 1
