"""Who starts first: the smallest, by what has to be computed at that moment; and who is put back for it."""

from __future__ import annotations

from msgspec.structs import replace
from support.fake import FakeBackend

from undiced.engine.backend import Limits
from undiced.serve import GREEDY, Request, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop
from undiced.serve.sequence import State
from undiced.serve.turns import Turns

LIMITS = Limits(max_batch=2, max_tokens=32, context=256, pages=16, page_tokens=8, vocab=1000, source="test")


def ask(name: str, first: int, prompt: int, wanted: int = 1) -> Request:
    return Request(name, tuple(range(first, first + prompt)), wanted, GREEDY)


def make(limits: Limits = LIMITS) -> EngineLoop:
    return EngineLoop(FakeBackend(limits), Scheduler(limits), clock=VirtualClock())


def run(loop: EngineLoop, steps: int) -> None:
    for _ in range(steps):
        loop.step()


def states(loop: EngineLoop, *names: str) -> list[State]:
    return [loop.scheduler.roster.alive[name].state for name in names]


def test_a_prompt_whose_prefix_has_left_the_cache_meanwhile_starts_after_smaller_ones() -> None:
    loop = make()
    loop.add(ask("known", 0, 33))
    while not loop.idle:
        loop.step()
    loop.add(ask("busy", 900, 2, wanted=50))
    run(loop, 1)
    for request in (ask("long", 500, 112), ask("again", 0, 33), ask("middle", 700, 5)):
        loop.add(request)
    again, middle = (loop.scheduler.roster.alive[name] for name in ("again", "middle"))
    assert again.size < middle.size, "while its prefix is cached"
    run(loop, 3)
    assert states(loop, "long", "again", "middle") == [State.RUNNING, State.WAITING, State.WAITING]
    loop.cancel("busy")
    assert loop.scheduler.schedule(0.0) is not None
    assert states(loop, "again", "middle") == [State.WAITING, State.RUNNING]


def test_a_prompt_that_was_put_back_has_no_turn_but_as_one_of_those_that_wait() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.add(ask("a", 0, 20), 0.0)
    sequence = scheduler.roster.alive["a"]
    sequence.state = State.RUNNING
    turns = Turns([sequence], [], scheduler.roster.waiting)
    sequence.state = State.WAITING
    turns.refuse(sequence)
    assert turns.next() is None


def test_nobody_is_put_back_if_what_it_leaves_is_not_enough() -> None:
    loop = make(replace(LIMITS, max_batch=3, pages=25))
    loop.add(ask("eldest", 500, 200))
    loop.add(ask("under way", 0, 130))
    run(loop, 6)
    assert loop.scheduler.pool.available == 1
    loop.add(replace(ask("small", 0, 88), prompt=(*range(88), *range(800, 820))))  # what it shares would be freed too
    before = loop.scheduler.roster.alive["under way"].computed
    run(loop, 1)
    assert states(loop, "under way", "small") == [State.RUNNING, State.WAITING]
    assert loop.scheduler.roster.alive["under way"].computed >= before


def test_a_prompt_that_waited_for_pages_of_another_counts_them_as_soon_as_they_are_there() -> None:
    scheduler = Scheduler(replace(LIMITS, in_flight=2))
    scheduler.add(ask("eldest", 0, 100), 0.0)
    reads = scheduler.schedule(0.0)
    scheduler.add(replace(ask("alike", 0, 32), prompt=(*range(32), *range(800, 812))), 0.0)
    assert reads is not None and scheduler.schedule(0.0) is not None
    alike = scheduler.roster.alive["alike"]
    assert (alike.state, alike.submitted) == (State.RUNNING, 0), "the first step computes its first pages"
    scheduler.update(reads, [], [], 1.0, 1.0, 1.0)
    scheduler.add(ask("other", 500, 20), 1.0)
    plan = scheduler.schedule(1.0)
    assert plan is not None and alike in plan.sequences
    assert alike.cached == 32
    assert scheduler.roster.alive["other"].state is State.WAITING
