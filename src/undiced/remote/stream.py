"""Stream: one sequence as the HTTP process sees it: an async iterator of deltas.

Knows frames to send, but no socket and no process. Deltas that nobody has read yet are merged, so a slow reader costs
one delta of memory and never holds up the engine.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from undiced.remote.frames import Cancel, Finish
from undiced.serve.delta import Delta
from undiced.serve.usage import FinishReason, UsageEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.core.errors import UndicedError
    from undiced.serve.request import Request


class Stream:
    """Iterate to the end, or call `cancel`; used as an async context manager it cancels itself.

    The last delta has `usage` and no tokens: whoever reads it has seen all tokens and can no longer `finish`. An
        engine failure raises EngineError instead, after the tokens that came before it.
    Whatever happens, `on_usage` is called exactly once if the engine accepted the sequence.
    """

    def __init__(
        self,
        request: Request,
        send: Callable[[Cancel | Finish], None],
        on_usage: Callable[[UsageEvent], None],
        now: float,
    ) -> None:
        self.request = request
        self.usage: UsageEvent | None = None
        self._send = send
        self._on_usage = on_usage
        self._submitted_s = now
        self._first_s: float | None = None
        self._received = 0
        self._accepted = False
        self._pending: Delta | None = None
        self._error: UndicedError | None = None
        self._account: UsageEvent | None = None  # set once the engine has said its last about the sequence
        self._deaf = False  # cancelled or finished: further tokens are not handed out
        self._cut: tuple[int, FinishReason] | None = None
        self._exhausted = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the engine has said its last about the sequence; the reader may not have read it yet."""
        return self._account is not None

    # for the reader

    async def accepted(self) -> None:
        """Wait until the engine has queued the request.

        Raises:
            QueueFullError, InvalidRequestError, ContextLengthError, UnavailableError, EngineError: it has not.
        """
        while not self._accepted and not self.ended:
            await self._wait()
        if not self._accepted and self._error is not None:
            raise self._error

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Delta:
        while self._pending is None:
            if self._exhausted:
                raise StopAsyncIteration
            if self.ended:
                self._exhausted = True
                self._report()
                raise self._error or StopAsyncIteration
            await self._wait()
        delta, self._pending = self._pending, None
        if delta.usage is None:
            return delta
        if delta.tokens:
            tokens, self._pending = delta.split()
            return tokens
        self._exhausted = True
        self._report()
        delta.usage = self.usage
        return delta

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End the sequence because nobody reads it any more; no effect if it has ended."""
        if not self._deaf and not self._exhausted:
            if not self.ended:
                self._send(Cancel(self.request.id))
            self._stop_listening()

    def finish(self, at_token: int, reason: FinishReason = "stop") -> None:
        """End the sequence as if it had stopped after `at_token` tokens; later ones are neither handed out nor counted.

        Iteration goes on to one last delta, with the account and no tokens. No effect if the last delta has been read.
        """
        if not self._deaf and not self._exhausted:
            self._cut = (at_token, reason)
            if not self.ended:
                self._send(Finish(self.request.id, at_token, reason))
            self._stop_listening()

    def _stop_listening(self) -> None:
        self._deaf = True
        if self._pending is not None:
            self._pending = self._last(self._pending.usage) if self._pending.usage is not None else None
        if self.ended:
            self._report()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _report(self) -> None:
        """Tell what was used, once; only now is it certain that no `finish` will come."""
        account = self._account
        if self.usage is not None or account is None or not self._accepted:
            return
        self.usage = account if self._cut is None or account.finish_reason == "error" else account.cut(*self._cut)
        self._on_usage(self.usage)

    def _last(self, usage: UsageEvent) -> Delta:
        """The last delta after `finish` or `cancel`: no tokens, the front end's reason if it gave one."""
        reason = self._cut[1] if self._cut is not None else usage.finish_reason
        return Delta(self.request.id, finish_reason=reason, usage=usage)

    # for the client

    def accept(self) -> None:
        """The engine has queued the request."""
        self._accepted = True
        self._wake()

    def push(self, delta: Delta, now: float) -> bool:
        """Take in what a step made of the sequence; False if that was the last."""
        self._received += len(delta.tokens)
        if self._first_s is None and delta.tokens:
            self._first_s = now
        if delta.usage is not None:
            self._account = delta.usage
        if not self._deaf:
            self._pending = delta if self._pending is None else _merge(self._pending, delta)
        elif delta.usage is not None:
            self._pending = self._last(delta.usage)
            self._report()
        self._wake()
        return delta.usage is None

    def fail(self, error: UndicedError, account: UsageEvent | None, now: float, source: str = "") -> None:
        """The engine has failed or refused; the reader gets `error` after what it has not read yet.

        `account` is the engine's own, None if it died without one.
        """
        self._error = error
        first = now if self._first_s is None else self._first_s
        self._account = account or UsageEvent(
            request_id=self.request.id,
            finish_reason="error",
            prompt_tokens=len(self.request.prompt),
            cached_tokens=0,
            completion_tokens=self._received,
            queue_s=0.0,
            prompt_s=first - self._submitted_s,
            completion_s=now - first,
            joules=math.nan,
            source=source,
            prompt_shared=self.request.prompt_shared,
            tag=self.request.tag,
        )
        if self._deaf:
            self._report()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _merge(earlier: Delta, later: Delta) -> Delta:
    """Both in one; `earlier` is ours alone, so its lists may grow."""
    earlier.tokens.extend(later.tokens)
    earlier.logprobs.extend(later.logprobs)
    earlier.top.extend(later.top)
    earlier.finish_reason = later.finish_reason
    earlier.stop_token = later.stop_token
    earlier.usage = later.usage
    return earlier
