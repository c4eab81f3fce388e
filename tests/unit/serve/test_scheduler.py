"""The scheduler's rules one by one, on a backend that hashes histories and a clock that only it moves."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.fake import FakeBackend

from undiced.core.errors import ContextLengthError, EngineError, InvalidRequestError, QueueFullError
from undiced.engine.backend import Limits
from undiced.serve import GREEDY, Delta, Policy, Priority, Request, Sampling, Scheduler, UsageEvent
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop

LIMITS = Limits(max_batch=4, max_tokens=32, context=256, pages=64, page_tokens=8, vocab=1000, source="test")


def make(limits: Limits = LIMITS, **policy: float) -> EngineLoop:
    backend = FakeBackend(limits, step_s=0.01, token_s=0.001, poison=999)
    return EngineLoop(backend, Scheduler(limits, Policy(**policy)), clock=VirtualClock())  # type: ignore[arg-type]


def ask(name: str, prompt: int = 3, wanted: int = 5, **fields: object) -> Request:
    start = sum(name.encode())
    tokens = tuple((start + 7 * i) % 900 for i in range(prompt))
    return replace(Request(name, tokens, wanted, GREEDY), **fields)  # type: ignore[arg-type]


def finish_all(loop: EngineLoop) -> dict[str, UsageEvent]:
    accounts = {}
    while not loop.idle:
        for delta in loop.step():
            if delta.usage is not None:
                accounts[delta.request_id] = delta.usage
    return accounts


def tokens_of(deltas: list[Delta], name: str) -> list[int]:
    return [token for delta in deltas if delta.request_id == name for token in delta.tokens]


def test_decoding_goes_on_in_every_step_while_a_long_prompt_is_read() -> None:
    loop = make()
    loop.add(ask("short", wanted=30))
    loop.step()
    loop.add(ask("long", prompt=200))
    steps = 0
    while True:
        deltas = loop.step()
        steps += 1
        assert len(tokens_of(deltas, "short")) == 1
        if tokens_of(deltas, "long"):
            break
    assert steps == 7  # 31 prompt tokens per step beside the decoding one


def test_a_chunk_shrinks_to_the_allowed_stall_and_takes_everything_when_nobody_waits() -> None:
    loop = make(stall_s=0.005, min_chunk=2, prompt_share=0.0)
    backend = loop.backend
    assert isinstance(backend, FakeBackend)
    loop.add(ask("first", prompt=64, wanted=40))
    loop.step()
    assert backend.steps[-1] == (1, 32)
    for _ in range(10):
        loop.step()
    loop.add(ask("second", prompt=100))
    loop.step()
    assert backend.steps[-1] == (2, 1 + 4)  # a token costs 1.2 ms, as far as steps of 1 and of 32 have shown


def test_prompts_may_take_a_multiple_of_what_decoding_takes_but_no_longer_than_a_turn() -> None:
    chunks = {}
    for turn_s in (0.15, 0.03):
        loop = make(stall_s=0.001, min_chunk=2, prompt_share=2.0, turn_s=turn_s)
        backend = loop.backend
        assert isinstance(backend, FakeBackend)
        loop.add(ask("first", prompt=32, wanted=60))
        for _ in range(20):
            loop.step()
        loop.add(ask("second", prompt=100))
        loop.step()
        chunks[turn_s] = backend.steps[-1][1] - 1
    assert chunks[0.15] == pytest.approx(20, abs=3), "twice a decode step of 11 ms"
    assert chunks[0.03] == pytest.approx(17, abs=3), "what 30 ms leave"


def test_where_there_are_several_accounts_prompts_get_the_stall_alone() -> None:
    loop = make(stall_s=0.005, min_chunk=2, prompt_share=2.0)
    backend = loop.backend
    assert isinstance(backend, FakeBackend)
    loop.add(ask("first", prompt=32, wanted=60, account="a"))
    for _ in range(20):
        loop.step()
    loop.add(ask("second", prompt=100, account="b"))
    loop.step()
    assert backend.steps[-1][1] - 1 == 4


def test_the_oldest_prompt_goes_first_and_the_next_takes_what_is_left() -> None:
    loop = make()
    loop.add(ask("a", prompt=40))
    loop.add(ask("b", prompt=40))
    assert not loop.step()
    first = loop.step()
    assert (tokens_of(first, "a"), tokens_of(first, "b")) != ([], [])
    assert not tokens_of(first, "b")


def test_copies_compute_a_shared_prompt_once_even_when_they_come_together() -> None:
    loop = make()
    for request in ask("n", prompt=30).copies(4):
        loop.add(request)
    accounts = finish_all(loop)
    assert sorted(account.cached_tokens for account in accounts.values()) == [0, 24, 24, 24]
    assert loop.stats().prompt_tokens == 30 + 3 * 6


def test_a_later_request_finds_prompt_and_answer_of_an_earlier_one() -> None:
    loop = make()
    loop.add(ask("turn", prompt=20, wanted=20))
    answer: list[int] = []
    while not loop.idle:
        answer += tokens_of(loop.step(), "turn")
    history = (*ask("turn", prompt=20).prompt, *answer, 5)
    loop.add(Request("next", history, 1, GREEDY))
    assert finish_all(loop)["next"].cached_tokens == 32  # 39 tokens have been computed: 4 full pages


def test_a_prompt_that_is_wholly_cached_still_computes_its_last_token() -> None:
    loop = make()
    loop.add(ask("x", prompt=16))
    finish_all(loop)
    loop.add(replace(ask("x", prompt=16), id="again"))
    assert finish_all(loop)["again"].cached_tokens == 8


def test_other_salts_share_nothing() -> None:
    loop = make()
    loop.add(ask("x", prompt=30))
    finish_all(loop)
    loop.add(replace(ask("x", prompt=30), id="y", cache_salt="tenant"))
    assert finish_all(loop)["y"].cached_tokens == 0


def test_the_youngest_gives_way_when_pages_run_out_and_nobody_notices() -> None:
    limits = replace(LIMITS, pages=8, context=64)
    alone = make(limits)
    alone.add(ask("b", prompt=8, wanted=40))
    expected: list[int] = []
    while not alone.idle:
        expected += tokens_of(alone.step(), "b")
    loop = make(limits)
    loop.add(ask("a", prompt=8, wanted=40))
    loop.add(ask("b", prompt=8, wanted=40))
    got: list[int] = []
    ends = []
    while not loop.idle:
        deltas = loop.step()
        got += tokens_of(deltas, "b")
        ends += [delta.request_id for delta in deltas if delta.usage]
    assert loop.stats().preemptions >= 1
    assert ends == ["a", "b"]
    assert got == expected


@pytest.mark.parametrize("sampling", [Sampling(seed=5), Sampling(temperature=0, seed=0, presence_penalty=1.0)])
def test_preemption_keeps_random_numbers_and_penalty_counts(sampling: Sampling) -> None:
    answers = []
    for pages in (64, 8):
        loop = make(replace(LIMITS, pages=pages, context=64))
        loop.add(ask("a", prompt=8, wanted=40))
        loop.add(ask("b", prompt=8, wanted=40, sampling=sampling))
        got: list[int] = []
        while not loop.idle:
            got += tokens_of(loop.step(), "b")
        answers.append(got)
        assert (loop.stats().preemptions > 0) == (pages == 8)
    assert answers[0] == answers[1]


def test_the_preempted_come_back_before_those_who_came_later() -> None:
    loop = make(replace(LIMITS, pages=8, context=64, max_batch=3))
    loop.add(ask("a", prompt=8, wanted=40))
    loop.add(ask("b", prompt=8, wanted=40))
    while not loop.stats().preempted:
        loop.step()
    loop.add(ask("c", prompt=40, wanted=2))
    ends = []
    while not loop.idle:
        ends += [delta.request_id for delta in loop.step() if delta.usage]
    assert ends == ["a", "b", "c"]


def test_several_preempted_come_back_oldest_first() -> None:
    loop = make(replace(LIMITS, pages=8, context=64))
    for name in "abc":
        loop.add(ask(name, prompt=8, wanted=48))
    ends, most = [], 0
    while not loop.idle:
        ends += [delta.request_id for delta in loop.step() if delta.usage]
        most = max(most, loop.stats().preempted)
    assert most == 2
    assert ends == ["a", "b", "c"]


def test_a_prompt_takes_no_page_from_younger_ones_that_are_in_the_same_step() -> None:
    loop = make(replace(LIMITS, pages=16, context=64), stall_s=1e-9, min_chunk=2)
    for name in "xyz":
        loop.add(ask(name, prompt=8, wanted=40))
    assert len(loop.step()) == 3
    loop.add(ask("old", prompt=56, wanted=4, priority=Priority.HIGH))
    answers: dict[str, int] = {}
    while not loop.idle:
        for delta in loop.step():
            answers[delta.request_id] = answers.get(delta.request_id, 0) + len(delta.tokens)
    assert loop.stats().preemptions >= 1
    assert answers == {"x": 39, "y": 39, "z": 39, "old": 4}


def test_admission_does_not_wait_for_pages_that_answers_may_never_need() -> None:
    loop = make(replace(LIMITS, pages=32))
    for name in "abcd":
        loop.add(ask(name, wanted=200))
    loop.step()
    assert loop.stats().running == 4


def test_a_request_that_can_never_fit_is_refused_at_once() -> None:
    loop = make(replace(LIMITS, pages=4))
    with pytest.raises(ContextLengthError, match="32 tokens in all"):
        loop.add(ask("big", prompt=20, wanted=20))
    assert loop.idle


def test_a_full_queue_says_when_to_come_back() -> None:
    loop = make(max_waiting=2)
    for name in "abcd":
        loop.add(ask(name, wanted=100))
        loop.step()
    for _ in range(49):
        loop.step()
    loop.add(ask("e"))
    loop.add(ask("f"))
    with pytest.raises(QueueFullError, match="2 requests are waiting") as caught:
        loop.add(ask("g"))
    left = 100 - 53  # "a" is nearest to its end; a step takes 10 ms, and 1 ms per sequence
    assert left * 0.014 / 2 < caught.value.retry_after_s < left * 0.014  # none has ended yet, and may sooner


def test_a_full_queue_tells_when_an_answer_like_the_last_ones_would_end_whatever_was_allowed() -> None:
    loop = make(max_waiting=20)
    for index in range(20):
        loop.add(ask(f"{index:02}", wanted=200))
    for turn in range(12):
        for _ in range(10):
            loop.step()
        loop.finish(f"{turn:02}", 5)
    while loop.scheduler.has_room:
        loop.add(ask(f"new {len(loop.scheduler.roster.waiting)}", wanted=200))
    with pytest.raises(QueueFullError) as caught:
        loop.add(ask("late"))
    assert 0.07 < caught.value.retry_after_s < 0.28  # one ends every 10 steps of 14 ms


def test_a_step_of_prompts_alone_is_short_enough_for_who_comes_next() -> None:
    loop = make(replace(LIMITS, max_tokens=32), turn_s=0.02, min_turn=4)
    backend = loop.backend
    assert isinstance(backend, FakeBackend)
    loop.add(ask("long", prompt=200))
    for _ in range(4):
        loop.step()
    assert backend.steps[0] == (1, 32)
    assert backend.steps[-1][1] < 20  # a token costs more than a millisecond, and a step may take 20


def test_a_prompt_that_is_mostly_cached_counts_as_short() -> None:
    loop = make()
    loop.add(ask("known", prompt=120, wanted=1))
    finish_all(loop)
    loop.add(ask("long", prompt=150, wanted=1))
    loop.step()
    loop.add(ask("middle", prompt=100, wanted=1))
    loop.add(replace(ask("known", prompt=120, wanted=1), id="again"))
    assert [delta.request_id for delta in loop.step() if delta.usage] == ["again"]


def test_an_idle_scheduler_guesses_when_to_come_back() -> None:
    assert make().scheduler.retry_after_s() == 1.0


def test_the_same_id_twice_is_refused_while_it_is_alive() -> None:
    loop = make()
    loop.add(ask("a"))
    with pytest.raises(InvalidRequestError, match="already running"):
        loop.add(ask("a"))
    finish_all(loop)
    loop.add(ask("a"))


def test_stop_tokens_end_a_sequence_and_count() -> None:
    loop = make()
    loop.add(ask("a", wanted=20))
    answer: list[int] = []
    while not loop.idle:
        answer += tokens_of(loop.step(), "a")
    stop = answer[4]
    for field in ("eos_ids", "stop_token_ids"):
        loop.add(ask("a", wanted=20, **{field: (stop,)}))
        deltas: list[Delta] = []
        while not loop.idle:
            deltas += loop.step()
        assert tokens_of(deltas, "a") == answer[: answer.index(stop) + 1]
        assert (deltas[-1].finish_reason, deltas[-1].stop_token) == ("stop", stop)
        assert deltas[-1].usage is not None
        assert deltas[-1].usage.completion_tokens == answer.index(stop) + 1
    loop.add(ask("a", wanted=20, eos_ids=(stop,), ignore_eos=True))
    assert finish_all(loop)["a"].finish_reason == "length"


def test_min_tokens_forbids_stop_tokens_until_then_and_no_longer() -> None:
    loop = make()
    every = tuple(range(500))
    loop.add(ask("a", wanted=20, eos_ids=every, sampling=replace(GREEDY, min_tokens=6)))
    deltas: list[Delta] = []
    while not loop.idle:
        deltas += loop.step()
    tokens = tokens_of(deltas, "a")
    assert all(token >= 500 for token in tokens[:6])
    assert deltas[-1].finish_reason == "stop"
    assert 6 < len(tokens) < 20


def test_finish_drops_and_never_bills_what_came_after_the_stop() -> None:
    loop = make()
    loop.add(ask("a", wanted=20))
    for _ in range(10):
        loop.step()
    assert loop.finish("a", 7)
    (last,) = loop.step()
    assert last.usage is not None
    assert (last.tokens, last.finish_reason, last.usage.completion_tokens) == ([], "stop", 7)
    assert loop.idle
    assert not loop.finish("a", 7)


@pytest.mark.parametrize(("at", "counted"), [(-3, 0), (0, 0), (99, 4)])
def test_finish_counts_no_more_than_there_is(at: int, counted: int) -> None:
    loop = make()
    loop.add(ask("a", wanted=20))
    for _ in range(4):
        loop.step()
    loop.finish("a", at)
    assert finish_all(loop)["a"].completion_tokens == counted


def test_cancel_in_the_queue_while_running_and_while_preempted() -> None:
    loop = make(replace(LIMITS, pages=8, context=64, max_batch=2))
    for name in "abc":
        loop.add(ask(name, prompt=8, wanted=40))
    while not loop.scheduler.stats().preempted:
        loop.step()
    assert [loop.cancel(name) for name in "abcx"] == [True, True, True, False]
    accounts = {delta.request_id: delta.usage for delta in loop.step()}
    assert {account.finish_reason for account in accounts.values() if account} == {"cancelled"}
    waiting = accounts["c"]
    assert waiting is not None
    assert (waiting.completion_tokens, waiting.prompt_s, waiting.completion_s) == (0, 0.0, 0.0)
    assert waiting.queue_s > 0
    assert loop.stats().pages_used == 0
    assert loop.idle


def test_times_and_energy_add_up() -> None:
    loop = make()
    loop.add(ask("a", prompt=40, wanted=10))
    account = finish_all(loop)["a"]
    assert account.queue_s == 0
    assert account.prompt_s == pytest.approx(2 * 0.01 + 40 * 0.001)
    assert account.completion_s == pytest.approx(9 * 0.011)
    assert account.total_s == pytest.approx(account.prompt_s + account.completion_s)
    assert account.joules == 40 + 9  # the fake engine spends a joule a token
    assert account.source == "test"


def test_energy_is_shared_among_those_who_ran() -> None:
    loop = make()
    for name in "abc":
        loop.add(ask(name, prompt=10, wanted=4))
    accounts = finish_all(loop)
    assert sum(account.joules for account in accounts.values()) == pytest.approx(loop.stats().joules)


def test_a_higher_class_goes_first_but_no_class_waits_forever() -> None:
    loop = make(replace(LIMITS, max_batch=1), max_waiting=1000)
    loop.add(ask("running", wanted=2))
    loop.step()
    loop.add(ask("low", wanted=1, priority=Priority.LOW))
    loop.add(ask("normal", wanted=1))
    loop.add(ask("high", wanted=1, priority=Priority.HIGH))
    started, serial = [], 0
    for _ in range(6000):
        if len(loop.scheduler.roster.waiting) < 4:
            loop.add(ask(f"flood{serial}", wanted=1, priority=Priority.HIGH))
            serial += 1
        started += [delta.request_id for delta in loop.step() if delta.usage]
        if "low" in started:
            break
    assert started.index("high") < started.index("normal") < started.index("low")
    assert started[:2] == ["running", "high"]


def test_a_broken_engine_ends_everything_with_an_error() -> None:
    loop = make()
    loop.add(ask("a"))
    loop.add(ask("b"))
    loop.step()
    loop.add(Request("poisoned", (999,), 3, GREEDY))
    with pytest.raises(EngineError, match="poison"):
        loop.step()
    ends = loop.fail()
    assert sorted(delta.request_id for delta in ends) == ["a", "b", "poisoned"]
    assert {delta.finish_reason for delta in ends} == {"error"}
    assert loop.idle


def test_a_step_must_be_able_to_decode_a_whole_batch() -> None:
    with pytest.raises(ValueError, match="cannot decode"):
        Scheduler(replace(LIMITS, max_tokens=3))
