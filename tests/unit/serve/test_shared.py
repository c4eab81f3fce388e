"""One loop for several threads: everybody gets their own tokens, nobody waits for one who pauses."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from msgspec.structs import replace
from support.fake import FAKE_LIMITS, FakeBackend

from undiced.core.errors import EngineError
from undiced.serve import GREEDY, Policy, Request, Scheduler
from undiced.serve.loop import EngineLoop
from undiced.serve.shared import SharedLoop


def ask(name: str, wanted: int = 8, first: int = 1) -> Request:
    return Request(name, (first, 2, 3), wanted, GREEDY)


def shared(waiting: int = 256, **options: object) -> tuple[SharedLoop, Scheduler]:
    backend = FakeBackend(replace(FAKE_LIMITS, max_batch=4), **options)  # type: ignore[arg-type]
    scheduler = Scheduler(backend.limits, Policy(max_waiting=waiting))
    return SharedLoop(EngineLoop(backend, scheduler)), scheduler


def read(loop: SharedLoop, *requests: Request) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {request.id: [] for request in requests}
    for delta in loop.run(requests):
        found[delta.request_id] += delta.tokens
    return found


def test_threads_share_it_and_each_gets_what_it_would_get_alone() -> None:
    loop, scheduler = shared(waiting=2, step_s=0.001, sleep=True)
    batches = [[ask(f"{t}-{i}", 5 + i, first=10 * t + i) for i in range(5)] for t in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda batch: read(loop, *batch), batches))
    for batch, found in zip(batches, answers, strict=True):
        assert found == {request.id: read(shared()[0], request)[request.id] for request in batch}
    assert scheduler.idle
    assert scheduler.stats().steps < sum(5 + i for i in range(5)) * 6 / 2, "they did not run together"


def test_a_paused_reader_holds_up_nobody_and_loses_nothing() -> None:
    loop, _ = shared()
    paused = loop.run([ask("paused", 20)])
    seen = [*next(paused).tokens]
    assert len(read(loop, ask("other", 60))["other"]) == 60
    seen += [token for delta in paused for token in delta.tokens]
    assert seen == read(loop, ask("again", 20))["again"]


def test_leaving_frees_what_was_running_and_what_waited() -> None:
    loop, scheduler = shared(waiting=1)
    with closing(loop.run([ask(f"r{i}", 1000, first=i) for i in range(9)])) as steps:
        next(steps)
    assert scheduler.idle
    assert scheduler.pool.held == 0
    assert len(read(loop, ask("after"))["after"]) == 8


def test_leaving_while_another_thread_steps_frees_too() -> None:
    loop, scheduler = shared(step_s=0.02, sleep=True)
    leaving = loop.run([ask("leaving", 4000)])
    next(leaving)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(read, loop, ask("other", 20, first=5))
        time.sleep(0.03)
        leaving.close()
        assert len(other.result(10)["other"]) == 20
    assert scheduler.idle


def test_finish_ends_a_sequence_where_its_reader_says() -> None:
    loop, _ = shared()
    usages = []
    for delta in loop.run([ask("a", 1000)]):
        if delta.usage is None:
            loop.finish("a", 1)
        else:
            usages.append(delta.usage)
    assert [(usage.completion_tokens, usage.finish_reason) for usage in usages] == [(1, "stop")]


def test_a_failed_engine_is_an_error_for_everybody_and_forever() -> None:
    loop, scheduler = shared(step_s=0.005, sleep=True, poison=999)
    with ThreadPoolExecutor(2) as pool:
        bystander = pool.submit(read, loop, ask("bystander", 4000))
        time.sleep(0.05)
        culprit = pool.submit(read, loop, ask("culprit", first=999))
        for future in (bystander, culprit):
            with pytest.raises(EngineError, match="poison"):
                future.result(10)
    with pytest.raises(EngineError, match="poison"):
        read(loop, ask("late"))
    assert scheduler.idle


def test_closing_waits_for_the_step_and_ends_the_others() -> None:
    loop, _ = shared(step_s=0.02, sleep=True)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read, loop, ask("open", 4000))
        time.sleep(0.05)
        loop.close()
        with pytest.raises(EngineError, match="closed"):
            reader.result(10)
    loop.close()
    with pytest.raises(EngineError, match="closed"):
        read(loop, ask("late"))


def test_an_interrupted_step_leaves_the_place_free() -> None:
    class Interrupted(FakeBackend):
        def collect(self, ticket):  # type: ignore[no-untyped-def]
            if len(self.steps) == 3 and threading.current_thread() is threading.main_thread():
                self.steps.append((0, 0))
                raise KeyboardInterrupt
            return super().collect(ticket)

    scheduler = Scheduler(FAKE_LIMITS)
    loop = SharedLoop(EngineLoop(Interrupted(), scheduler))
    with pytest.raises(KeyboardInterrupt):
        read(loop, ask("torn", 50))
    assert scheduler.idle
    assert read(loop, ask("next", 50))["next"] == read(shared()[0], ask("next", 50))["next"]
