"""Starts servers: `undiced serve` as users run it, with the packaged model, on a free port of this machine."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from support.forked import Forked, Forks

MODEL = "smollm2-135m"
_START_S = 120.0  # the first start of all fetches the model
_END_S = 15.0
Process = subprocess.Popen[str] | Forked


class Server:
    """A server process. `url` has no path; openai clients want `url + "/v1"`. `management`: the root of the management
    API, where there is one. `announced`: what it said when it was ready.
    """

    def __init__(self, process: Process, ready: dict[str, object]) -> None:
        self.process, self.announced = process, ready
        self.url = str(ready["url"])
        self.management = str(ready.get("management", ""))
        self.model = str(ready["model"])
        self.context = int(str(ready["context"]))

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_END_S)


@contextmanager
def running(
    *options: str, model: str = MODEL, stderr: TextIO | None = None, forks: Forks | None = None
) -> Iterator[Server]:
    """Start `undiced serve` on a free port of this machine; a clean end is part of every test."""
    words = ("serve", model, "--port", "0", "--json", *options)
    command = [sys.executable, "-c", "from undiced.cli import main; main()", *words]
    with _running(_started(command, stderr) if forks is None else forks.start(*words)) as server:
        yield server


@contextmanager
def scripted() -> Iterator[Server]:
    """Start the server of `scripted_families`."""
    command = [sys.executable, str(Path(__file__).with_name("scripted_families.py"))]
    with _running(_started(command, None)) as server:
        yield server


def _started(command: list[str], stderr: TextIO | None) -> Process:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)


@contextmanager
def _running(process: Process) -> Iterator[Server]:
    try:
        server = Server(process, _ready(process))
        yield server
        if process.poll() is None:
            assert server.stop() == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _ready(process: Process) -> dict[str, object]:
    assert process.stdout is not None
    end = time.monotonic() + _START_S
    while select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
        line = process.stdout.readline()
        assert line, f"the server ended with status {process.wait()} instead of serving"
        message: dict[str, object] = json.loads(line)
        assert message.get("event") == "ready", message
        return message
    raise AssertionError("the server was not ready in time")


def engines(server: int) -> list[int]:
    """Process ids of a server's engine processes."""
    found = []
    with suppress(OSError):
        for name in Path(f"/proc/{server}/task/{server}/children").read_text().split():
            if b"undiced.remote.engine_process" in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return found
