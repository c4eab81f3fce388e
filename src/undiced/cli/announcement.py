"""Announcement: what `serve` tells the terminal, or scripts, about its life. Words only; a `Voice` says them."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

import typer

from undiced import __version__
from undiced.cli.terminal import colored, counted, error_object
from undiced.cli.voice import ERROR, OUTPUT

if TYPE_CHECKING:
    import socket

    from undiced.api.settings import Settings
    from undiced.cli.voice import Voice
    from undiced.core.errors import UndicedError
    from undiced.engine.backend import Limits
    from undiced.remote.spec import EngineSpec

_log = logging.getLogger("undiced.serve")


class Announcement:
    """In words, or in JSON.

    Attributes:
        limits: the engine's; set before `ready`.
    """

    def __init__(
        self,
        voice: Voice,
        sock: socket.socket,
        spec: EngineSpec,
        began_s: float,
        settings: Settings,
        *,
        secure: bool,
        as_json: bool,
    ) -> None:
        self._voice, self._spec, self._settings = voice, spec, settings
        self.began_s, self.as_json = began_s, as_json
        host, self.port = sock.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        self.url = f"{'https' if secure else 'http'}://{shown}:{self.port}"
        self.limits: Limits | None = None

    def ready(self) -> None:
        """Requests are taken."""
        facts = self._facts(time.perf_counter() - self.began_s)
        if not os.isatty(ERROR):
            _log.info("ready", extra={"fields": facts})
        if self.as_json:
            self._emit({"event": "ready", **facts})
            return
        limits, settings = self.limits, self._settings
        assert limits is not None
        self._say(f"Undiced {__version__}: {self._spec.model} is ready after {facts['seconds']:.1f} s", bold=True)
        self._say(f"  chat page   {self.url}/")
        self._say(f"  API         {self.url}/v1" + (", with a key" if settings.api_key else ""))
        threads, batch = counted(self._spec.options.threads, "thread"), counted(limits.max_batch, "sequence")
        shape = f"{threads}, context {limits.context}, {batch} at once, {self._spec.policy.max_waiting} may wait"
        self._say(f"  {shape}. Ctrl-C stops.", fg="bright_black")

    def _facts(self, seconds: float) -> dict[str, str | int | float | bool]:
        limits, settings = self.limits, self._settings
        assert limits is not None
        return {
            "version": __version__,
            "model": self._spec.model,
            "url": self.url,
            "threads": self._spec.options.threads,
            "context": limits.context,
            "max_batch": limits.max_batch,
            "max_queue": self._spec.policy.max_waiting,
            "max_connections": settings.max_connections,
            "key": settings.api_key is not None,
            "seconds": round(seconds, 3),
        }

    def drain(self, running: int) -> None:
        """No more requests are taken."""
        _log.info("draining", extra={"fields": {"running": running}})
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
        self._voice.say(typer.style(line, fg=fg, bold=bold) if os.isatty(where) and colored() else line, where=where)
