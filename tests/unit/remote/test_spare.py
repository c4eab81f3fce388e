"""A spare: an engine process that waits to be told what it runs."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from undiced.engine.load import BackendOptions
from undiced.remote.client import EngineClient
from undiced.remote.spare import HOST, Spare
from undiced.remote.spec import EngineSpec

SPEC = EngineSpec(BackendOptions(checkpoint="max_batch=4"), backend="support.fake:open_fake")


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def test_nobody_takes_it_and_it_is_gone() -> None:
    spare = Spare(HOST)
    spare.close()
    spare.close()
    assert spare.process.returncode is not None


def test_it_ends_by_itself_where_nothing_is_said() -> None:
    spare = Spare()
    assert spare.process.stdin is not None
    spare.process.stdin.close()
    assert spare.process.wait(20) == 0
    assert spare.process.stdout is not None
    assert spare.process.stdout.read() == b""
    spare.process.stdin = None
    spare.close()


def test_it_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_TEST_SECRET", "hush")
    for without, seen in ((("UNDICED_TEST_SECRET",), False), ((), True)):
        spare = Spare(without=without)
        while not (environment := Path(f"/proc/{spare.process.pid}/environ").read_bytes()):
            time.sleep(0.001)  # the system has not laid it out yet
        spare.close()
        assert (b"hush" in environment) is seen


def test_an_engine_runs_in_it_and_the_next_one_in_another(path: None) -> None:
    async def live() -> tuple[int, int | None, int | None]:
        spare = Spare()
        client = EngineClient(SPEC, spare=spare)
        await client.start()
        first = client.pid
        assert first is not None
        os.kill(first, 9)
        while client.pid == first or client.health.state != "ready":
            await asyncio.sleep(0.01)
        second = client.pid
        await client.close()
        spare.close()
        return spare.process.pid, first, second

    waiting, first, second = asyncio.run(asyncio.wait_for(live(), 60))
    assert waiting == first != second


def test_what_it_was_told_before_it_is_taken_counts_for_that_alone(path: None) -> None:
    async def live(told: EngineSpec) -> bool:
        spare = Spare()
        try:
            spare.tell(told)
            client = EngineClient(SPEC, spare=spare)
            await client.start()
            assert client.limits.max_batch == 4
            ours = client.pid == spare.process.pid
            await client.close()
            return ours
        finally:
            spare.close()

    other = EngineSpec(BackendOptions(checkpoint="max_batch=5"), backend="support.fake:open_fake")
    assert asyncio.run(asyncio.wait_for(live(SPEC), 60))
    assert not asyncio.run(asyncio.wait_for(live(other), 60))


def test_nobody_takes_it_though_it_was_told(path: None) -> None:
    for size in (1, 1 << 20):  # more than a pipe holds
        spare = Spare()
        spare.tell(EngineSpec(BackendOptions(program=bytes(size)), backend="support.fake:open_fake"))
        spare.close()
        assert spare.process.returncode is not None
