"""A server of ours that runs while something is measured, and what its processes compute."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


PEERS = "UNDICED_PEERS"  # where other engines lie, which is nothing to a server of ours


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is ready, at `url`; `edge` is the process that speaks HTTP."""

    url: str
    edge: int

    def engine(self) -> int:
        """Its engine process."""
        children = Path(f"/proc/{self.edge}/task/{self.edge}/children").read_text().split()
        return int(next(pid for pid in children if "engine_process" in Path(f"/proc/{pid}/cmdline").read_text()))


@contextlib.contextmanager
def served(model: str, *options: str) -> Iterator[Served]:
    """`undiced serve`, from when it says that it is ready."""
    command = [sys.executable, "-m", "undiced", "serve", model, "--port", "0", "--json", "--log-level", "warning"]
    settings = {name: value for name, value in os.environ.items() if name != PEERS}
    server = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=settings)
    try:
        assert server.stdout is not None
        yield Served(json.loads(server.stdout.readline())["url"], server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def cpu_s(pid: int) -> float:
    """Processor seconds that a process' threads have used."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
