"""The application on a real engine process: whatever clients do, each sequence is accounted for once, nothing stays."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter
from pathlib import Path

from support.clients import fake_spec, started

from undiced.api.app import build_app
from undiced.api.call import TAG
from undiced.api.deployment import Deployment, ModelCard
from undiced.api.service import Service
from undiced.remote.client import EngineClient
from undiced.remote.stream import UNREAD_MOST
from undiced.serve import UsageEvent

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))
from scripted import ByteTokenizer, Caller, LineChat

SPEC = fake_spec("vocab=258,context=1000")
CHAT = "/v1/chat/completions"
KINDS: tuple[tuple[dict[str, object], int | None], ...] = (  # fields, and after how many writes the client leaves
    ({"max_tokens": 20}, None),
    ({"max_tokens": 20, "n": 3, "stream": True, "logprobs": True, "top_logprobs": 3}, None),
    ({"max_tokens": 20, "stop": ["a", "e", "\x00"]}, None),
    ({"max_tokens": 800, "n": 2, "stream": True}, 1),
    ({"max_tokens": 800, "stream": True}, 0),
    ({"max_tokens": 800, "n": 2}, 0),
    ({"temperature": 9}, None),
)


async def test_every_sequence_is_accounted_for_once_and_nothing_stays() -> None:
    events: list[UsageEvent] = []
    async with started(SPEC, on_usage=[events.append]) as engine:
        caller = _caller(engine)
        caller.app = _tagged(caller.app)
        alive = []
        for _ in range(3):
            before, ended = len(events), engine.stats().ended
            await asyncio.gather(*(_ask(caller, turn) for turn in range(70)))
            for _ in range(200):
                if not engine._streams:
                    break
                await asyncio.sleep(0.01)
            stats = engine.stats()
            assert (stats.running, stats.waiting, stats.pages_used) == (0, 0, 0)
            assert stats.ended - ended == len(events) - before
            gc.collect()
            assert not engine._streams and not caller.service.running
            alive.append(len(gc.get_objects()))
        assert Counter(Counter(event.request_id for event in events).values()).keys() == {1}
        assert {event.tag for event in events} == {"account 7"}
        assert {event.finish_reason for event in events} >= {"length", "stop", "cancelled"}
        assert alive[2] - alive[1] < 1000, "objects pile up"


def _tagged(app):
    """A layer in front of the application that knows whose requests these are."""

    async def layer(scope, receive, send):
        await app(scope | {TAG: "account 7"}, receive, send)

    return layer


async def test_the_account_is_the_answers_on_a_real_engine_too() -> None:
    """Slow readers, stop strings, departures: what events count is what was told, of each sequence."""
    events: list[UsageEvent] = []
    async with started(SPEC, on_usage=[events.append]) as engine:
        caller = _caller(engine)
        cases = [
            (n, slow, stop, leave)
            for n in (1, 2, 4, 16)
            for slow in (0, 400)
            for stop in (None, ["ab", "z", "\x07"])
            for leave in (None, 3)
        ]
        for n, slow, stop, leave in cases:
            events.clear()
            body = {"model": "m", "prompt": f"{n} {slow}", "n": n, "max_tokens": 300, "stop": stop, "logprobs": 0}
            reply = await caller.call(
                "POST",
                "/v1/completions",
                body | {"stream": True, "ignore_eos": True},
                leave_after=leave,
                turns_per_write=slow,
            )
            while engine._streams:
                await asyncio.sleep(0.005)
            told = reply.told
            for event in events:
                tokens, finish = told.get(int(event.request_id.rpartition(".")[2]), (0, None))
                assert event.completion_tokens == tokens, (n, slow, stop, leave)
                assert finish in (None, event.finish_reason)
            assert len(events) == n
            if leave is None:
                assert all(finish for _, finish in told.values())
                assert reply.events[-2]["usage"]["completion_tokens"] == sum(e.completion_tokens for e in events)


async def _ask(caller: Caller, turn: int) -> None:
    fields, leave_after = KINDS[turn % len(KINDS)]
    body = {"model": "m", "messages": [{"role": "user", "content": f"hi {turn}"}], **fields}
    await caller.call("POST", CHAT, body, leave_after=leave_after)


def _caller(engine: EngineClient) -> Caller:
    tokenizer = ByteTokenizer()
    deployment = Deployment(
        ModelCard("m", 1_700_000_000, 1000, "digest"),
        engine,
        tokenizer,  # type: ignore[arg-type]
        LineChat(),
    )
    service = Service([deployment])
    return Caller(build_app(service), service, engine)  # type: ignore[arg-type]


async def test_prefixes_are_shared_within_a_salt_alone() -> None:
    async with started(SPEC) as engine:
        caller = _caller(engine)
        cached = []
        for salt in (None, None, "a", "a", "b"):
            body = {"model": "m", "prompt": "The same words again. " * 20, "max_tokens": 1, "cache_salt": salt}
            usage = (await caller.call("POST", "/v1/completions", body)).json["usage"]
            cached.append(usage["prompt_tokens_details"]["cached_tokens"] > 0)
    assert cached == [False, True, False, True, False]


async def test_a_client_that_reads_nothing_costs_little_computing_and_little_memory() -> None:
    """Of an answer of 16 times 900 tokens, each with 20 rivals, the engine makes what a reader may be behind.

    It makes more while this process, which has to tell it so, does not get to run: such attempts do not count.
    """
    events: list[UsageEvent] = []
    async with started(SPEC, on_usage=[events.append]) as engine:
        caller = _caller(engine)
        body = {"model": "m", "prompt": "hi", "n": 16, "max_tokens": 900, "logprobs": 20, "stream": True}
        for _ in range(5):
            events.clear()
            before = engine.stats().completion_tokens
            asked = asyncio.create_task(
                caller.call("POST", "/v1/completions", body | {"ignore_eos": True}, turns_per_write=1_000_000_000)
            )
            stalled_s = await _until_it_rests(engine, before)
            made = engine.stats().completion_tokens - before
            if stalled_s < 0.3:
                break
            await _ended(asked, engine)
        assert stalled_s < 0.3, "this machine is too busy for this test"
        assert made <= 16 * (UNREAD_MOST + 100)
        unread = [stream._pending for stream in engine._streams.values()]
        assert len(unread) == 16 and all(delta is None or len(delta.tokens) <= UNREAD_MOST + 100 for delta in unread)
        brief = {"model": "m", "prompt": "x", "max_tokens": 5, "ignore_eos": True}
        other = await caller.call("POST", "/v1/completions", brief)
        assert other.json["usage"]["completion_tokens"] == 5, "others are served meanwhile"
        await _ended(asked, engine)
        assert len(events) == 17
        assert sum(event.completion_tokens for event in events) < 16 * UNREAD_MOST
        assert engine.stats().pages_used == 0


async def _until_it_rests(engine: EngineClient, before: int) -> float:
    """Wait until the engine has made something and makes no more; returns the longest that this process stood still."""
    made, stalled_s = -1, 0.0
    while made != engine.stats().completion_tokens or made == before:
        made = engine.stats().completion_tokens
        for _ in range(30):
            slept_s = time.perf_counter()
            await asyncio.sleep(0.01)
            stalled_s = max(stalled_s, time.perf_counter() - slept_s - 0.01)
    return stalled_s


async def _ended(asked: asyncio.Task, engine: EngineClient) -> None:
    """The client leaves."""
    asked.cancel()
    while engine._streams:
        await asyncio.sleep(0.01)
