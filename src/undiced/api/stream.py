"""An answer as an HTTP response: server-sent events, or the same pieces folded into one JSON object. Nothing ends
silently.

A stream's headers leave with its first piece, so that an error before it still has its own HTTP status.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.anthropic.errors import PATHS
from undiced.api.chunks import Folded
from undiced.api.encoding import encode
from undiced.api.errors import ENDS, ClientClosedError, error_response
from undiced.api.exchange import OUTLET
from undiced.api.standing import STANDING
from undiced.core.errors import EngineError, ShuttingDownError, UndicedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from undiced.api.answer import Answer
    from undiced.api.exchange import Outlet
    from undiced.api.meter import Admit, Bill
    from undiced.api.writer import Writer
    from undiced.text import Piece

_CANCEL_GRACE_S = 5.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_log = logging.getLogger("undiced.api")


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is sent.

    Attributes:
        stream: as events.
    """

    request_id: str
    headers: Mapping[str, str]
    stream: bool


class AnswerResponse(Response):
    """Sends an answer, watches for the client's departure, keeps a silent stream alive."""

    def __init__(self, answer: Answer, writer: Writer, form: Form, admit: Admit | None = None) -> None:
        self.service = answer.service
        self.answer = answer
        self.writer = writer
        self.form = form
        self._admit = admit
        self._bill: Bill | None = None
        self._started = False
        self._over = False
        self._sent = False  # the whole answer, to the connection
        self._failed = False  # by our fault
        self._starting = asyncio.Lock()
        self._written_s = 0.0
        self._left = len(answer.choices)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; returns when the last byte is handed over or the client is gone."""
        task = asyncio.current_task()
        assert task is not None
        self._written_s = monotonic()
        scope["undiced.entry"].answer = self.answer
        self.service.running.add(task)
        self.service.answers[self.writer.head.id] = self.answer
        helpers = [asyncio.create_task(self._watch(task, receive))]
        if self.form.stream:
            helpers.append(asyncio.create_task(self._keep_alive(send)))
        try:
            if self._admit is not None:
                await self._begin_bill(self._admit, scope)
            await (self._events(scope, send) if self.form.stream else self._object(scope, receive, send))
        except UndicedError as error:
            self._failed = not isinstance(error, ClientClosedError)
            await self._fail(error, scope, receive, send)
        except asyncio.CancelledError:
            if self.service.state != "stopped":
                raise
            task.uncancel()
            self._failed = True
            await self._fail(ShuttingDownError(), scope, receive, send)
        except ENDS:
            raise
        except BaseException:
            _log.exception("request %s failed", self.form.request_id)
            self._failed = True
            await self._fail(
                EngineError("The server failed while it worked on this request.", remedy="Try again."),
                scope,
                receive,
                send,
            )
        finally:
            if self._bill is not None and self.form.stream:
                self._end_bill(self._bill)
            elif self._bill is not None:  # once its bytes have left: what nobody gets costs nothing, though we die now
                asyncio.get_running_loop().call_soon(self._end_bill, self._bill)
            self._over = True
            self.service.running.discard(task)
            self.service.answers.pop(self.writer.head.id, None)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _begin_bill(self, admit: Admit, scope: Scope) -> None:
        """Wait until the caller's limits and balance have room; an answer may become shorter by it."""
        self._bill = await admit(anthropic=scope["path"] in PATHS)
        scope[STANDING] = self._bill.headers
        self.answer.shorten(self._bill.max_tokens)

    def _end_bill(self, bill: Bill) -> None:
        """What was handed over counts, and what was computed for a client that left; an answer that failed by our fault
        before anything of it was handed over does not, nor one of which nothing was computed.
        """
        counts, reason = self.answer.account()
        if self._sent:
            bill.told(counts.completion_tokens)
        failed = (self._failed or reason == "error") and not bill.handed
        if failed or not (counts.prompt_tokens or counts.completion_tokens):
            bill.release("error" if failed else reason)
        else:
            bill.settle(counts, reason)
            if (own := self.answer.own) is not None:
                own.charged(self.answer.deployment.card.id, counts)

    async def _events(self, scope: Scope, send: Send) -> None:
        outlet: Outlet = scope[OUTLET]
        outlet.ready = self.answer.resume
        await self.answer.run(partial(self._write, outlet), partial(self._start, send))
        self._over = True
        await send({"type": "http.response.body", "body": self.writer.end(self.answer.tally), "more_body": False})

    def _write(self, outlet: Outlet, pieces: list[Piece]) -> bool:
        """Write pieces, past the layers in between; False while the client is behind."""
        if self._expresses and len(pieces) == 1 and self._express(outlet, pieces[0]):
            return True
        data, writer = b"", self.writer
        for piece in pieces:
            if piece.finish is None:
                data += writer.piece(piece)
            else:
                self._left -= 1
                data += writer.finish(piece, None if self._left else self.answer.tally)
        if not data:
            return True
        self._written_s = monotonic()
        goes_on = outlet.put(data)
        if self._bill is not None:
            self._bill.told(self.answer.tokens)
        return goes_on

    @property
    def _expresses(self) -> bool:
        """Whether tokens may go past this."""
        return len(self.answer.choices) == 1

    def _express(self, outlet: Outlet, piece: Piece) -> bool:
        """Write a piece so that the tokens that follow go past this while they are plain. False if it can't be so."""
        if piece.finish is not None or not piece.text or (around := self.writer.around(piece)) is None:
            return False
        meter = None if self._bill is None else self._bill.meter(self.answer.tokens)
        if self._bill is not None and meter is None:
            return False
        return self.answer.express(encode(piece.text), around, outlet, meter)

    async def _object(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = [choice.request.sampling.logprobs >= 0 for choice in self.answer.choices]
        folded = [Folded(at, logprobs=[] if rows else None) for at, rows in enumerate(asked)]
        await self.answer.run(partial(self._add, folded))
        body = self.writer.whole(folded, self.answer.tally)
        await Response(body, headers=self.form.headers, media_type="application/json")(scope, receive, send)
        self._sent = True

    def _add(self, folded: list[Folded], pieces: list[Piece]) -> bool:
        for piece in pieces:
            self.writer.fold(folded[piece.index], piece)
        return True

    async def _start(self, send: Send) -> None:
        async with self._starting:
            if self._started:
                return
            extra = [(name.encode(), value.encode()) for name, value in self.form.headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *extra]})
            self._started = True

    async def _fail(self, error: UndicedError, scope: Scope, receive: Receive, send: Send) -> None:
        scope["undiced.entry"].error = error.code
        if not self._started:
            wait_s = self.service.settings.retry_after_s
            response = error_response(error, self.form.request_id, path=scope["path"], retry_after_s=wait_s)
            await response(scope, receive, send)
            return
        self._over = True
        self.service.metrics.stream_errors.labels(self.answer.deployment.card.id, error.code).inc()
        await send(
            {"type": "http.response.body", "body": self.writer.failure(error, self.form.request_id), "more_body": False}
        )

    async def _watch(self, task: asyncio.Task[object], receive: Receive) -> None:
        """Wait for the client to leave, and end its sequences; the task too if the engine does not react."""
        while (await receive())["type"] != "http.disconnect":
            pass
        if self._over:
            return
        self.answer.cancel()
        await asyncio.sleep(_CANCEL_GRACE_S)
        task.cancel()

    async def _keep_alive(self, send: Send) -> None:
        """Write a comment whenever the stream was silent for too long."""
        keepalive_s = self.service.settings.keepalive_s
        while True:
            await asyncio.sleep(max(0.01, self._written_s + keepalive_s - monotonic()))
            self._written_s = max(self._written_s, self.answer.said_s)
            if self._over or monotonic() - self._written_s < keepalive_s:
                continue
            await self._start(send)
            self._written_s = monotonic()
            await send({"type": "http.response.body", "body": self.writer.alive(), "more_body": True})
