"""Native steps in flight: one that reads what the step before draws is what it is when tokens are known, to the bit."""

from __future__ import annotations

import platform
import re
import threading
import time

import numpy as np
import pytest
from native_rig import NO_INTS, Out, Rig, Seq, open_slot, sampling
from numpy.testing import assert_array_equal
from test_native_engine import TABLE, many_layers, resident_bytes, small

MASK = np.zeros((1, 2), np.int32)


def submit(rig: Rig, tokens: list[int], position: int, *, masks: bool = False) -> tuple[int, Out, object]:
    """A step of one token for each of some sequences, all at the same position, and the arrays that have to stay."""
    count = len(tokens)
    out = Out(np.full(count, -7, np.int32), *(np.zeros(shape, kind) for shape, kind in (
        (count, np.float32), ((count, 20), np.int32), ((count, 20), np.float32))))  # fmt: skip
    rows = np.arange(count, dtype=np.int32)
    given = (
        np.array(tokens, np.int32), np.full(count, position, np.int32), np.arange(count + 1, dtype=np.int32), rows,
        rows.reshape(-1, 1), rows, sampling(count, mask=0 if masks else -1),
    )  # fmt: skip
    arrays = (*given, out.tokens, out.logprobs, out.top_ids, out.top_logprobs, MASK if masks else None)
    return rig.engine.submit(*arrays), out, arrays


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_chain_draws_what_steps_one_after_another_draw(threads: int) -> None:
    known, chained = small(threads), small(threads)
    wanted, tokens = [], [3, 5, 8]
    for position in range(20):
        out = known.step([Seq([token], position, (row,)) for row, token in enumerate(tokens)], [0, 1, 2], sampling(3))
        tokens = out.tokens.tolist()
        wanted.append(tokens)
    flying, found = [submit(chained, [3, 5, 8], 0)], []
    for position in range(1, 21):
        if position < 20:
            flying.append(submit(chained, [-1, -2, -3], position))
        ticket, out, _ = flying.pop(0)
        assert chained.engine.wait(ticket) > 0
        found.append(out.tokens.tolist())
    assert found == wanted
    assert chained.engine.counters()["steps"] == 20


def test_rows_may_change_places_and_end() -> None:
    rig = small()
    first, out, kept = submit(rig, [3, 5, 8], 0)
    second, after, also = submit(rig, [-3, -1], 1)
    rig.engine.wait(first)
    rig.engine.wait(second)
    drawn = out.tokens.tolist()
    again = small()
    again.step([Seq([token], 0, (row,)) for row, token in enumerate((3, 5, 8))], [0, 1, 2], sampling(3))
    pair = again.step([Seq([drawn[2]], 1, (0,)), Seq([drawn[0]], 1, (1,))], [0, 1], sampling(2))
    assert_array_equal(after.tokens, pair.tokens)
    assert kept and also


def test_a_step_that_follows_runs_before_anybody_waits() -> None:
    rig = small()
    tickets = [submit(rig, [3], 0), submit(rig, [-1], 1)]
    end_s = time.monotonic() + 20
    while rig.engine.counters()["steps"] < 2:
        assert time.monotonic() < end_s
        time.sleep(0.001)
    for ticket, _, _ in tickets:
        rig.engine.wait(ticket)


def test_a_row_without_a_token_is_followed_for_nobody() -> None:
    rig = small()
    first, out, _ = submit(rig, [3], 0, masks=True)  # nothing is allowed
    second, after, _ = submit(rig, [-1], 1)
    rig.engine.wait(first)
    rig.engine.wait(second)
    assert out.tokens[0] < 0 <= after.tokens[0]


def test_what_follows_an_end_is_not_computed() -> None:
    """A step of ends alone is left out, and so is what follows on it; a row beside others is computed for nobody."""
    rig = small()
    ends = int(TABLE[3].argmax())
    open_slot(rig, 0, eos=[ends])
    first, second, third = submit(rig, [3], 0), submit(rig, [-1], 1), submit(rig, [-1], 2)
    seconds = [rig.engine.wait(ticket) for ticket, _, _ in (first, second, third)]
    assert [int(out.tokens[0]) for _, out, _ in (first, second, third)] == [ends, -3, -3]
    assert (seconds[0] > 0, seconds[1:], rig.engine.counters()["steps"]) == (True, [0, 0], 1)
    both, after = submit(rig, [3, 5], 0), submit(rig, [-1, -2], 1)
    last = submit(rig, [-1], 2)  # on the end's row, which drew something for nobody meanwhile
    for ticket, _, _ in (both, after, last):
        rig.engine.wait(ticket)
    assert (after[1].tokens[1], last[1].tokens[0]) == (TABLE[both[1].tokens[1]].argmax(), -3)


def test_who_sleeps_is_woken_when_two_steps_are_left() -> None:
    """Who comes when the first step has ended does not sleep: on a busy machine that is so now and then."""
    found: list[int] = []  # steps that had ended when it woke up
    for _ in range(300):
        rig = small()
        flying = [submit(rig, [3], 0)[0]] + [submit(rig, [-1], position)[0] for position in range(1, 7)]
        early = rig.engine.counters()["steps"] == 0
        rig.engine.wait(flying[0])
        if early:
            found.append(int(rig.engine.counters()["steps"]))
        for ticket in flying[1:]:
            rig.engine.wait(ticket)
        if len(found) == 9:
            break
    assert found and sorted(found)[len(found) // 2] >= 5


def test_a_failure_is_told_to_who_waits_and_what_follows_fails_too() -> None:
    rig = small()
    bad, _, kept = submit(rig, [99], 0)
    after, _, also = submit(rig, [-1], 1)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"tokens\[0\] is 99"):
            rig.engine.wait(bad)
    with pytest.raises(ValueError, match="which drew 0"):
        rig.engine.wait(after)
    assert rig.step([Seq([1, 2], 0, (0,))], [1]).tokens[0] == TABLE[2].argmax()
    assert kept and also


def test_tickets_are_waited_for_in_order_and_the_last_one_as_often_as_one_likes() -> None:
    rig = small()
    first, second = submit(rig, [3], 0), submit(rig, [-1], 1)
    assert rig.engine.wait(first[0]) == rig.engine.wait(first[0])
    rig.engine.wait(second[0])
    assert rig.engine.wait(second[0]) > 0
    for ticket in (first[0], second[0] + 1):
        with pytest.raises(RuntimeError, match="not the next"):
            rig.engine.wait(ticket)


def test_there_is_an_end_to_steps_in_flight() -> None:
    rig = small()
    kept = [submit(rig, [3], 0) for _ in range(7)]
    with pytest.raises(RuntimeError, match="too many steps"):
        submit(rig, [3], 0)
    assert kept


@pytest.mark.parametrize("waited", [0, 1])
def test_an_engine_is_closed_with_steps_in_flight(waited: int) -> None:
    for _ in range(20):
        rig = small(3)
        flying = [submit(rig, [3], 0), submit(rig, [-1], 1), submit(rig, [-1], 2)]
        for ticket, _, _ in flying[:waited]:
            rig.engine.wait(ticket)
        rig.engine.close()
        with pytest.raises(RuntimeError, match="closed"):
            rig.engine.wait(flying[0][0])


def test_slots_are_opened_by_another_thread_only_between_steps() -> None:
    """The engine refuses to be used twice at a time, and nothing breaks."""
    rig = small()
    over = threading.Event()
    refused: list[str] = []

    def open_slots() -> None:
        while not over.is_set():
            try:
                rig.engine.open_slot(2, NO_INTS, NO_INTS, np.zeros(0, np.float32), NO_INTS, NO_INTS)
            except RuntimeError as error:
                refused.append(str(error))

    thread = threading.Thread(target=open_slots)
    thread.start()
    try:
        for _ in range(50):
            flying = [submit(rig, [3], 0), submit(rig, [-1], 1)]
            for ticket, _, _ in flying:
                try:
                    rig.engine.wait(ticket)
                except (RuntimeError, ValueError) as error:
                    assert "in use" in str(error) or "which drew" in str(error)
    finally:
        over.set()
        thread.join()
    assert all("in use by another thread" in text for text in refused)


def test_arrays_live_as_long_as_their_steps() -> None:
    """Whoever lets go of a step's arrays before it ends, by an error or a collection, breaks nothing."""
    rig = small()
    for position in range(0, 30, 3):
        tickets = [submit(rig, [3], position + at)[0] for at in range(3)]
        taken = [np.full(1, -1, np.int32) for _ in range(64)]
        for ticket in tickets:
            assert rig.engine.wait(ticket) > 0
        assert all(array.tolist() == [-1] for array in taken)


@pytest.mark.skipif(tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (5, 14), reason="needs Linux 5.14")
def test_memory_of_the_pages_that_come_next_is_there_before_them_a_quarter_at_most() -> None:
    rig, before = many_layers(), resident_bytes()
    quarter = rig.engine.memory()["kv"] // 8
    rig.step([Seq([1], 0, (1023,))])  # as if all pages before were in use: half of the pool
    ticket, *_kept = submit(rig, [2], 0)
    rig.engine.wait(ticket)
    end_s = time.monotonic() + 30
    while (grown := resident_bytes() - before) < quarter * 0.8 and time.monotonic() < end_s:
        time.sleep(0.01)
    assert grown >= quarter * 0.8
    time.sleep(0.1)
    assert resident_bytes() - before < quarter + (16 << 20)
