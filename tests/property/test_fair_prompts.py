"""How long a prompt waits for its first token, in steps on the virtual clock, whatever else there is to read.

The two bounds of `serve.turns`: by its own size and the number of others, and by those older than it. Work is never
idle, so that all together take as long as one after another.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.fake import FakeBackend

from undiced.engine.backend import Limits
from undiced.serve import GREEDY, Policy, Priority, Request, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop

BUDGET = 32
LIMITS = Limits(max_batch=32, max_tokens=BUDGET, context=4096, pages=4096, page_tokens=8, vocab=100_000, source="test")


@dataclass
class Case:
    """A prompt: when it comes, how long it is, and when its first token came, all in steps."""

    arrival: int
    tokens: int
    priority: Priority = Priority.NORMAL
    first: int = -1


def run(cases: list[Case], limits: Limits = LIMITS, wanted: int = 1) -> int:
    """Fill in when the first tokens came; returns the steps in all."""
    policy = Policy(max_waiting=10_000, turn_s=1e9, stall_s=1e9)
    clock = VirtualClock()
    loop = EngineLoop(FakeBackend(limits, step_s=1.0), Scheduler(limits, policy), clock=clock)
    coming = sorted(enumerate(cases), key=lambda item: (item[1].arrival, item[0]), reverse=True)
    steps = 0
    while coming or not loop.idle:
        while coming and coming[-1][1].arrival <= steps:
            index, case = coming.pop()
            prompt = tuple(index * 3001 % 97_000 + i % 3000 for i in range(case.tokens))
            loop.add(Request(str(index), prompt, wanted, GREEDY, priority=case.priority))
        if loop.idle:
            clock.advance(1.0)
        for delta in loop.step():
            case = cases[int(delta.request_id)]
            case.first = case.first if case.first >= 0 else steps
        steps += 1
    return steps


cases = st.lists(
    st.builds(Case, st.integers(0, 60), st.one_of(st.integers(1, 40), st.integers(100, 900))), min_size=1, max_size=20
)


def beside(case: Case, cases: list[Case]) -> list[Case]:
    """Those that were there while the case waited."""
    return [
        other for other in cases if other is not case and other.first >= case.arrival and other.arrival <= case.first
    ]


@settings(max_examples=50, deadline=None)
@given(cases)
def test_a_prompt_waits_for_its_own_size_times_those_beside_it_and_not_for_long_ones(cases: list[Case]) -> None:
    run(cases)
    for case in cases:
        before = sum(min(other.tokens, case.tokens) for other in beside(case, cases))
        assert case.first - case.arrival <= 2 * (case.tokens + before) / BUDGET + 1


@settings(max_examples=50, deadline=None)
@given(cases)
def test_nobody_waits_longer_than_twice_what_first_come_first_served_takes(cases: list[Case]) -> None:
    steps = run(cases)
    for index, case in enumerate(cases):
        older = [o for i, o in enumerate(cases) if (o.arrival, i) < (case.arrival, index) and o.first >= case.arrival]
        ahead = sum(other.tokens for other in older)
        assert case.first - case.arrival <= 2 * (case.tokens + ahead) / BUDGET + len(older) + 1
    assert steps <= max(case.arrival for case in cases) + sum(case.tokens for case in cases) / BUDGET + 1 + sum(
        case.tokens % 8 == 0 for case in cases
    )


@settings(max_examples=40, deadline=None)
@given(cases, st.lists(st.sampled_from(Priority), min_size=20, max_size=20))
def test_a_higher_class_is_read_first_whatever_its_size(cases: list[Case], priorities: list[Priority]) -> None:
    for case, priority in zip(cases, priorities, strict=False):
        case.priority = priority
    run(cases)
    for case in cases:
        others = [other for other in beside(case, cases) if other.priority <= case.priority]
        higher = sum(other.tokens for other in others if other.priority < case.priority)
        like = sum(min(other.tokens, case.tokens) for other in others if other.priority is case.priority)
        assert case.first - case.arrival <= 2 * (case.tokens + higher + like) / BUDGET + 1


def test_a_short_question_behind_long_prompts_waits_two_steps() -> None:
    cases = [*(Case(0, 3000) for _ in range(4)), Case(20, 16)]
    assert run(cases) == pytest.approx(4 * 3000 / BUDGET, abs=2)
    assert cases[-1].first - cases[-1].arrival <= 1


def test_long_prompts_that_come_together_are_read_one_after_another() -> None:
    cases = [Case(0, 3000) for _ in range(4)]
    run(cases)
    for index, case in enumerate(cases):
        assert case.first == pytest.approx((index + 1) * 3000 / BUDGET, abs=2)


def test_an_endless_stream_of_short_prompts_costs_a_long_one_twice_its_time_at_most() -> None:
    long = Case(0, 1600)
    run([long, *(Case(step, 30) for step in range(200))])
    assert 1600 / BUDGET < long.first <= 2 * 1600 / BUDGET + 1


def test_short_prompts_are_bounded_by_their_number_while_long_ones_keep_coming() -> None:
    shorts = [Case(step, 12) for step in range(40, 100, 10)]
    run([*shorts, *(Case(step, 640) for step in range(0, 100, 4))])
    assert max(case.first - case.arrival for case in shorts) <= 1


@pytest.mark.parametrize("pages", [512, 420])
def test_larger_prompts_give_up_slots_and_pages_for_a_short_one_but_the_eldest_does_not(pages: int) -> None:
    limits = replace(LIMITS, max_batch=3, pages=pages)
    growing_shorter = [Case(0, 3000), Case(3, 2000), Case(6, 1000), Case(9, 500), Case(12, 40)]
    run(growing_shorter, limits)
    assert growing_shorter[-1].first - growing_shorter[-1].arrival <= 2 * 40 / BUDGET + 1
    assert growing_shorter[0].first <= 2 * 3000 / BUDGET + 1
    firsts = [case.first for case in growing_shorter[1:]]
    assert firsts == sorted(firsts, reverse=True)


def test_a_large_prompt_that_needs_most_pages_is_not_passed_by_for_ever() -> None:
    limits = replace(LIMITS, max_batch=4, pages=60)
    large = Case(4, 400)
    cases = [large, *(Case(step, 24) for step in range(0, 400, 2))]
    run(cases, limits, wanted=40)
    assert large.first - large.arrival < 120
