"""Starts the engines, one after another, and shows how far each is; what handles text is loaded beside each.

Knows what is to be started; not what it is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from undiced.cli.serving.served import text_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undiced.cli.serving.served import Served
    from undiced.remote.client import EngineClient
    from undiced.text import ChatEncoder, Tokenizer

_POLL_S = 0.05
_BAR_S = 1.0  # for the bar to leave the terminal


async def loaded(
    served: Served, engine: EngineClient, what: str, *, quiet: bool
) -> tuple[Tokenizer, ChatEncoder | None]:
    """Start an engine and load what handles its text, side by side; the first failure ends both.

    what: follows the words of progress; says which of several this is.
    """
    with _shown(engine, what, quiet=quiet):
        starting = asyncio.create_task(engine.start())
        reading = asyncio.create_task(asyncio.to_thread(text_parts, served.compiled))
        try:
            _, parts = await asyncio.gather(starting, reading)
        finally:
            for task in (starting, reading):
                task.cancel()
            await asyncio.gather(starting, reading, return_exceptions=True)
    return parts


@contextlib.contextmanager
def _shown(engine: EngineClient, what: str, *, quiet: bool) -> Iterator[None]:
    """Show how far the engine's loading is, from a thread: a terminal that takes nothing shall not stop the server."""
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(engine, what, over, quiet), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_BAR_S)


def _show(engine: EngineClient, what: str, over: threading.Event, quiet: bool) -> None:
    from undiced.cli.terminal import Bar

    with Bar(f"Packing weights{what}", quiet=quiet) as bar:
        while not over.wait(_POLL_S):
            health = engine.health
            bar.share(health.progress, f"{health.detail.capitalize()}{what}" if health.detail else "")
