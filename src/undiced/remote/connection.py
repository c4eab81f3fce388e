"""Connection: the HTTP process's end of the link to one engine process: frames in, frames out. Decides nothing.

A thread in native code reads the socket, without the interpreter's lock: tokens that may take a short way to their
clients (`Way`) do so there, whatever this process is busy with. All else is handed out on the event loop.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from undiced.core.errors import EngineError
from undiced.remote.frames import Failed, Failure, FromEngine, ToEngine, client_reader, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced._native import Relay


class Connection:
    """Hands each message to `received` as it comes, and calls `lost` when no more will.

    Attributes:
        closed: set once the other end has closed and all it sent was handed over.
    """

    def __init__(self, received: Callable[[FromEngine], None], lost: Callable[[], None], relay: Relay) -> None:
        self._received, self._lost, self._relay = received, lost, relay
        self._reader = client_reader()
        self._socket: socket.socket | None = None
        self._bell = -1
        self._unsent = bytearray()
        self.closed = asyncio.Event()

    def open(self, sock: socket.socket) -> None:
        """Begin. The socket is this connection's from now on."""
        sock.setblocking(True)  # for the thread that reads; what is sent from here does not wait
        self._socket, self._bell = sock, self._relay.start(sock.fileno())
        asyncio.get_running_loop().add_reader(self._bell, self._read)

    def _read(self) -> None:
        ended = self._relay.ended  # what came before is left already
        try:
            while frame := self._relay.take():
                for message in self._reader.feed(frame):
                    self._received(message)
        except EngineError as error:  # not our frames: nothing that follows can be trusted
            self._received(Failed(Failure.of(error)))
            ended = True
        if ended:
            self.abort()

    def send(self, message: ToEngine) -> None:
        """Send a frame; dropped if the engine is gone, which its supervisor will notice."""
        if self._socket is None:
            return
        frame = encode(message)
        if not self._unsent:
            frame = frame[self._sent(self._socket, frame) :]
            if not frame:
                return
            asyncio.get_running_loop().add_writer(self._socket.fileno(), self._flush)
        self._unsent += frame

    def _sent(self, sock: socket.socket, data: bytes | bytearray) -> int:
        try:
            return sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:  # the engine is gone
            return len(data)

    def _flush(self) -> None:
        assert self._socket is not None
        del self._unsent[: self._sent(self._socket, self._unsent)]
        if not self._unsent:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())

    def abort(self) -> None:
        """Read and send nothing more."""
        if self._socket is None:
            return
        loop, sock, self._socket = asyncio.get_running_loop(), self._socket, None
        loop.remove_reader(self._bell)
        loop.remove_writer(sock.fileno())
        self._relay.stop()
        sock.close()
        loop.call_soon(self._gone)

    def _gone(self) -> None:
        self.closed.set()
        self._lost()
