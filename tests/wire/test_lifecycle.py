"""The life of `undiced serve` under bad circumstances: outputs that have gone, kills, changed files, a lost engine."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from folders import make_folder
from live import engines

COMMAND = [sys.executable, "-c", "from undiced.cli import main; main()", "serve"]
_START_S, _END_S = 60.0, 30.0
ENGINE_LOST = 69


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where temporary files go."""
    path = tmp_path / "scratch"
    path.mkdir()
    return path


class Server:
    """A server process on a port that was free."""

    def __init__(self, folder: Path, *options: str, shell: str = "", **popen: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [*COMMAND, str(folder), "--port", str(self.port), *options]
        if shell:
            command = ["bash", "-c", f'exec "$@" {shell}', "bash", *command]
        self.process = subprocess.Popen(command, **{"stderr": subprocess.DEVNULL, **popen})  # type: ignore[call-overload]
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> Server:
        """Wait until it takes requests."""
        end = time.monotonic() + _START_S
        while self.get("/health")[0] != 200:
            assert self.process.poll() is None, f"it ended with status {self.process.returncode}"
            assert time.monotonic() < end, "it did not start in time"
            time.sleep(0.05)
        return self

    def engine(self) -> int:
        """Process id of its engine."""
        (pid,) = engines(self.process.pid)
        return pid

    def end(self, number: int) -> int:
        """Send a signal; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(_END_S)

    def stream(self) -> Iterator[bytes]:
        """Lines of an answer that goes on for a while."""
        fields = {"model": "tiny", "prompt": [5], "max_tokens": 120, "stream": True, "ignore_eos": True}
        body = json.dumps(fields).encode()
        request = urllib.request.Request(self.url + "/v1/completions", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            yield from reply


@contextlib.contextmanager
def running(folder: Path, *options: str, **popen: object) -> Iterator[Server]:
    server = Server(folder, *options, **popen)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        for output in (server.process.stdout, server.process.stderr):
            if output is not None:
                output.close()


@pytest.mark.parametrize(
    "options",
    [
        ("--json",),
        (
            "--log-level",
            "debug",
        ),
    ],
)
def test_a_reader_that_has_gone_keeps_no_server_from_ending(folder: Path, options: tuple[str, ...]) -> None:
    """serve --json | head -1, then SIGTERM."""
    reading, writing = os.pipe()
    with running(folder, *options, stdout=writing, stderr=writing) as server:
        os.close(writing)
        server.ready()
        os.close(reading)
        assert server.get("/v1/models")[0] == 200
        assert server.end(signal.SIGTERM) == 0


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=SLOW), signal.SIGTERM, pytest.param(signal.SIGHUP, marks=SLOW)]
)
def test_an_answer_is_finished_though_the_terminal_has_gone(folder: Path, number: int) -> None:
    leader, follower = pty.openpty()
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    with running(folder, "--max-batch", "1", start_new_session=True, **streams) as server:
        os.close(follower)
        server.ready()
        lines, got = server.stream(), []
        got.append(next(lines))
        os.close(leader)
        server.process.send_signal(number)
        got.extend(lines)
        assert got[-2].strip() == b"data: [DONE]"
        assert server.process.wait(_END_S) == 0


def test_an_output_that_nobody_reads_stops_nothing(folder: Path) -> None:
    """A full pipe, as behind a terminal that was stopped with Ctrl-S."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with running(folder, "--log-level", "debug", stdout=writing, stderr=writing) as server:
        server.ready()
        for _ in range(20):
            assert server.get("/v1/models")[0] == 200
        assert server.end(signal.SIGTERM) == 0
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    "shell", [pytest.param("2>&-", marks=SLOW), "<&- >&- 2>&-", pytest.param(">/dev/full 2>/dev/full", marks=SLOW)]
)
def test_outputs_that_are_closed_or_full_from_the_start_change_nothing(folder: Path, shell: str) -> None:
    with running(folder, "--json", shell=shell) as server:
        server.ready()
        assert next(server.stream()).startswith(b"data: ")
        assert server.end(signal.SIGTERM) == 0


def test_a_kill_leaves_nothing_behind_and_no_engine(folder: Path, scratch: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(scratch)}
    for _ in range(2):
        with running(folder, env=environment) as server:
            engine = server.ready().engine()
            server.process.kill()
            server.process.wait()
            end = time.monotonic() + 10
            while Path(f"/proc/{engine}/exe").exists() and time.monotonic() < end:
                time.sleep(0.02)
            assert not Path(f"/proc/{engine}/exe").exists()
        assert list(scratch.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_written_is_not_needed(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path / ("x" * 120) / "missing")}
    with running(folder, "--log-level", "warning", env=environment, stderr=subprocess.PIPE) as server:
        server.ready()
        assert list(server.stream())[-2] == b"data: [DONE]\n"
        assert server.end(signal.SIGTERM) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == b"", "an ordinary life has nothing to warn of"


@pytest.mark.parametrize(
    "change",
    ["weights", *(pytest.param(name, marks=pytest.mark.slow) for name in ("config", "a shard more", "gone"))],
)
def test_a_restart_with_other_files_ends_the_server(tmp_path: Path, change: str) -> None:
    (tmp_path / "secret place").mkdir()
    folder = make_folder(tmp_path / "secret place" / "tiny")
    with running(folder, stderr=subprocess.PIPE) as server:
        engine = server.ready().engine()
        weights = folder / "model-00001-of-00002.safetensors"
        if change == "config":
            (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
        elif change == "weights":  # in place, with the old time stamps
            before = weights.stat()
            with weights.open("r+b") as file:
                file.seek(-4, os.SEEK_END)
                file.write(b"\0\0\0\1")
            os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif change == "a shard more":
            (folder / "extra.safetensors").write_bytes(b"")
        else:
            weights.unlink()
        os.kill(engine, signal.SIGKILL)
        seen = set()
        while server.process.poll() is None:
            seen.add(server.get("/health")[1])
            time.sleep(0.01)
        assert server.process.wait(_END_S) == ENGINE_LOST
        assert server.process.stderr is not None
        told = server.process.stderr.read().decode()
        assert "The files of tiny have changed since the server was started" in told
        assert "another start would not help" in told
        assert not any("secret" in body for body in seen), "clients are told no paths"


def test_an_engine_that_keeps_dying_ends_streams_with_errors_and_the_server_with_a_status(folder: Path) -> None:
    with running(folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        server.ready()
        for _ in range(6):
            engine = server.engine()
            os.kill(engine, signal.SIGKILL)
            while server.process.poll() is None and not (
                server.get("/health")[0] == 200 and engines(server.process.pid) not in ([], [engine])
            ):
                time.sleep(0.02)
        assert server.process.wait(_END_S) == ENGINE_LOST
        assert server.process.stderr is not None
        lines = server.process.stderr.read().decode().splitlines()
        assert sum("signal 9, SIGKILL" in line and "is started again in" in line for line in lines) == 5
        assert any("It is given up: 6 deaths in 300 s." in line for line in lines)
        assert lines[-1].startswith(
            "error: The engine has failed for good: The engine process died (signal 9, SIGKILL)"
        )


def test_restarts_are_counted_and_streams_end_with_an_error(folder: Path) -> None:
    with running(folder, "--max-batch", "1") as server:
        server.ready()
        engine, lines = server.engine(), server.stream()
        next(lines)
        os.kill(engine, signal.SIGKILL)
        assert any(b'"engine_failure"' in line for line in lines)
        server.ready()
        assert 'undiced_engine_restarts_total{model="tiny"} 1.0' in server.get("/metrics")[1]
        assert server.end(signal.SIGTERM) == 0


def test_a_death_while_it_drains_ends_the_drain(folder: Path) -> None:
    with running(folder, "--max-batch", "1") as server:
        server.ready()
        lines = server.stream()
        next(lines)
        engine = server.engine()
        os.kill(engine, signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        threading.Timer(0.3, os.kill, (engine, signal.SIGKILL)).start()
        assert any(b'"engine_failure"' in line for line in lines)
        assert server.process.wait(_END_S) == 0


@pytest.mark.slow  # longer than an engine may be silent
def test_the_whole_server_may_be_stopped_and_continued(folder: Path) -> None:
    with running(folder) as server:
        engine = server.ready().engine()
        for number, pause_s in ((signal.SIGSTOP, 35), (signal.SIGCONT, 5)):
            server.process.send_signal(number)
            os.kill(engine, number)
            time.sleep(pause_s)
        assert (server.engine(), server.get("/health")[0]) == (engine, 200)
        assert server.end(signal.SIGTERM) == 0
