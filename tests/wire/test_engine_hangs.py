"""Engine processes that hang, and some that only seem to: stopped, stuck in a step, stuck in loading, slow."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients import fake_spec, started
from support.reader import reader

from undiced.core.errors import EngineError, UnavailableError
from undiced.engine.load import BackendOptions
from undiced.remote.client import EngineClient
from undiced.remote.spec import EngineSpec
from undiced.remote.supervisor import Restarts
from undiced.remote.watch import Patience
from undiced.serve import GREEDY, Request

SOON = Patience(silence_s=3.0, step_s=3.0, load_s=3.0, silence_notice_s=1.8, step_notice_s=1.5)
HURRY = Restarts(pause_s=0.01)


@pytest.fixture(autouse=True)
def factories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")


def spec(factory: str, checkpoint: str = "") -> EngineSpec:
    return EngineSpec(BackendOptions(checkpoint=checkpoint), backend=f"engine_factories:{factory}", model="tiny")


def ask(name: str, wanted: int = 5, first: int = 1) -> Request:
    return Request(name, (first, 2, 3), wanted, GREEDY)


async def tokens(client: EngineClient, request: Request) -> int:
    return sum([len(delta.tokens) async for delta in reader(client, request)])


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "it did not happen in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_stopped_engine_is_noticed_then_replaced_and_its_streams_fail(caplog: pytest.LogCaptureFixture) -> None:
    async with started(fake_spec("step_s=0.002"), patience=SOON, restarts=HURRY) as client:
        stream = reader(client, ask("open", 4000))
        await anext(stream)
        stopped = client.pid
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        await until(lambda: client.health.state == "unresponsive")
        assert "has not answered" in client.health.detail
        with pytest.raises(UnavailableError, match="unresponsive"):
            reader(client, ask("meanwhile"))
        with pytest.raises(EngineError, match="has not answered for 3 s and was ended"):
            async for _ in stream:
                pass
        await until(lambda: client.health.state == "ready")
        assert (client.health.restarts, client.pid != stopped) == (1, True)
        assert await tokens(client, ask("after")) == 5
    assert any("SIGKILL" in text and "has not answered" in text for text in caplog.messages)


async def test_an_engine_that_is_stopped_for_a_moment_goes_on() -> None:
    async with started(fake_spec("step_s=0.002"), patience=SOON) as client:
        pid, reader = client.pid, asyncio.create_task(tokens(client, ask("long", 2000)))
        assert pid is not None
        await until(lambda: client.stats().running == 1)
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: client.health.state == "unresponsive")
        os.kill(pid, signal.SIGCONT)
        await until(lambda: client.health.state == "ready")
        assert (client.pid, client.health.restarts, client.health.detail) == (pid, 0, "")
        assert await reader == 2000


async def test_a_step_that_never_ends_is_noticed_and_the_engine_replaced() -> None:
    async with started(spec("hang"), patience=SOON, restarts=HURRY) as client:
        bystander, culprit = reader(client, ask("bystander", 4000)), reader(client, ask("culprit", first=999))
        await until(lambda: client.health.state == "unresponsive")
        assert "no progress in a step" in client.health.detail
        for stream in (bystander, culprit):
            with pytest.raises(EngineError, match="no progress in a step"):
                async for _ in stream:
                    pass
        await until(lambda: client.health.state == "ready")
        assert await tokens(client, ask("after")) == 5


async def test_a_long_step_that_gets_further_is_let_alone() -> None:
    async with started(spec("linger"), patience=SOON) as client:  # the step takes longer than any of SOON's limits
        pid = client.pid
        assert await tokens(client, ask("slow", first=999)) == 5
        assert (client.pid, client.health.restarts) == (pid, 0)


async def test_loading_that_stands_still_after_a_restart_is_given_up(tmp_path: Path) -> None:
    async with started(
        spec("stall", str(tmp_path / "seen")), patience=SOON, restarts=Restarts(1, pause_s=0.01)
    ) as client:
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        error = await asyncio.wait_for(client.given_up(), 30)
        assert "no progress in loading the model" in str(error)
        assert client.health.state == "failed"


async def test_a_restart_that_finds_other_files_is_the_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with started(spec("change", str(tmp_path / "seen")), restarts=HURRY) as client:
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        error = await asyncio.wait_for(client.given_up(), 30)
        assert str(tmp_path) in str(error), "whoever runs the server is told where"
        assert client.health.detail == "The files of tiny have changed."
        with pytest.raises(UnavailableError, match="failed for good: The files of tiny have changed"):
            reader(client, ask("late"))
    assert any("another start would not help" in text for text in caplog.messages)


async def test_a_server_that_was_stopped_itself_kills_no_engine() -> None:
    """The event loop stands still for longer than the engine may be silent, as after SIGSTOP and SIGCONT."""
    async with started(fake_spec("step_s=0.002"), patience=SOON) as client:
        pid = client.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        time.sleep(4.0)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(1.5)  # three looks at the pulse
        await until(lambda: client.health.state == "ready")
        assert (client.pid, client.health.restarts) == (pid, 0)
        assert await tokens(client, ask("after")) == 5


async def test_deaths_are_logged_with_cause_age_and_consequence(caplog: pytest.LogCaptureFixture) -> None:
    async with started(fake_spec("step_s=0.002,poison=999"), restarts=Restarts(limit=1, pause_s=0.01)) as client:
        with pytest.raises(EngineError, match="poison"):
            await tokens(client, ask("culprit", first=999))
        await until(lambda: client.health.state == "ready")
        assert client.pid is not None
        os.kill(client.pid, signal.SIGSEGV)
        await asyncio.wait_for(client.given_up(), 20)
    deaths = [record for record in caplog.records if " died after " in record.getMessage()]
    first, second = (record.getMessage() for record in deaths)
    assert [record.levelno for record in deaths] == [logging.ERROR, logging.CRITICAL]
    assert "exit status 1; its last words: The fake engine met its poison. It is started again in 0.01 s" in first
    assert (
        "signal 11, SIGSEGV; its last words: Fatal Python error: Segmentation fault. It is given up: 2 deaths" in second
    )
    assert any("ready again after" in text for text in caplog.messages)


async def test_no_name_leads_to_the_sockets_of_an_engine() -> None:
    async with started(fake_spec()) as client:
        links = [str(path.readlink()) for path in Path(f"/proc/{client.pid}/fd").iterdir()]
        inodes = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}
        rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()[1:]]
        names = [row[7:] for row in rows if row[6] in inodes]
        assert len(names) >= 2, "the link and the pulse"
        assert not any(names)
