"""Shares of accounts on the virtual clock: equal ones get equal tokens, a light one is served as if it were alone, and
nobody waits forever, whoever else comes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from support.fake import FakeBackend
from support.tenants import LIMITS, Tenant, World, jain

from undiced.engine.backend import Limits
from undiced.serve import GREEDY, Policy, Priority, Request, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop

FLOOD = Tenant("flood", (100, 400), (100, 400), open=60)


def step_s(slots: int) -> float:
    """A step in which all decode, and of the prompt tokens that it takes on beside them."""
    return 0.01 + 0.001 * slots + 0.05


@pytest.mark.parametrize("tenants", [2, 4, 8])
def test_equal_tenants_with_unequal_lengths_get_equal_tokens(tenants: int) -> None:
    crowd = [Tenant(f"t{at}", (10 * (at + 1), 300 + 40 * at), (10, 300 - 30 * at), open=20) for at in range(tenants)]
    World(crowd).run(30.0)
    assert jain([tenant.served for tenant in crowd]) >= 0.98
    assert jain([tenant.tokens for tenant in crowd]) >= 0.95


def test_long_prompts_and_long_answers_get_as_much_of_the_engine() -> None:
    reader, writer = Tenant("reader", (800, 1200), (5, 20), open=20), Tenant("writer", (10, 30), (200, 400), open=20)
    World([reader, writer]).run(30.0)
    assert jain([reader.served, writer.served]) >= 0.95


def test_who_came_first_with_everything_has_no_more_than_an_equal_share_afterwards() -> None:
    first, late = replace(FLOOD), replace(FLOOD, name="late", start_s=10.0)
    world = World([first, late])
    world.run(10.0)
    before = first.served
    world.run(40.0)
    assert jain([first.served - before, late.served]) >= 0.95


def test_idling_earns_nothing() -> None:
    """One that has sent little for long gets its equal share from then on, and no more."""
    steady, returning = replace(FLOOD), Tenant("returning", (20, 20), (20, 20), every_s=5.0)
    world = World([steady, returning])
    world.run(30.0)
    returning.every_s, returning.open, returning.prompt, returning.answer = 0.0, 60, (100, 400), (100, 400)
    before = (steady.served, returning.served)
    world.run(50.0)
    assert jain([steady.served - before[0], returning.served - before[1]]) >= 0.97


@pytest.mark.parametrize("slots", [8, 32])
@pytest.mark.parametrize(("prompt", "answer"), [(20, 20), (64, 20), (150, 40)])
def test_a_tenant_at_a_request_a_second_hardly_notices_a_flood(prompt: int, answer: int, slots: int) -> None:
    light = Tenant("light", (prompt, prompt), (answer, answer), every_s=1.0, start_s=1.0)
    World([light]).run(41.0)
    undisturbed_s = light.wait_s(0.99)
    beside = replace(light, waits_s=[])
    World([beside, replace(FLOOD)], structs.replace(LIMITS, max_batch=slots)).run(41.0)
    assert len(beside.waits_s) > 30
    assert beside.wait_s(0.99) <= 2 * undisturbed_s + step_s(slots)


@pytest.mark.parametrize("flood", [(2000, 4000, 10, 20), (20, 20, 1, 1), (5, 10, 5, 10)])
def test_nor_one_of_other_kinds(flood: tuple[int, int, int, int]) -> None:
    light, turn_s = Tenant("light", (64, 64), (10, 10), every_s=1.0, start_s=1.0), 0.16
    World([light, Tenant("flood", flood[:2], flood[2:], open=60)]).run(21.0)
    assert light.wait_s(0.99) <= 2 * 0.074 + turn_s, "a step of prompts alone may last that long"


def test_nor_one_that_holds_all_pages() -> None:
    light = Tenant("light", (64, 64), (10, 10), every_s=1.0, start_s=1.0)
    World([light, replace(FLOOD)], structs.replace(LIMITS, pages=50)).run(41.0)
    assert light.wait_s(0.95) <= 2 * 0.074 + step_s(8)


def test_shares_cost_the_flood_nothing() -> None:
    totals = []
    for apart in (False, True):
        tenants = [Tenant("light", (64, 64), (20, 20), every_s=1.0), replace(FLOOD)]
        World(tenants, apart=apart).run(20.0)
        totals.append(sum(tenant.tokens for tenant in tenants))
    assert totals[1] > 0.95 * totals[0]


# nobody starves

BUDGET = 32
WIDE = Limits(max_batch=32, max_tokens=BUDGET, context=4096, pages=4096, page_tokens=8, vocab=100_000, source="test")


@dataclass
class Case:
    """A prompt: when it comes, how long it is, whose, and when its first token came, all in steps."""

    arrival: int
    tokens: int
    account: int
    first: int = -1


def read(cases: list[Case], limits: Limits = WIDE) -> None:
    """Fill in when the first tokens came."""
    policy = Policy(max_waiting=10_000, turn_s=1e9, stall_s=1e9)
    clock = VirtualClock()
    loop = EngineLoop(FakeBackend(limits, step_s=1.0), Scheduler(limits, policy), clock=clock)
    coming = sorted(enumerate(cases), key=lambda item: (item[1].arrival, item[0]), reverse=True)
    steps = 0
    while coming or not loop.idle:
        while coming and coming[-1][1].arrival <= steps:
            index, case = coming.pop()
            prompt = tuple(index * 3001 % 97_000 + i % 3000 for i in range(case.tokens))
            loop.add(Request(str(index), prompt, 1, GREEDY, account=f"a{case.account}"))
        if loop.idle:
            clock.advance(1.0)
        for delta in loop.step():
            case = cases[int(delta.request_id)]
            case.first = case.first if case.first >= 0 else steps
        steps += 1


def patience(case: Case, older: list[Case]) -> float:
    """Steps after which it has been read, whoever comes later: one in nine gives the eldest of all its half."""
    return 9 * (2 * (case.tokens + sum(other.tokens for other in older)) / BUDGET + len(older) + 1)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.builds(Case, st.integers(0, 60), st.one_of(st.integers(1, 40), st.integers(100, 900)), st.integers(0, 5)),
        min_size=1,
        max_size=20,
    )
)
def test_everybody_is_read_in_time_whoever_comes_later(cases: list[Case]) -> None:
    read(cases)
    for index, case in enumerate(cases):
        older = [o for i, o in enumerate(cases) if (o.arrival, i) < (case.arrival, index) and o.first >= case.arrival]
        assert case.first - case.arrival <= patience(case, older)


def test_accounts_that_nobody_has_seen_before_don_t_starve_one_that_has_had_much() -> None:
    greedy = [Case(0, 200, 0), Case(0, 210, 0)]
    cases = [*greedy, *(Case(step, 36, step + 1) for step in range(10, 300))]
    read(cases)
    assert greedy[1].first <= patience(greedy[1], greedy[:1])


def test_an_account_that_is_served_least_reads_its_short_prompts_before_its_long_ones() -> None:
    long, short = Case(0, 900, 1), Case(5, 20, 1)
    read([Case(0, 900, 0), Case(0, 900, 0), long, short])
    assert short.first - short.arrival <= 4
    assert long.first > short.first


@pytest.mark.parametrize("priority", [Priority.NORMAL, Priority.LOW])
def test_a_lower_class_of_another_account_waits_and_is_served_in_the_end(priority: Priority) -> None:
    low = Tenant("low", (50, 50), (10, 10), every_s=20.0, priority=priority)
    high = Tenant("high", (20, 60), (20, 60), open=30, priority=Priority.HIGH)
    World([low, high]).run(90.0)
    assert low.waits_s, "a class waits as if it had come later, and not forever"
    assert low.wait_s(0) > (5.0 if priority is Priority.NORMAL else 60.0)


def test_a_higher_class_takes_places_of_a_lower_one_of_another_account() -> None:
    waits = {}
    for priority in (Priority.HIGH, Priority.NORMAL):
        urgent = Tenant("urgent", (64, 64), (200, 200), open=3, start_s=1.0, priority=priority)
        World([urgent, replace(FLOOD, priority=Priority.LOW)]).run(20.0)
        waits[priority] = urgent.wait_s(0.9)
    assert max(waits.values()) <= 2 * 0.074 + step_s(8)
