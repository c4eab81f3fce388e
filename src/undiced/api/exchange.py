"""One request and its answer on a connection, as the application sees them (ASGI). Knows how an answer is written, not
how a request is read.

A streamed token is one write: the length of its chunk, its bytes and the line end. It does not come as an ASGI message,
which would take a task, but through the `Outlet` in the scope.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from undiced.api.errors import ENDS
from undiced.core.errors import EngineError, UndicedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Scope

    from undiced.api.http1 import Head

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WITHOUT_BODY = (204, 304)
OUTLET = "undiced.outlet"
_GONE: Message = {"type": "http.disconnect"}
_log = logging.getLogger("undiced.api")


def _do_nothing() -> None:
    """Nobody waits."""


class Line(Protocol):
    """What an exchange needs from its connection.

    Attributes:
        transport: takes bytes for the client; writable: set while the client reads them.
    """

    transport: asyncio.Transport
    writable: asyncio.Event

    def taken(self) -> None:
        """The application took what there was of the body."""

    def answering(self, exchange: Exchange) -> None:
        """An answer begins; the last moment to decide whether the connection goes on after it."""

    def answered(self, exchange: Exchange) -> None:
        """An answer is complete."""

    def refuse(self, error: UndicedError) -> None:
        """Answer with an error if no answer has begun, and close."""


class Outlet(Protocol):
    """The way out for the body of an answer that is made while it is sent; an ASGI scope has one as `OUTLET`.

    Attributes:
        ready: called when the client has caught up, after `put` said that it is behind.
    """

    ready: Callable[[], None]

    def put(self, body: bytes) -> bool:
        """Write the next part of an answer that has begun and not ended. False if the client is behind."""

    def direct(self, settle: Callable[[], None]) -> tuple[int, Callable[[bytes], None]] | None:
        """The number of the client's socket, and what takes what that does not take. Chunks of this answer may be
        written to it until `settle` is called, which is so before anything else is written, and before the socket is
        closed. None if bytes wait to be written, or are not written as they are.
        """


class Exchange:
    """A request on its way in and its answer on its way out.

    Attributes:
        keep_alive: the connection goes on afterwards.
        body: what came of the request's body and was not taken; complete: all of it came.
        started, ended: the answer's first and last byte were written.
        gone: nobody reads the answer any more.
        ready: as of `Outlet`, which this is.
    """

    def __init__(self, line: Line, head: Head, scope: Scope, fields: list[tuple[bytes, bytes]]) -> None:
        self.line = line
        self.head = head
        self.scope = scope
        self.ready: Callable[[], None] = _do_nothing
        self.keep_alive = head.keep_alive
        self.body = bytearray()
        self.complete = self.started = self.ended = self.gone = False
        self._fields = fields
        self._waiting = head.continues
        self._delivered = False
        self._change = asyncio.Event()
        self._put = line.transport.write
        self._settle: Callable[[], None] | None = None  # as of `Outlet.direct`
        self._socket: int | None = None  # its number; -1 if what is written is encrypted on its way
        self._flows = False  # an answer in chunks has begun and not ended
        self._opening = b""  # status line and headers; they leave with the first bytes of the body
        self._chunked = False
        self._left: int | None = None  # of a body whose length was announced

    def take(self, piece: bytes) -> None:
        """A piece of the request's body came."""
        self.body += piece
        self._change.set()

    def finish(self) -> None:
        """All of the request came."""
        self.complete, self._waiting = True, False
        self._change.set()

    def leave(self) -> None:
        """The client left, or was refused."""
        self._close_way()
        self.gone = True
        self._change.set()

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer. Whatever it does, the client gets an answer or sees the connection end."""
        self.scope[OUTLET] = self
        try:
            await app(self.scope, self.receive, self.send)
        except ENDS:
            raise
        except BaseException:
            _log.exception("an answer failed")
        finally:
            self._close_way()
            del self.scope[OUTLET]
            self.ready = _do_nothing
            if not self.ended and not self.gone:
                message = "The server failed while it worked on this request."
                self.line.refuse(EngineError(message, remedy="Try again."))

    async def receive(self) -> Message:
        """The next piece of the request's body; after the last one the end of the answer, or of the client."""
        if self._waiting and not self.started:
            self._put(_CONTINUE)
        self._waiting = False
        while not (self.gone or self.ended):
            if self.body or (self.complete and not self._delivered):
                piece, self._delivered = bytes(self.body), self.complete
                self.body = bytearray()
                self.line.taken()
                return {"type": "http.request", "body": piece, "more_body": not self.complete}
            self._change.clear()
            await self._change.wait()
        return _GONE

    async def send(self, message: Message) -> None:
        """Write the next part of the answer; waits while the client does not read.

        Raises:
            RuntimeError: parts out of order, or a body of another length than announced.
        """
        if not self.line.writable.is_set() and not self.gone:
            await self.line.writable.wait()
        self._close_way()
        if self.gone:
            return
        if self.ended or self.started == (message["type"] == "http.response.start"):
            raise RuntimeError(f"{message['type']} out of order")
        if not self.started:
            self._start(message["status"], message.get("headers", ()))
            return
        self._write(message.get("body", b""), last=not message.get("more_body", False))

    def put(self, body: bytes) -> bool:
        """As of `Outlet`."""
        self._close_way()
        if self._flows and not self.gone:
            self._put(b"%x\r\n%b\r\n" % (len(body), body))
        elif not self.gone:
            if self.ended or not self.started:
                raise RuntimeError("a part of an answer out of order")
            self._write(body, last=False)
        return self.line.writable.is_set()

    def direct(self, settle: Callable[[], None]) -> tuple[int, Callable[[bytes], None]] | None:
        """As of `Outlet`."""
        transport = self.line.transport
        if not self._flows or self.gone or transport.get_write_buffer_size() or transport.is_closing():
            return None
        if self._socket is None:
            plain = transport.get_extra_info("sslcontext") is None
            sock = transport.get_extra_info("socket") if plain else None
            self._socket = -1 if sock is None else sock.fileno()
        if self._socket < 0:
            return None
        self._settle = settle
        return self._socket, self._put

    def _close_way(self) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle()

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        length = next((value for name, value in headers if name == b"content-length"), None)
        if any(name == b"connection" and value == b"close" for name, value in headers):
            self.keep_alive = False
        if self._waiting:
            self.keep_alive = False  # whether the body still comes is the client's choice, and can't be known
        if self.head.method == "HEAD" or status in _WITHOUT_BODY:
            self._left = -1
        elif length is not None:
            self._left = int(length)
        elif self.head.version == "1.1":
            self._chunked = True
        else:
            self.keep_alive = False  # the end of the connection is the end of the body
        self.line.answering(self)
        lines = [b"%b: %b\r\n" % field for field in (*self._fields, *headers) if field[0] != b"connection"]
        head = _STATUS_LINES[status] + b"".join(lines)
        if head.count(b"\n") != len(lines) + 1:
            raise RuntimeError("a header holds a line end")
        self._opening = head + self._ending()
        self.started, self._waiting = True, False

    def _ending(self) -> bytes:
        coding = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        if not self.keep_alive:
            return coding + b"connection: close\r\n\r\n"
        return coding + (b"connection: keep-alive\r\n\r\n" if self.head.version == "1.0" else b"\r\n")

    def _write(self, body: bytes, *, last: bool) -> None:
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data = data + b"0\r\n\r\n" if last else data
        elif self._left is None:
            data = body
        else:
            data = self._counted(body, last=last)
        if self._opening:
            data, self._opening = self._opening + data, b""
        if data:
            self._put(data)
        self._flows = self._chunked and not last
        if last:
            self.ended = True
            self._change.set()
            self.line.answered(self)

    def _counted(self, body: bytes, *, last: bool) -> bytes:
        assert self._left is not None
        if self._left < 0:
            return b""
        self._left -= len(body)
        if self._left < 0 or (last and self._left):
            raise RuntimeError("the body has another length than its headers say")
        return body
