"""Connections: how many there may be, how long and how large a request's head may be, and how long nothing may happen.

A request's body is bounded where it is read, its answer where it is made; here is what no endpoint sees.
"""

from __future__ import annotations

import asyncio
import resource
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from undiced.api.errors import HeadTooLargeError, RequestTimeoutError, error_body, error_response, new_request_id
from undiced.api.settings import Settings
from undiced.core.errors import InvalidRequestError, UnavailableError, UndicedError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_TURNED_AWAY = 64  # connections over the limit that are told so; more are dropped
_FILES_BESIDE = 128  # open files that are no connections
_Silence = Literal["head", "body", "idle", ""]


def affordable(connections: int) -> int:
    """Connections that the process may have, after it raised its own limit of open files as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _TURNED_AWAY + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = connections if soft == resource.RLIM_INFINITY else soft - _TURNED_AWAY - _FILES_BESIDE
    return max(1, min(connections, room))


def connection_class(settings: Settings) -> type[Connection]:
    """The protocol of a server with these limits."""

    class Bounded(Connection):
        limits = settings
        most = affordable(settings.max_connections)

    return Bounded


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    """The whole application of a connection over the limit."""
    error = UnavailableError("The server has too many connections.", remedy="Try again in a few seconds.")
    await error_response(error, new_request_id(), headers={"connection": "close"})(scope, receive, send)


class Connection(HttpToolsProtocol):
    """One client's connection.

    Attributes:
        limits: of the server; most: connections at once.
    """

    limits = Settings()
    most = limits.max_connections
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _silence: _Silence = ""
    _in_head = False  # a request's head has begun and is not complete
    _in_body = False  # the head is complete and the body is not
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or turn it away."""
        super().connection_made(transport)
        if len(self.connections) > self.most + _TURNED_AWAY:
            transport.abort()
            return
        if len(self.connections) > self.most:
            self.app = _turn_away
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._silence = ""
        self._disarm()
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and bound what a head may hold."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.max_head_bytes:
                self._refuse(HeadTooLargeError(f"The request's headers exceed {self.limits.max_head_bytes} bytes."))
        self._watch()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """A request that the application answers."""
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request's last byte."""
        super().on_message_complete()
        self._in_body = False

    def on_response_complete(self) -> None:
        """An answer's last byte; its request may still be coming in."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """The client does not read; not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.read_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads on."""
        super().resume_writing()
        self._read_on()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so in JSON."""
        self._refuse(InvalidRequestError(msg))

    def _watch(self) -> None:
        """Restart the timer if the connection is now silent for another reason than before."""
        now = self._reason()
        if now == self._silence or self.transport.is_closing():
            return
        self._silence = now
        self._disarm()
        seconds = {"head": self.limits.head_timeout_s, "body": self.limits.linger_s, "idle": self.timeout_keep_alive}
        if now:
            self._timer = self.loop.call_later(seconds[now], self._late)

    def _reason(self) -> _Silence:
        if self.cycle is not None and not self.cycle.response_complete:
            return ""  # somebody works on an answer
        if self._in_head or self.cycle is None:
            return "head"
        return "body" if self._in_body else "idle"

    def _late(self) -> None:
        if self._silence == "head" and self._in_head:
            self._refuse(RequestTimeoutError("The request's headers did not arrive in time.", remedy="Send it again."))
        elif self._silence == "body":
            self.transport.abort()  # the answer was sent long ago, and what comes in is thrown away
        else:
            self.transport.close()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _refuse(self, error: UndicedError) -> None:
        """Answer without the application, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = error_body(error, new_request_id())
            head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\ncontent-type: application/json\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
