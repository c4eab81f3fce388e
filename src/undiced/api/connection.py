"""Connections: how many there may be, what each may send and hold, how long nothing may happen, and how they end.

Requests are read one after the other; what a client sends ahead of its answer waits, within bounds. Knows no endpoint:
the application answers, and what it can't know of (no HTTP, too large a head, too late) is answered here.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from undiced.api.door import Door, too_many, turn_away
from undiced.api.errors import RequestTimeoutError, error_body, new_request_id, retry_headers
from undiced.api.exchange import Exchange
from undiced.api.http1 import END, Head, Reader
from undiced.api.open_files import TURNED_AWAY, affordable
from undiced.api.request_log import Entry, entry_of
from undiced.api.strangers import Strangers
from undiced.core.errors import ShuttingDownError, UndicedError

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from undiced.api.budget import Budget
    from undiced.api.settings import Settings

_LINGERING = 512  # connections that may wait for their client's end at once; more are cut
_AHEAD = 64 << 10  # bytes that may wait to be read or taken before nothing more is read
_PIECES_A_TURN = 4  # pieces of a body that are read before others get a turn
_PARTING_S = 0.5  # for clients to take their leave when the server ends
_Silence = Literal["head", "body", "idle", "linger", ""]


def connection_class(settings: Settings, budget: Budget) -> type[Connection]:
    """The protocol of a server with these limits; what its connections hold is counted in the budget."""

    class Bounded(Connection):
        door = Door(settings, budget, affordable(settings.max_connections), Strangers(settings.max_strangers))

    return Bounded


class Connection(asyncio.Protocol):
    """One client's connection."""

    door: Door
    transport: asyncio.Transport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.config = config
        self.app = config.loaded_app
        self.loop = _loop or asyncio.get_running_loop()
        self.server = server_state
        self.app_state = app_state
        self.limits = self.door.limits
        self.writable = asyncio.Event()
        self.writable.set()
        self._reader = Reader(self.limits.max_head_bytes)
        self._held = self.door.budget.hold()
        self.exchange: Exchange | None = None
        self._scope: Scope = {}
        self._silence: _Silence = ""
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None
        self._dropped = 0  # bytes of a request that was answered before it had ended
        self._new = True
        self._paused = False
        self._deaf = False  # what comes in is thrown away

    # From the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or turn it away."""
        self.transport = transport
        self.server.connections.add(self)  # type: ignore[arg-type]
        count = len(self.server.connections) - len(self.door.lingering)
        if count > self.door.most + TURNED_AWAY:
            transport.abort()
            return
        if count > self.door.most and not self.door.strangers.make_room():
            self.app = turn_away
        self._scope = {
            "type": "http",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.3"},
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "root_path": self.config.root_path,
        }
        self.door.strangers.came(self)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        self.server.connections.discard(self)
        self.door.lingering.discard(self)
        self.door.strangers.left(self)
        for handle in (self._timer, self._unread, self._turn):
            if handle is not None:
                handle.cancel()
        self._timer = self._unread = self._turn = None
        if self.exchange is not None:
            self.exchange.leave()
            self.exchange.body = bytearray()
            self.exchange = None
        self.writable.set()
        self._reader = Reader(0)
        self._held.resize(0)

    def data_received(self, data: bytes) -> None:
        """Read what came in, or throw it away if it can't be answered any more."""
        if self._deaf:
            self._drop(len(data))
            return
        self._reader.feed(data)
        if self._turn is None:
            self._read()

    def eof_received(self) -> None:
        """A client that sends no more is gone, as it always was."""

    def pause_writing(self) -> None:
        """The client does not read; not for ever."""
        self.writable.clear()
        self._unread = self.loop.call_later(self.limits.read_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads on."""
        self.writable.set()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if self.exchange is not None:
            self.exchange.ready()

    # From the server

    def shutdown(self) -> None:
        """The server ends: now if nothing runs here, else after the answer. Nobody waits for the rest of a request."""
        exchange = self.exchange
        if exchange is None or exchange.ended or exchange.gone:
            self._close()
        elif exchange.complete or exchange.started:
            exchange.keep_alive = False
        else:
            self.refuse(ShuttingDownError())
            self.loop.call_later(_PARTING_S, self._part)

    def give_way(self) -> None:
        """Another connection wants this one's place: what it has begun to send is refused, an idle one is closed."""
        exchange = self.exchange
        arrives = exchange is not None and not exchange.complete and not exchange.started
        if arrives or (self._silence == "head" and self._reader.in_head):
            self.refuse(too_many())
        else:
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self.loop.call_later(_PARTING_S, self._part)

    def _part(self) -> None:
        """Over TLS a close waits for the client's, which may never come. What it still has to read, it may read."""
        if not self.transport.get_write_buffer_size():
            self.transport.abort()

    # From the exchange

    def taken(self) -> None:
        """The application took what there was of the body."""
        self._account()
        self._pace()

    def answering(self, exchange: Exchange) -> None:
        """An answer begins. The connection can't go on if too much of the request would have to be thrown away."""
        if not exchange.complete and exchange.head.length > self.limits.linger_bytes:
            exchange.keep_alive = False

    def answered(self, exchange: Exchange) -> None:
        """An answer's last byte was written; its request may still be coming in."""
        self.server.total_requests += 1
        self.door.strangers.answered(self)
        if self.transport.is_closing():
            return
        if not exchange.keep_alive:
            self._linger()
            return
        self._dropped = len(exchange.body)
        exchange.body = bytearray()
        if exchange.complete:
            self.exchange = None
        if self._turn is None and self._reader.held:
            self._turn = self.loop.call_soon(self._read_on)
        self.taken()
        self._watch()

    def refuse(self, error: UndicedError) -> None:
        """Answer without the application, and close."""
        if self.transport.is_closing() or self in self.door.lingering:
            return
        exchange = self.exchange
        if exchange is not None:
            exchange.leave()
        if exchange is not None and exchange.started and not exchange.ended:
            self.transport.close()  # in the middle of an answer there is nothing to say
            return
        entry = self._entry(exchange)
        entry.status, entry.error = error.status, error.code
        entry.write()
        body = error_body(error, entry.request_id, entry.path)
        fields = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        fields |= retry_headers(error, self.limits.retry_after_s)
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n"
        if exchange is not None and exchange.head.method == "HEAD":
            body = b""
        self.transport.write(head.encode() + body)
        self._linger()

    def _entry(self, exchange: Exchange | None) -> Entry:
        """The log's entry of a request that the application did not answer; the application may have begun one."""
        if exchange is None:
            return entry_of({**self._scope, "method": "-", "raw_path": b"-"}, new_request_id())
        entry: Entry | None = exchange.scope.get("undiced.entry")
        if entry is None:  # the application has not begun; what it makes of the client's end is no second entry
            entry = exchange.scope["undiced.entry"] = entry_of(exchange.scope, new_request_id())
        return entry

    # Reading

    def _read_on(self) -> None:
        self._turn = None
        if not self.transport.is_closing() and self not in self.door.lingering:
            self._read()

    def _read(self) -> None:
        """Everything that can be read now; many small pieces take several turns."""
        try:
            for _ in range(_PIECES_A_TURN):
                if not self._read_next():
                    break
            else:
                self._turn = self._turn or self.loop.call_soon(self._read_on)
            self._account()
        except UndicedError as error:
            exchange = self.exchange
            if exchange is not None and exchange.complete and not exchange.ended:
                self._overrun(exchange)
            else:
                self.refuse(error)
        self._pace()
        self._watch()

    def _read_next(self) -> bool:
        """Read one head, or one piece of a body; False if there is none or it has to wait for an answer."""
        exchange = self.exchange
        if exchange is not None and exchange.complete:
            if not exchange.ended:
                return False
            exchange = self.exchange = None
        event = self._reader.next()
        if event is None or self in self.door.lingering or self.transport.is_closing():
            return False
        if isinstance(event, Head):
            self._begin(event)
        elif exchange is not None and event is END:
            exchange.finish()
        elif exchange is not None and exchange.ended:
            self._drop(len(event))
        elif exchange is not None and isinstance(event, bytes):
            exchange.take(event)
        return True

    def _begin(self, head: Head) -> None:
        scope = {
            **self._scope,
            "http_version": head.version,
            "method": head.method,
            "path": self.config.root_path + head.path,
            "raw_path": self.config.root_path.encode() + head.raw_path,
            "query_string": head.query,
            "headers": head.headers,
            "state": self.app_state.copy(),
        }
        self._new, self._dropped = False, 0
        self.exchange = Exchange(self, head, scope, self.server.default_headers)
        if head.length == 0:
            self.exchange.finish()
            self._reader.next()
        task = self.loop.create_task(self.exchange.run(self.app))
        self.server.tasks.add(task)
        task.add_done_callback(self.server.tasks.discard)

    def _drop(self, size: int) -> None:
        """Throw away what nobody wants, for a while: a client that still sends must not lose the answer."""
        self._dropped += size
        if self._dropped > self.limits.linger_bytes:
            self.transport.abort()

    def _account(self) -> None:
        waiting = len(self.exchange.body) if self.exchange is not None else 0
        self._held.resize(self._reader.held + waiting)

    def _pace(self) -> None:
        """Read no more while too much of a body waits. During an answer reading goes on, or nobody would notice that
        the client left; what it sends ahead then is bounded otherwise.
        """
        exchange = self.exchange
        if exchange is not None and exchange.complete and not exchange.ended:
            much = False
            if self._reader.held > self.limits.max_head_bytes + self.limits.max_body_bytes:
                self._overrun(exchange)
        else:
            waiting = len(exchange.body) if exchange is not None else 0
            much = max(self._reader.held, waiting) > _AHEAD and not self._deaf
        if much != self._paused and not self.transport.is_closing():
            self._paused = much
            (self.transport.pause_reading if much else self.transport.resume_reading)()

    def _overrun(self, exchange: Exchange) -> None:
        """More was sent ahead than can be kept: this answer is the connection's last one."""
        exchange.keep_alive = False
        self._deaf, self._reader = True, Reader(0)
        self._held.resize(0)

    # Ending

    def _linger(self) -> None:
        """Send the end, and read on until the client has it: what is sent to a closed connection destroys the answer
        on its way (RFC 9112 section 9.6).
        """
        if len(self.door.lingering) >= _LINGERING or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.door.lingering.add(self)
        self._deaf, self._reader = True, Reader(0)
        self._pace()
        self._held.resize(0)
        self._watch()
        self.transport.write_eof()

    def _watch(self) -> None:
        """Restart the timer if the connection is now silent for another reason than before."""
        now = self._reason()
        if now == self._silence or self.transport.is_closing():
            return
        self._silence = now
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if now:
            self._timer = self.loop.call_later(self._patience_s(now), self._late)

    def _patience_s(self, silence: _Silence) -> float:
        if silence in ("linger", "body"):
            return self.limits.linger_s
        usual = self.limits.head_timeout_s if silence == "head" else float(self.config.timeout_keep_alive)
        return min(usual, self.limits.stranger_s) if self in self.door.strangers else usual

    def _reason(self) -> _Silence:
        if self in self.door.lingering:
            return "linger"
        exchange = self.exchange
        if exchange is not None and not exchange.ended:
            return ""  # somebody works on an answer
        if exchange is not None and not exchange.complete:
            return "body"
        return "head" if self._new or self._reader.in_head else "idle"

    def _late(self) -> None:
        self._timer = None
        if self._silence == "head" and self._reader.in_head:
            self.refuse(RequestTimeoutError("The request's headers did not arrive in time.", remedy="Send it again."))
        elif self._silence == "linger" and self.transport.get_write_buffer_size():
            self._timer = self.loop.call_later(self.limits.read_timeout_s, self.transport.abort)  # it reads slowly
        elif self._silence in ("linger", "body"):
            self.transport.abort()  # the answer was sent long ago, and what comes in is thrown away
        else:
            self.transport.close()
