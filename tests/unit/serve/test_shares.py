"""Accounts in the scheduler, rule by rule: who gives way, who is refused, what is charged, and what is forgotten."""

from __future__ import annotations

import random
import statistics
import sys
import time

import pytest
from msgspec.structs import replace
from support.fake import FakeBackend
from support.tenants import Formula

from undiced.core.errors import QueueFullError
from undiced.engine.backend import Limits
from undiced.serve import GREEDY, Policy, Priority, Request, Sampling, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop
from undiced.serve.queue import WaitingQueue
from undiced.serve.sequence import Sequence, State
from undiced.serve.shares import Shares, has_place

LIMITS = Limits(max_batch=4, max_tokens=32, context=256, pages=64, page_tokens=8, vocab=1000, source="test")


def make(limits: Limits = LIMITS, **policy: int) -> EngineLoop:
    return EngineLoop(FakeBackend(limits, step_s=0.01), Scheduler(limits, Policy(**policy)), clock=VirtualClock())


def ask(name: str, account: str, prompt: int = 3, wanted: int = 50, **fields: object) -> Request:
    tokens = tuple((sum(name.encode()) + 7 * at) % 900 for at in range(prompt))
    return replace(Request(name, tokens, wanted, GREEDY, account=account), **fields)  # type: ignore[arg-type]


def run(loop: EngineLoop, steps: int = 100_000) -> dict[str, list[int]]:
    """Step until nothing is left; the tokens of each."""
    found: dict[str, list[int]] = {}
    for _ in range(steps):
        if loop.idle:
            break
        for delta in loop.step():
            found.setdefault(delta.request_id, []).extend(delta.tokens)
    return found


def states(loop: EngineLoop, names: str) -> list[State]:
    return [loop.scheduler.roster.alive[name].state for name in names]


def served(loop: EngineLoop, name: str) -> int:
    return loop.scheduler.roster.alive[name].share.served


# places


def flooded(limits: Limits = LIMITS, **fields: object) -> EngineLoop:
    """Four long answers of one account, under way, on all four slots."""
    loop = make(limits)
    for name in "abcd":
        loop.add(ask(name, "flood", **fields))
        run(loop, 2)
    return loop


def test_a_newcomer_has_the_place_of_the_youngest_of_the_flood_at_once() -> None:
    loop = flooded()
    loop.add(ask("x", "new"))
    assert "x" in {delta.request_id for delta in loop.step()}
    assert states(loop, "abcdx") == [State.RUNNING] * 3 + [State.WAITING, State.RUNNING]


def test_places_are_taken_until_shares_are_equal_and_never_back() -> None:
    loop = flooded()
    for name in "xyz":
        loop.add(ask(name, "new"))
    run(loop, 20)
    assert states(loop, "abcdxy") == [State.RUNNING] * 2 + [State.WAITING] * 2 + [State.RUNNING] * 2
    assert states(loop, "z") == [State.WAITING]
    assert loop.stats().preemptions == 2


def test_who_gave_way_goes_on_with_the_same_tokens_though_its_slot_counted_them() -> None:
    for sampling in (GREEDY, Sampling(seed=3), Sampling(temperature=0.0, presence_penalty=1.0)):
        alone = make()
        alone.add(ask("d", "flood", sampling=sampling))
        expected = run(alone)["d"]
        loop = flooded(sampling=sampling)
        begun = {name: list(one.tokens[3:]) for name, one in loop.scheduler.roster.alive.items()}
        loop.add(ask("x", "new", wanted=4))
        rest = run(loop)
        assert loop.stats().preemptions == 1
        assert begun["d"] + rest["d"] == expected


def test_a_single_place_is_nobodys_to_take() -> None:
    loop = make(replace(LIMITS, max_batch=2))
    for name in "ab":
        loop.add(ask(name, name))
    loop.add(ask("x", "new"))
    run(loop, 10)
    assert states(loop, "abx") == [State.RUNNING, State.RUNNING, State.WAITING]


def test_a_lower_class_takes_no_place_of_a_higher_one_and_a_higher_one_takes_it_whatever_was_served() -> None:
    loop = flooded(priority=Priority.NORMAL)
    loop.add(ask("low", "new", priority=Priority.LOW))
    run(loop, 10)
    assert loop.scheduler.roster.alive["low"].state is State.WAITING
    loop.add(ask("x", "other", prompt=200, wanted=1, priority=Priority.HIGH))
    run(loop, 1)
    assert states(loop, "dx") == [State.WAITING, State.RUNNING]


def test_a_newcomer_that_finds_no_pages_has_those_of_the_flood() -> None:
    loop = flooded(replace(LIMITS, max_batch=8, pages=24), prompt=40)
    assert loop.scheduler.pool.available < 8
    loop.add(ask("x", "new", prompt=60))
    run(loop, 3)
    assert states(loop, "abx") == [State.RUNNING] * 3
    assert State.WAITING in states(loop, "cd")


def test_pages_that_run_out_are_those_of_the_account_with_most_slots() -> None:
    loop = make(replace(LIMITS, pages=12, context=64))
    for name in "abc":
        loop.add(ask(name, "flood", prompt=8, wanted=40))
    run(loop, 2)
    loop.add(ask("x", "new", prompt=8, wanted=40))
    while not loop.scheduler.roster.preempted:
        run(loop, 1)
    assert states(loop, "abcx") == [State.RUNNING] * 2 + [State.PREEMPTED, State.RUNNING]
    assert len(run(loop)) == 4


def test_a_lower_class_takes_the_place_of_its_like_where_a_higher_one_runs_too() -> None:
    loop = make()
    for name, priority in zip("abcd", (1, 1, 2, 2), strict=True):
        loop.add(ask(name, "flood", priority=Priority(priority)))
        run(loop, 2)
    for name in "xy":
        loop.add(ask(name, "new", priority=Priority.LOW))
    run(loop, 10)
    assert states(loop, "abcdxy") == [State.RUNNING] * 2 + [State.WAITING] * 2 + [State.RUNNING] * 2
    for name in "zq":
        loop.add(ask(name, f"another {name}", priority=Priority.LOW))
    run(loop, 10)
    assert states(loop, "abxz") == [State.RUNNING] * 4, "z has one of two places of its class"
    assert states(loop, "yq") == [State.WAITING] * 2, "q has none of the two places of a higher one"


def test_a_step_that_reads_the_end_of_a_newcomers_prompt_reads_nothing_of_the_flood_behind_it() -> None:
    loop = make(replace(LIMITS, pages=200))
    loop.add(ask("a", "flood"))
    loop.add(ask("b", "flood", prompt=200))
    run(loop, 3)
    loop.add(ask("x", "new", prompt=5))
    before = loop.stats().prompt_tokens
    run(loop, 1)
    assert (states(loop, "x"), loop.stats().prompt_tokens - before) == ([State.RUNNING], 5)
    before = loop.stats().prompt_tokens
    run(loop, 1)
    assert loop.stats().prompt_tokens - before > 20, "the flood goes on with the next one"


# what is charged


def test_computed_prompt_tokens_count_once_answers_twice_and_cached_ones_nothing() -> None:
    loop = make()
    loop.add(ask("keeper", "other", wanted=200))
    loop.add(ask("a", "mine", prompt=20, wanted=6))
    run(loop, 4)
    before = served(loop, "a")
    run(loop, 1)
    assert served(loop, "a") - before == 2
    run(loop, 3)
    loop.add(replace(ask("a", "third", prompt=20, wanted=50), id="again"))
    before = served(loop, "again")
    run(loop, 1)
    assert loop.scheduler.roster.alive["again"].cached == 16
    assert served(loop, "again") - before == 4 + 2


def test_who_gave_way_does_not_pay_twice() -> None:
    loop = flooded()
    loop.add(ask("x", "new", wanted=20))
    run(loop, 3)
    assert states(loop, "d") == [State.WAITING]
    loop.scheduler.pool.clear()
    before, made, read = served(loop, "a"), loop.stats().completion_tokens, loop.stats().prompt_tokens
    loop.cancel("x")
    run(loop, 10)
    assert states(loop, "abcd") == [State.RUNNING] * 4
    assert loop.stats().prompt_tokens > read, "it was read again"
    assert served(loop, "a") - before == 2 * (loop.stats().completion_tokens - made)


# the queue


def test_an_account_that_fills_the_queue_is_refused_and_others_are_not() -> None:
    loop = make(max_waiting=4)
    for at in range(4):
        loop.add(ask(f"f{at}", "flood"))
    with pytest.raises(QueueFullError, match="4 requests are waiting"):
        loop.add(ask("f4", "flood"))
    for at in range(2):
        loop.add(ask(f"n{at}", "new"))
    with pytest.raises(QueueFullError, match="6 requests are waiting, 2 of them yours") as caught:
        loop.add(ask("n2", "new"))
    assert caught.value.retry_after_s > 0
    loop.add(ask("t0", "third"))
    assert not loop.scheduler.has_room


def test_the_queue_holds_no_more_than_the_harmonic_sum_of_its_size() -> None:
    most, counts = 16, dict[int, int]()
    for account in range(40):
        for _ in range(50):
            if has_place(sum(counts.values()), counts.get(account, 0), len(counts | {account: 0}), most):
                counts[account] = counts.get(account, 0) + 1
    assert sum(counts.values()) <= sum(most / k for k in range(1, most + 1))
    assert [counts.get(account, 0) for account in (0, 1, 2, 15, 16)] == [16, 8, 5, 1, 0]


# what is remembered


def test_accounts_that_left_are_forgotten_but_the_last_thousand() -> None:
    shares = Shares()
    keeper = shares.enter("keeper", Priority.NORMAL, ())
    shares.charge(keeper, 10)
    for at in range(3000):
        share = shares.enter(f"a{at}", Priority.NORMAL, (keeper,))
        shares.charge(share, 5)
        shares.leave(share)
    group = shares._classes[Priority.NORMAL]
    assert (len(group.shares), len(shares._accounts), len(group.left)) == (1, 1, 1024)
    assert shares.enter("a2999", Priority.NORMAL, (keeper,)).served == 15, "leaving for a moment forgives nothing"
    assert shares.enter("a0", Priority.NORMAL, (keeper,)).served == 10


def test_a_class_without_anybody_forgets_everything() -> None:
    loop = make()
    loop.add(ask("a", "one", prompt=30))
    loop.add(ask("b", "two"))
    run(loop)
    shares = loop.scheduler.roster.shares
    assert not (shares._classes or shares._accounts or shares._alive)
    loop.add(ask("a", "one"))
    assert served(loop, "a") == 0


def test_who_comes_back_to_wait_is_lifted_to_who_waits_though_it_never_quite_left() -> None:
    loop = flooded()
    loop.add(ask("e", "flood"))
    loop.add(ask("x", "slow", wanted=200))
    run(loop, 20)
    assert served(loop, "x") < served(loop, "e")
    loop.add(ask("y", "slow"))
    assert served(loop, "y") == served(loop, "e")


# what it costs


def crowded(seats: str, accounts: int) -> EngineLoop:
    """Accounts on all slots, whose answers are long, and many others that wait and may not take a place."""
    limits = replace(LIMITS, max_batch=len(seats), pages=2000, context=4000)
    loop = EngineLoop(Formula(limits, 0.01, 0.0), Scheduler(limits, Policy(max_waiting=10_000)))
    for at, account in enumerate(seats):
        loop.add(ask(f"{account}{at}", account, wanted=1500))
        run(loop, 2)
    for at in range(accounts):
        loop.add(ask(f"w{at}", f"account {at}", priority=(Priority.NORMAL, Priority.LOW)[at % 2]))
        loop.scheduler.roster.alive[f"w{at}"].share.served += 10**6
    run(loop, 10)
    assert len(loop.scheduler.roster.running) == len(seats)
    return loop


def calls_of(loop: EngineLoop, steps: int) -> int:
    """Functions that so many steps call."""
    count = 0

    def called(_frame: object, event: str, _about: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        for _ in range(steps):
            loop.step()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("seats", ["ab", "aabc", "aaaabb"])
def test_a_decode_step_does_the_same_however_many_accounts_wait(seats: str) -> None:
    """Also where an account holds places that others of its class might take."""
    few, many = (calls_of(crowded(seats, accounts), 50) for accounts in (2, 2000))
    assert many < few + 50, "one call a step would be much"


def test_lines_are_in_the_order_of_what_their_shares_were_served_whatever_comes_and_goes() -> None:
    chance, queue, shares = random.Random(5), WaitingQueue(), Shares()
    inside: list[Sequence] = []
    for serial in range(1000):
        priority = Priority(chance.choice((0, 1)))
        share = shares.find(f"a{chance.randrange(30)}", priority)
        if chance.random() < 0.5 or not inside:
            request = ask(str(serial), f"a{chance.randrange(30)}", priority=priority)
            share = shares.enter(request.account, priority, ())
            inside.append(Sequence(request, 0.0, 0.0, serial, 8, share, None))
            queue.push(inside[-1])
        elif chance.random() < 0.5:
            gone = inside.pop(chance.randrange(len(inside)))
            queue.remove(gone)
            shares.leave(gone.share)
        elif share is not None:
            share.served += chance.randrange(100)
        for each in (0, 1):
            here = {one.share for one in inside if one.share.priority == each}
            assert [one.served for one in queue.by_served(each)] == sorted(one.served for one in here)
            assert set(queue.by_served(each)) == here
    assert queue.classes == [0, 1]
    for one in inside:
        queue.remove(one)
    assert queue.classes == [] and queue.least(0) is None


def test_a_line_that_comes_and_goes_beside_one_that_waits_is_forgotten() -> None:
    queue, shares = WaitingQueue(), Shares()
    queue.push(Sequence(ask("first", "first"), 0.0, 0.0, 0, 8, shares.enter("first", Priority.NORMAL, ()), None))
    for serial in range(1000):
        share = shares.enter("other", Priority.NORMAL, ())
        share.served += 1
        one = Sequence(ask("x", "other"), 0.0, 0.0, serial + 1, 8, share, None)
        queue.push(one)
        queue.remove(one)
    assert len(queue._by_served[Priority.NORMAL]) < 100


@pytest.mark.parametrize("accounts", [2, 2000])
def test_a_decode_step_costs_little_python_however_many_accounts_wait(accounts: int) -> None:
    loop = crowded("ab", accounts)
    times = []
    for _ in range(400):
        begin = time.thread_time()
        loop.step()
        times.append(time.thread_time() - begin)
    assert statistics.quantiles(times, n=10)[0] * 1e6 < 80, "10 of these are the engine's formula; 25 on a quiet core"
