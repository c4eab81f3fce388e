"""A real engine process over a real socket, with a backend that hashes histories: life, death and all between."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from support.clients import fake_spec, started
from support.fake import Draw, fake_token
from support.reader import Reader, reader

from undiced.core.errors import (
    CheckpointError,
    ContextLengthError,
    EngineError,
    InvalidRequestError,
    QueueFullError,
    UnavailableError,
    UndicedError,
)
from undiced.engine.load import BackendOptions
from undiced.remote.client import EngineClient
from undiced.remote.spec import EngineSpec
from undiced.remote.supervisor import Restarts
from undiced.serve import GREEDY, Delta, Request, UsageEvent

SPEC = fake_spec("step_s=0.002")
HURRY = Restarts(pause_s=0.01)


def ask(name: str, wanted: int = 10, first: int = 1) -> Request:
    return Request(name, (first, 2, 3), wanted, GREEDY)


def alone(request: Request) -> list[int]:
    history = list(request.prompt)
    for _ in range(request.max_tokens):
        history.append(fake_token(np.array(history, np.int32), 1000, Draw()))
    return history[len(request.prompt) :]


async def read(client: EngineClient, request: Request) -> tuple[list[int], Delta]:
    return await everything(reader(client, request))


async def everything(stream: Reader) -> tuple[list[int], Delta]:
    deltas = [delta async for delta in stream]
    return [token for delta in deltas for token in delta.tokens], deltas[-1]


async def until(condition: object, timeout_s: float = 10.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def exists(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_many_streams_get_what_each_would_get_alone() -> None:
    accounts: list[UsageEvent] = []
    async with started(SPEC, on_usage=[accounts.append]) as client:
        assert client.health.state == "ready"
        requests = [ask(f"r{index}", 5 + index, first=index) for index in range(40)]
        answers = await asyncio.gather(*(read(client, request) for request in requests))
        for request, (tokens, last) in zip(requests, answers, strict=True):
            assert tokens == alone(request)
            assert last.usage is not None
            assert (last.finish_reason, last.usage.completion_tokens) == ("length", len(tokens))
        assert sorted(account.request_id for account in accounts) == sorted(request.id for request in requests)
        stats = client.stats()
        assert (stats.running, stats.waiting, stats.ended) == (0, 0, 40)
        assert stats.completion_tokens == sum(request.max_tokens for request in requests)


async def test_an_observer_that_fails_ends_no_stream_and_hides_no_account() -> None:
    accounts: list[UsageEvent] = []

    def broken(usage: UsageEvent) -> None:
        raise OSError("the disk is full")

    async with started(SPEC, on_usage=[broken, accounts.append, broken]) as client:
        request = replace(ask("r"), tag="somebody")
        tokens, last = await read(client, request)
        assert (tokens, [last.usage]) == (alone(request), accounts)
        assert accounts[0].tag == "somebody"


async def test_a_killed_engine_fails_every_stream_and_comes_back() -> None:
    accounts: list[UsageEvent] = []
    async with started(SPEC, on_usage=[accounts.append], restarts=HURRY) as client:
        streams = [reader(client, ask(f"r{index}", 1000)) for index in range(3)]
        for stream in streams:
            await anext(stream)
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        for stream in streams:
            with pytest.raises(EngineError, match="signal 9"):
                async for _ in stream:
                    pass
        assert [account.finish_reason for account in accounts] == ["error"] * 3
        assert all(account.completion_tokens > 0 for account in accounts)
        assert client.health.state == "restarting"
        with pytest.raises(UnavailableError, match="restarting") as caught:
            reader(client, ask("meanwhile"))
        began_s = time.monotonic()
        await until(lambda: client.health.state == "ready")
        assert caught.value.retry_after_s is not None, "as long as the first start took"
        assert 0.3 < (caught.value.retry_after_s + 0.2) / (time.monotonic() - began_s + 0.2) < 3
        assert client.health.back_s is None
        assert client.health.restarts == 1
        request = ask("after")
        assert (await read(client, request))[0] == alone(request)


async def test_an_engine_that_keeps_dying_is_given_up() -> None:
    async with started(SPEC, restarts=Restarts(limit=1, pause_s=0.01)) as client:
        for expected in ("ready", "failed"):
            assert client.pid is not None
            os.kill(client.pid, signal.SIGKILL)
            await until(lambda: client.health.state != "ready")
            await until(lambda expected=expected: client.health.state == expected)
        with pytest.raises(UnavailableError, match=r"has failed for good: .*signal 9, SIGKILL"):
            reader(client, ask("late"))
        assert "signal 9" in client.health.detail


async def test_an_error_in_a_step_reaches_its_streams_and_the_engine_comes_back() -> None:
    spec = fake_spec("step_s=0.002,poison=999")
    async with started(spec, restarts=HURRY) as client:
        bystander = reader(client, ask("bystander", 1000))
        await anext(bystander)
        with pytest.raises(EngineError, match="poison"):
            await read(client, ask("culprit", first=999))
        with pytest.raises(EngineError, match="poison"):
            async for _ in bystander:
                pass
        assert bystander.stream.usage is not None
        assert bystander.stream.usage.finish_reason == "error"
        assert bystander.stream.usage.joules > 0  # the engine's own account, not a guess
        await until(lambda: client.health.state == "ready")
        assert len((await read(client, ask("after")))[0]) == 10


async def test_a_reader_that_leaves_frees_its_place() -> None:
    accounts: list[UsageEvent] = []
    async with started(SPEC, on_usage=[accounts.append]) as client:
        gone = reader(client, ask("gone", 4000))
        await anext(gone)
        gone.stream.cancel()
        cut = reader(client, ask("cut", 4000))
        reading = asyncio.create_task(everything(cut))
        await until(lambda: client.stats().running == 1 and len(accounts) == 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        cut.stream.cancel()
        await until(lambda: client.stats().running == 0 and len(accounts) == 2)
        assert {account.finish_reason for account in accounts} == {"cancelled"}
        assert client.stats().pages_used == 0


async def test_finish_ends_the_sequence_where_the_reader_says() -> None:
    async with started(SPEC) as client:
        stream, count = reader(client, ask("a", 2000)), 0
        async for delta in stream:
            count += len(delta.tokens)
            if delta.usage is None and count >= 5:
                stream.stream.finish(4)
        assert stream.stream.usage is not None
        assert (stream.stream.usage.completion_tokens, stream.stream.usage.finish_reason) == (4, "stop")
        assert client.stats().completion_tokens < 100


async def test_a_full_queue_refuses_before_the_first_token() -> None:
    spec = fake_spec("step_s=0.002,max_batch=1", max_waiting=1)
    async with started(spec) as client:
        running = reader(client, ask("running", 2000))
        await anext(running)
        waiting = reader(client, ask("waiting"))
        refused = reader(client, ask("refused"))
        with pytest.raises(QueueFullError, match="1 requests are waiting") as caught:
            await anext(refused)
        assert 0.1 <= caught.value.retry_after_s <= 60
        running.stream.cancel()
        assert [delta.finish_reason async for delta in waiting][-1] == "length"


async def test_a_flood_is_refused_before_it_is_sent() -> None:
    spec = fake_spec("step_s=0.002,max_batch=2", max_waiting=3)
    async with started(spec) as client:
        streams = [reader(client, ask(f"r{index}", 2000)) for index in range(7)]
        with pytest.raises(QueueFullError, match="7 requests are on their way"):
            reader(client, ask("flood"))
        for stream in streams:
            stream.stream.cancel()
        await until(lambda: client.stats().running == client.stats().waiting == 0 and not client._streams)
        assert len((await read(client, ask("after")))[0]) == 10


async def test_impossible_requests_are_refused_without_asking_the_engine() -> None:
    async with started(SPEC) as client:
        with pytest.raises(ContextLengthError):
            reader(client, ask("long", 5000))
        with pytest.raises(InvalidRequestError, match="token id"):
            reader(client, Request("odd", (1000,), 1, GREEDY))
        stream = reader(client, ask("twice", 100))
        with pytest.raises(InvalidRequestError, match="already running"):
            reader(client, ask("twice"))
        stream.stream.cancel()


async def test_close_ends_streams_and_process() -> None:
    client = EngineClient(SPEC)
    await client.start()
    pid = client.pid
    stream = reader(client, ask("open", 4000))
    await anext(stream)
    await client.close()
    await client.close()
    with pytest.raises(UnavailableError, match="shutting down"):
        async for _ in stream:
            pass
    assert pid is not None
    assert not exists(pid)


@pytest.mark.parametrize(
    ("factory", "error", "words"),
    [
        ("refuse", CheckpointError, r"model\.gguf is damaged\. Fetch it again\."),
        (
            "die",
            EngineError,
            r"died while it loaded the model \(signal 9, SIGKILL\)\. If memory ran out, .*--max-context",
        ),
        ("stumble", EngineError, "ZeroDivisionError: a bug"),
        ("missing", EngineError, "AttributeError"),
    ],
)
async def test_an_engine_that_cannot_load_says_why(
    factory: str, error: type[UndicedError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")
    client = EngineClient(EngineSpec(BackendOptions(checkpoint="model.gguf"), backend=f"engine_factories:{factory}"))
    with pytest.raises(error, match=words):
        await client.start()
    assert client.health.state == "closed"


async def test_loading_can_be_watched_and_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")
    client = EngineClient(EngineSpec(backend="engine_factories:slow"))
    starting = asyncio.create_task(client.start())
    await until(lambda: client.health.progress >= 0.2)
    assert (client.health.state, client.health.detail) == ("starting", "packing weights")
    with pytest.raises(UnavailableError, match="starting"):
        reader(client, ask("early"))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert client.pid is not None
    assert not exists(client.pid)


async def test_the_engine_dies_with_its_parent() -> None:
    program = (
        "import asyncio\n"
        "from undiced.remote.client import EngineClient\n"
        "from support.clients import fake_spec\n"
        "async def main():\n"
        "    client = EngineClient(fake_spec())\n"
        "    await client.start()\n"
        "    print(client.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert exists(pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not exists(pid))


async def least_ticks(pid: int, window_s: float) -> int:
    """Processor ticks (10 ms) in the quietest of five windows: what a process still had to do after its last answer is
    left out, what it does all the time is not."""
    windows = []
    for _ in range(5):
        before = cpu_ticks(pid)
        await asyncio.sleep(window_s)
        windows.append(cpu_ticks(pid) - before)
    return min(windows)


async def test_an_idle_engine_uses_no_processor_and_ignores_the_terminal() -> None:
    async with started(SPEC) as client:
        await read(client, ask("warm"))
        assert client.pid is not None
        os.kill(client.pid, signal.SIGINT)
        os.kill(client.pid, signal.SIGTERM)
        assert await least_ticks(client.pid, 0.3) <= 1  # a loop that polls or spins takes about 30
        assert len((await read(client, ask("still")))[0]) == 10


async def test_readers_that_are_slow_or_stuck_do_not_hold_up_the_engine() -> None:
    async with started(SPEC) as client:
        unread = reader(client, ask("unread", 300))
        tokens, _ = await read(client, ask("read", 200))
        assert len(tokens) == 200
        stuck = reader(client, ask("stuck", 300, first=5))
        await anext(stuck)
        time.sleep(0.5)  # nothing in this process reads the socket meanwhile
        await asyncio.sleep(0.05)
        assert len((await anext(stuck)).tokens) > 60
        first, *rest = [delta.tokens async for delta in unread]  # what nobody read is one delta; then it goes on
        assert len(first) > 60 and rest[-1] == []
        assert sum(rest, first) == alone(ask("unread", 300))
        stuck.stream.cancel()


async def test_a_step_costs_the_engine_process_little() -> None:
    async with started(fake_spec("step_s=0.001")) as client:
        costs = []
        for turn in range(5):
            before = client.stats()
            await read(client, ask(f"r{turn}", 200))
            after = client.stats()
            costs.append((after.overhead_s - before.overhead_s) / (after.steps - before.steps))
        assert statistics.median(costs) * 1e6 < 200  # the bare loop's target is held in the loop's own test
