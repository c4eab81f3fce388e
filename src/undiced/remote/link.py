"""Link: the engine process's end of the socket.

Never makes a step wait: reads only what is there, keeps what cannot be sent yet.
"""

from __future__ import annotations

import select
import socket

from undiced.remote.frames import FromEngine, ToEngine, encode, engine_reader

_READ_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 20


class LinkClosedError(Exception):
    """The other process is gone."""


class Link:
    """A connected stream socket, which does not block from now on."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._socket.setblocking(False)
        self._reader = engine_reader()
        self._unsent = bytearray()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def send(self, message: FromEngine) -> None:
        """Send a frame, or keep it until the other side reads again; what is kept is bounded by the tokens of the
        running requests.
        """
        frame = encode(message)
        if not self._unsent:
            sent = self._try(frame)
            if sent == len(frame):
                return
            frame = frame[sent:]
            self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)
        self._unsent += frame

    def receive(self, wait_s: float | None) -> list[ToEngine]:
        """Messages that have come, at most one read's worth, so that a flood of requests does not hold up a step.

        Sleeps for at most `wait_s` seconds until there is something; with None until there is a message.

        Raises:
            LinkClosedError: the other side has closed.
        """
        messages: list[ToEngine] = []
        timeout_ms = None if wait_s is None else round(wait_s * 1000)
        while not messages:
            events = self._poll.poll(timeout_ms)
            if events and events[0][1] & select.POLLOUT:
                self._flush()
            if events and events[0][1] & ~select.POLLOUT:
                messages.extend(self._reader.feed(self._read()))
            if wait_s is not None:
                break
        return messages

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise LinkClosedError from error
        if not data:
            raise LinkClosedError
        return data

    def _try(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkClosedError from error

    def _flush(self) -> None:
        del self._unsent[: self._try(self._unsent)]
        if not self._unsent:
            self._poll.modify(self._socket, select.POLLIN)

    def drain(self, timeout_s: float) -> None:
        """Send what is kept, for at most `timeout_s`."""
        self._socket.settimeout(timeout_s)
        unsent, self._unsent = self._unsent, bytearray()
        try:
            self._socket.sendall(unsent)
        except OSError as error:
            raise LinkClosedError from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
