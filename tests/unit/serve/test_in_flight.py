"""Several steps in flight: same tokens, full stages, and nothing of a step in flight is given to others."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from support.fake import FakeBackend

from undiced.core.errors import EngineError
from undiced.engine.backend import Limits, StepInput, Submitted
from undiced.serve import GREEDY, Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop

LIMITS = Limits(max_batch=8, max_tokens=32, context=256, pages=64, page_tokens=8, vocab=1000, source="test")


def make(in_flight: int, step_s: float = 0.012, token_s: float = 0.0, **limits: int) -> tuple[EngineLoop, VirtualClock]:
    clock, held = VirtualClock(), replace(LIMITS, in_flight=in_flight, **limits)
    backend = FakeBackend(held, step_s=step_s, token_s=token_s, poison=999)
    return EngineLoop(backend, Scheduler(held), clock=clock), clock


def ask(name: str, prompt: int = 3, wanted: int = 12, first: int = 1, **fields: object) -> Request:
    request = Request(name, tuple((first + 7 * i) % 900 for i in range(prompt)), wanted, GREEDY)
    return replace(request, **fields)  # type: ignore[arg-type]


def answers(loop: EngineLoop, requests: list[Request]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {request.id: [] for request in requests}
    for deltas in loop.run(requests):
        for delta in deltas:
            found[delta.request_id] += delta.tokens
    return found


@pytest.mark.parametrize("in_flight", [2, 3, 4])
@pytest.mark.parametrize("pages", [64, 24])
def test_tokens_are_those_of_one_step_at_a_time(in_flight: int, pages: int) -> None:
    requests = [ask(f"r{i}", 5 + 9 * i, 20 + i, i % 3, sampling=Sampling(seed=i)) for i in range(12)]
    one, _ = make(1, pages=pages)
    many, _ = make(in_flight, pages=pages)
    assert answers(many, requests) == answers(one, requests)
    assert many.scheduler.pool.held == 0
    assert many.stats().completion_tokens == sum(request.max_tokens for request in requests)


def test_a_pipeline_is_filled_by_as_many_groups_as_it_has_stages() -> None:
    took = {}
    for in_flight in (1, 4):
        loop, clock = make(in_flight, step_s=0.0, token_s=0.001)
        answers(loop, [ask(f"r{i}", first=i, wanted=40) for i in range(8)])
        took[in_flight] = clock()
    assert took[4] < 0.35 * took[1]
    loop, _ = make(4)
    for index in range(8):
        loop.add(ask(f"r{index}", first=index, wanted=40))
    for _ in range(12):
        loop.step()
    assert isinstance(loop.backend, FakeBackend)
    assert [len(flight.batch.slots) for flight in loop.backend.flights] == [2, 2, 2]


def test_the_chunks_of_one_long_prompt_follow_one_another_through_the_stages() -> None:
    took = {}
    for in_flight in (1, 4):
        loop, clock = make(in_flight)
        answers(loop, [ask("long", prompt=240, wanted=1)])
        took[in_flight] = clock()
    assert took[1] == pytest.approx(8 * 0.012)
    assert took[4] == pytest.approx(0.012 + 7 * 0.003)


def test_who_ends_in_flight_keeps_pages_and_slot_until_the_step_is_collected() -> None:
    loop, _ = make(2, max_batch=2, pages=8)
    for name in ("a", "b"):
        loop.add(ask(name, prompt=20, first=ord(name)))
    loop.step()
    assert loop.cancel("b")
    held = loop.scheduler.pool.held
    assert held == 6, "its step is still in flight"
    ended = {delta.request_id for delta in loop.step() if delta.usage}
    assert ended == {"b"}
    loop.add(ask("c", prompt=20, first=50))
    while not loop.idle:
        loop.step()
    assert loop.stats().ended == 3
    assert loop.scheduler.pool.held == 0


def test_a_page_is_shared_only_once_its_step_has_been_collected() -> None:
    loop, _ = make(2)
    loop.add(ask("first", prompt=17, wanted=1))
    plan = loop.scheduler.schedule(0.0)
    assert plan is not None
    loop.add(ask("second", prompt=17, wanted=1))
    assert loop.scheduler.schedule(0.0) is None, "it waits for the pages that are being computed"
    loop.scheduler.update(plan, [5], [], 0.0, 0.01, 1.0)
    following = loop.scheduler.schedule(0.0)
    assert following is not None
    assert (following.counts, following.sequences[0].cached) == ([1], 16)


def test_a_failure_gives_up_all_steps_in_flight() -> None:
    loop, _ = make(3)
    loop.add(ask("a"))
    loop.add(ask("b", first=2))
    loop.step()
    loop.add(Request("poisoned", (999,), 3, GREEDY))
    with pytest.raises(EngineError, match="poison"):
        for _ in range(4):
            loop.step()
    ends = loop.fail()
    assert {(delta.request_id, delta.finish_reason) for delta in ends} == {(n, "error") for n in ("a", "b", "poisoned")}
    assert loop.idle
    assert loop.scheduler.pool.held == 0


def test_tickets_are_collected_in_order_and_only_so_many_are_open() -> None:
    empty = np.zeros(0, np.int32)
    batch = StepInput(empty, empty, empty, empty, empty.reshape(0, 1), empty, empty)
    submitted = Submitted(2)
    first, second = submitted.push(batch), submitted.push(batch)
    with pytest.raises(EngineError, match="2 steps are in flight"):
        submitted.push(batch)
    with pytest.raises(EngineError, match="not the next"):
        submitted.oldest(second)
    for ticket in (first, second):
        assert submitted.oldest(ticket) is batch
        submitted.done()
    with pytest.raises(EngineError, match="not the next"):
        submitted.oldest(second)
