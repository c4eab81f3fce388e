"""Announcement: what `serve` tells the terminal, or scripts, about its life. Words only; a `Voice` says them."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

import typer

from undiced import __version__
from undiced.cli.serving.addresses import reached_at
from undiced.cli.terminal import colored, counted, error_object, megabytes
from undiced.cli.voice import ERROR, OUTPUT

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from undiced.api.deployment import ModelCard
    from undiced.api.settings import Settings
    from undiced.cli.serving.desk import Desk
    from undiced.cli.voice import Voice
    from undiced.core.errors import UndicedError

_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
_AGAIN = "Start the server again."
_log = logging.getLogger("undiced.serve")


class Announcement:
    """In words, or in JSON.

    Attributes:
        cards: of the models, as they are served; set before `ready`.
    """

    def __init__(
        self,
        voice: Voice,
        sock: socket.socket,
        began_s: float,
        settings: Settings,
        desk: Desk | None = None,
        *,
        secure: bool,
        as_json: bool,
    ) -> None:
        self._voice, self._settings = voice, settings
        self.began_s, self.as_json = began_s, as_json
        scheme = "https" if secure else "http"
        self.url = f"{scheme}://{_here(sock)}"
        self._management = None if desk is None else f"{scheme}://{_here(desk.sock)}/management/v1"
        self._others = [f"{scheme}://{each}:{sock.getsockname()[1]}" for each in reached_at(sock)]
        self.cards: Sequence[ModelCard] = ()

    def ready(self) -> None:
        """Requests are taken."""
        seconds = time.perf_counter() - self.began_s
        if not os.isatty(ERROR):
            for card in self.cards:
                _log.info("ready", extra={"fields": self._server(_share(card), seconds)})
        if self.as_json:
            models = [_share(card) for card in self.cards]
            served: dict[str, object] = {"models": models, "addresses": self._others}
            if self._management is not None:
                served["management"] = self._management
            self._emit({"event": "ready", **self._server(models[0], seconds), **served})
            return
        single = self.cards[0] if len(self.cards) == 1 else None
        ready = f"{single.id} is ready" if single else f"{len(self.cards)} models are ready"
        self._say(f"Undiced {__version__}: {ready} after {seconds:.1f} s", bold=True)
        self._say(f"  chat page   {self.url}/")
        self._say(f"  API         {self.url}/v1" + (", with a key" if self._keyed else ""))
        if self._management is not None:
            self._say(f"  management  {self._management}")
        for url in self._others:
            if url != self.url:
                self._say(f"  for others  {url}/")
        width = max(len(card.id) for card in self.cards)
        for card in self.cards:
            name = "" if single else f"{card.id:{width}}  "
            self._say(f"  {name}{_shape(card)}", fg="bright_black" if single else None)
        self._say("  Ctrl-C stops.", fg="bright_black")

    def _server(self, share: dict[str, str | int | None], seconds: float) -> dict[str, str | int | float | bool | None]:
        return {
            "version": __version__,
            "url": self.url,
            **share,
            "max_connections": self._settings.max_connections,
            "key": self._keyed,
            "seconds": round(seconds, 3),
        }

    @property
    def _keyed(self) -> bool:
        return self._management is not None or self._settings.api_key is not None

    def drain(self, running: int) -> None:
        """No more requests are taken."""
        _log.info("draining", extra={"fields": {"running": running}})
        if self.as_json:
            self._emit({"event": "draining", "running": running})
        elif running:
            self._say(f"Finishing {counted(running, 'answer')}; Ctrl-C again ends them.", where=ERROR)

    def lost(self, error: UndicedError, model: str = "") -> None:
        """The engine has failed for good: that of one model, and others are left; or the last one."""
        engine = f"The engine of {model}" if model else "The engine"
        message = f"{engine} has failed for good: {error.message}"
        remedy = "The other models are served on; start the server again to have it back." if model else _AGAIN
        if self.as_json:
            lived = {"event": "engine_lost", "model": model} if model else {}
            self._emit({**lived, **error_object(error.code, message, remedy)})
        self._say(f"error: {' '.join(f'{message} {remedy}'.split())}", where=ERROR, fg="red")

    def _emit(self, value: object) -> None:
        import msgspec

        self._voice.say(msgspec.json.encode(value).decode())

    def _say(self, line: str, *, where: int = OUTPUT, fg: str | None = None, bold: bool | None = None) -> None:
        self._voice.say(typer.style(line, fg=fg, bold=bold) if os.isatty(where) and colored() else line, where=where)


def _here(sock: socket.socket) -> str:
    """Host and port for somebody at this machine."""
    host, port = sock.getsockname()[:2]
    return f"{_LOCAL.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def _share(card: ModelCard) -> dict[str, str | int | None]:
    """What a model has got."""
    assert card.facts is not None
    facts = card.facts
    return {
        "model": card.id,
        "threads": facts.threads,
        "context": card.context,
        "max_batch": facts.max_batch,
        "max_queue": facts.max_queue,
        "weight_bytes": facts.weight_bytes,
        "kv_bytes": facts.kv_bytes,
        "kv_type": facts.kv_type,
        "draft": facts.draft,
    }


def _shape(card: ModelCard) -> str:
    assert card.facts is not None
    facts = card.facts
    threads, batch = counted(facts.threads, "thread"), counted(facts.max_batch, "sequence")
    memory = megabytes(facts.weight_bytes + facts.draft_bytes + facts.kv_bytes)
    guesses = "" if facts.draft is None else f"; {facts.draft} guesses ahead"
    kept = "" if facts.kv_type == "f16" else f"; {facts.kv_type} KV cache"
    waiting = f"{facts.max_queue} may wait"
    return f"{threads}, context {card.context}, {batch} at once, {waiting}, up to {memory}{kept}{guesses}"
