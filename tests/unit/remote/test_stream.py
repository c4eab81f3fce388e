"""Streams without a process: merging, stop strings, cancellation, failures, and one account whatever happens."""

from __future__ import annotations

import asyncio

import pytest
from support.reader import Reader

from undiced.core.errors import EngineError, QueueFullError
from undiced.remote.frames import Cancel, Finish, Hold
from undiced.remote.stream import UNREAD_MOST, Stream
from undiced.serve import Delta, FinishReason, Request, UsageEvent


class Bench:
    """A stream, what it sent and what it reported."""

    def __init__(self) -> None:
        self.sent: list[Cancel | Finish | Hold] = []
        self.reported: list[UsageEvent] = []
        request = Request("a", (1, 2), 99)
        self.reader = Reader(lambda take: Stream(request, take, self.sent.append, self.reported.append, now=1.0))
        self.stream = self.reader.stream
        self.made = 0

    def token(self, *tokens: int) -> None:
        self.made += len(tokens)
        assert self.stream.push(Delta("a", list(tokens)), now=2.0)

    def end(self, reason: FinishReason = "length", tokens: int = 0) -> None:
        self.made += tokens
        usage = UsageEvent("a", reason, 2, 0, self.made, 0.0, 1.0, 2.0, 0.0, "host")
        assert not self.stream.push(Delta("a", [9] * tokens, finish_reason=reason, usage=usage), now=3.0)

    async def read(self) -> list[Delta]:
        return [delta async for delta in self.reader]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.stream.accept()
    return bench


async def test_unread_deltas_are_merged_and_the_account_comes_after_the_tokens(bench: Bench) -> None:
    bench.token(1)
    bench.token(2, 3)
    bench.end(tokens=1)
    deltas = await bench.read()
    assert [delta.tokens for delta in deltas] == [[1, 2, 3, 9], []]
    assert (deltas[0].usage, deltas[0].finish_reason, deltas[1].finish_reason) == (None, "length", "length")
    assert [deltas[1].usage] == bench.reported == [bench.stream.usage]


async def test_a_reader_that_waits_gets_each_token_as_it_comes(bench: Bench) -> None:
    reader = asyncio.create_task(bench.read())
    for token in (1, 2):
        await asyncio.sleep(0)
        bench.token(token)
        await asyncio.sleep(0)
    bench.end()
    assert [delta.tokens for delta in await reader] == [[1], [2], []]


async def test_finish_stops_the_engine_and_what_comes_later_is_not_counted(bench: Bench) -> None:
    bench.token(1, 2, 3)
    assert (await anext(bench.reader)).tokens == [1, 2, 3]
    bench.token(4)
    bench.stream.finish(2)
    bench.token(5)
    assert bench.sent == [Finish("a", 2, "stop")]
    assert bench.reported == []
    bench.end("length")  # the engine had ended it before it heard
    (last,) = await bench.read()
    assert (last.tokens, last.finish_reason) == ([], "stop")
    assert [last.usage] == bench.reported
    assert (bench.reported[0].completion_tokens, bench.reported[0].finish_reason) == (2, "stop")


async def test_finish_counts_right_even_after_the_engine_has_ended(bench: Bench) -> None:
    bench.token(1, 2, 3)
    bench.end(tokens=1)
    assert (await anext(bench.reader)).tokens == [1, 2, 3, 9]
    bench.stream.finish(1)
    (last,) = await bench.read()
    assert bench.sent == []
    assert last.usage is not None
    assert (last.usage.completion_tokens, last.finish_reason) == (1, "stop")
    assert len(bench.reported) == 1


async def test_cancel_tells_the_engine_once_and_reports_when_it_answers(bench: Bench) -> None:
    bench.token(1)
    bench.stream.cancel()
    bench.stream.cancel()
    assert bench.sent == [Cancel("a")]
    assert bench.reported == []
    bench.token(2)
    bench.end("cancelled")
    assert [usage.finish_reason for usage in bench.reported] == ["cancelled"]
    assert [delta.finish_reason for delta in await bench.read()] == ["cancelled"]
    assert len(bench.reported) == 1


@pytest.mark.parametrize(("at_token", "counted"), [(None, 2), (1, 1), (9, 4)])
async def test_cancel_counts_what_was_handed_out_or_what_the_reader_says(
    bench: Bench, at_token: int | None, counted: int
) -> None:
    bench.token(1, 2)
    await anext(bench.reader)
    bench.token(3, 4)
    bench.end()
    bench.stream.cancel(at_token)
    assert bench.sent == []
    assert [(usage.completion_tokens, usage.finish_reason) for usage in bench.reported] == [(counted, "cancelled")]
    await bench.read()
    bench.stream.cancel()
    bench.stream.finish(0)
    assert len(bench.reported) == 1


async def test_a_failure_comes_after_the_tokens_and_is_accounted(bench: Bench) -> None:
    bench.token(1, 2)
    bench.stream.fail(EngineError("gone"), None, now=5.0, source="host")
    assert (await anext(bench.reader)).tokens == [1, 2]
    with pytest.raises(EngineError, match="gone"):
        await anext(bench.reader)
    (usage,) = bench.reported
    assert (usage.finish_reason, usage.prompt_tokens, usage.completion_tokens) == ("error", 2, 2)
    assert (usage.prompt_s, usage.completion_s, usage.source) == (1.0, 3.0, "host")
    assert await bench.read() == []


async def test_a_failure_after_cancel_is_accounted_too(bench: Bench) -> None:
    bench.stream.cancel()
    bench.stream.fail(EngineError("gone"), None, now=5.0)
    assert [usage.finish_reason for usage in bench.reported] == ["cancelled"]


async def test_a_failure_after_a_stop_string_takes_nothing_from_the_answer(bench: Bench) -> None:
    bench.token(1, 2, 3)
    await anext(bench.reader)
    bench.stream.finish(2)
    bench.stream.fail(EngineError("gone"), None, now=5.0)
    (last,) = await bench.read()
    assert [last.usage] == bench.reported
    assert (bench.reported[0].completion_tokens, last.finish_reason) == (2, "stop")


async def test_a_cancel_after_a_failure_is_an_error_of_what_was_handed_out(bench: Bench) -> None:
    bench.token(1)
    await anext(bench.reader)
    bench.token(2)
    bench.stream.fail(EngineError("gone"), None, now=5.0)
    bench.stream.cancel()
    assert [(usage.completion_tokens, usage.finish_reason) for usage in bench.reported] == [(1, "error")]


async def test_a_refusal_is_raised_and_accounts_for_nothing() -> None:
    bench = Bench()
    waiting = asyncio.ensure_future(anext(bench.reader))
    await asyncio.sleep(0)
    bench.stream.fail(QueueFullError("full", retry_after_s=1.0), None, now=2.0)
    with pytest.raises(QueueFullError):
        await waiting
    bench.stream.cancel()
    assert (bench.reported, bench.sent) == ([], [])


async def test_the_engine_holds_a_sequence_while_its_reader_is_far_behind(bench: Bench) -> None:
    for token in range(UNREAD_MOST + 20):
        bench.token(token)
    assert bench.sent == [Hold("a", True)]
    assert len((await anext(bench.reader)).tokens) == UNREAD_MOST + 20
    assert bench.sent == [Hold("a", True), Hold("a", False)]
    bench.token(1)
    assert (await anext(bench.reader)).tokens == [1]
    bench.token(*range(UNREAD_MOST + 1))
    bench.end()
    assert bench.sent[2:] == [Hold("a", True)]
    assert sum(len(delta.tokens) for delta in await bench.read()) == UNREAD_MOST + 1
    assert bench.sent[3:] == [], "what has ended needs no more"
