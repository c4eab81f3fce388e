"""Connection: the HTTP process's end of the link to one engine process: frames in, frames out. Decides nothing.

Tokens that may take a short way to their clients (`Way`) do so before anything is decoded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from undiced.core.errors import EngineError
from undiced.remote.frames import Failed, Failure, FromEngine, ToEngine, client_reader, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced._native import Relay


class Connection(asyncio.Protocol):
    """Hands each message to `received` as it comes, and calls `lost` when no more will.

    Attributes:
        closed: set once the other end has closed and all it sent was handed over.
    """

    def __init__(self, received: Callable[[FromEngine], None], lost: Callable[[], None], relay: Relay) -> None:
        self._received, self._lost, self._relay = received, lost, relay
        relay.reset()
        self._reader = client_reader()
        self._transport: asyncio.WriteTransport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        if (rest := self._relay.feed(data)) is None:
            return
        try:
            for message in self._reader.feed(rest):
                self._received(message)
        except EngineError as error:  # not our frames: nothing that follows can be trusted
            self._received(Failed(Failure.of(error)))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._lost()

    def send(self, message: ToEngine) -> None:
        """Send a frame; dropped if the engine is gone, which its supervisor will notice."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(message))

    def abort(self) -> None:
        """Read and send nothing more."""
        if self._transport is not None:
            self._transport.abort()
