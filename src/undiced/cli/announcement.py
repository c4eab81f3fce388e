"""Announcement: what `serve` tells the terminal, or scripts, about its life. Words only; a `Voice` says them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import typer

from undiced.cli.terminal import counted, error_object
from undiced.cli.voice import ERROR, OUTPUT

if TYPE_CHECKING:
    import socket

    from undiced.cli.voice import Voice
    from undiced.core.errors import UndicedError
    from undiced.engine.backend import Limits


class Announcement:
    """In words, or in JSON.

    Attributes:
        name: the model as clients know it. limits: the engine's; set before `ready`.
    """

    def __init__(self, voice: Voice, sock: socket.socket, threads: int, began_s: float, *, as_json: bool) -> None:
        self._voice, self.threads, self.began_s, self.as_json = voice, threads, began_s, as_json
        host, self.port = sock.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        self.url = f"http://{shown}:{self.port}"
        self.limits: Limits | None = None
        self.name = ""

    def ready(self) -> None:
        """Requests are taken."""
        seconds = time.perf_counter() - self.began_s
        assert self.limits is not None
        if self.as_json:
            facts = {"model": self.name, "url": self.url, "threads": self.threads, "context": self.limits.context}
            self._emit({"event": "ready", **facts, "max_batch": self.limits.max_batch, "seconds": round(seconds, 3)})
            return
        self._say(f"{self.name} is ready after {seconds:.1f} s", bold=True)
        self._say(f"  chat page   {self.url}/")
        self._say(f"  API         {self.url}/v1")
        threads, batch = counted(self.threads, "thread"), counted(self.limits.max_batch, "sequence")
        shape = f"{threads}, context {self.limits.context}, {batch} at once"
        self._say(f"  {shape}. Ctrl-C stops.", fg="bright_black")

    def drain(self, running: int) -> None:
        """No more requests are taken."""
        if self.as_json:
            self._emit({"event": "draining", "running": running})
        elif running:
            self._say(f"Finishing {counted(running, 'answer')}; Ctrl-C again ends them.", where=ERROR)

    def lost(self, error: UndicedError) -> None:
        """The engine has failed for good."""
        message, remedy = f"The engine has failed for good: {error.message}", "Start the server again."
        if self.as_json:
            self._emit(error_object(error.code, message, remedy))
        self._say(f"error: {' '.join(f'{message} {remedy}'.split())}", where=ERROR, fg="red")

    def _emit(self, value: object) -> None:
        import msgspec

        self._voice.say(msgspec.json.encode(value).decode())

    def _say(self, line: str, *, where: int = OUTPUT, fg: str | None = None, bold: bool | None = None) -> None:
        self._voice.say(typer.style(line, fg=fg, bold=bold) if os.isatty(where) else line, where=where)
