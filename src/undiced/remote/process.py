"""EngineSpec and EngineProcess: how the engine process is started, and its exit as an awaitable.

Knows processes; no frames, no policy of restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

_LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 107


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine process runs.

    Attributes:
        program: path of the compiled program. checkpoint: catalog name, GGUF file or Hugging Face folder.
        threads: of the team. pages: KV pages, or None for what fits. max_tokens: tokens in one step. isa: forced
            instruction set, or "".
        max_waiting: requests in the queue. stall_s: how much a prompt may lengthen a step while others decode.
        backend: the factory, as `module:function`.
    """

    program: str = ""
    checkpoint: str = ""
    threads: int = 1
    pages: int | None = None
    max_tokens: int = 256
    isa: str = ""
    max_waiting: int = 256
    stall_s: float = 0.05
    backend: str = "undiced.engine.load:open_host"

    def command(self, socket: Path) -> list[str]:
        """The command line that runs it."""
        options = {
            "socket": socket,
            "backend": self.backend,
            "program": self.program,
            "checkpoint": self.checkpoint,
            "threads": self.threads,
            "pages": self.pages,
            "max-tokens": self.max_tokens,
            "isa": self.isa,
            "max-waiting": self.max_waiting,
            "stall-s": self.stall_s,
        }
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        return [sys.executable, "-m", "undiced.remote.engine_process", *given]


class EngineProcess:
    """A started engine process. It dies with the thread that made it."""

    def __init__(self, spec: EngineSpec, socket: Path) -> None:
        loop = asyncio.get_running_loop()
        # in a group of its own: Ctrl-C at the terminal is for the server, which ends the engine when it is done with it
        self._process = subprocess.Popen(spec.command(socket), stdin=subprocess.DEVNULL, process_group=0)
        self._exit: asyncio.Future[int] = loop.create_future()
        threading.Thread(target=self._watch, args=(loop,), name="engine-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        status = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the event loop has closed
            loop.call_soon_threadsafe(self._exited, status)

    def _exited(self, status: int) -> None:
        if not self._exit.done():
            self._exit.set_result(status)

    async def wait(self) -> int:
        """Its exit status, when it has exited; negative for a signal."""
        return await asyncio.shield(self._exit)

    async def end(self, grace_s: float) -> None:
        """Give it `grace_s` to exit, then kill it."""
        try:
            await asyncio.wait_for(self.wait(), grace_s)
        except TimeoutError:
            self._process.kill()
            await self.wait()


def describe(status: int) -> str:
    """An exit status in words."""
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def private_folder() -> Path:
    """A folder that only this user can enter, on a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="undiced-"))
    if len(bytes(folder)) > _LONGEST_SOCKET_PATH - len("/engine"):
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="undiced-", dir="/tmp"))
    return folder
