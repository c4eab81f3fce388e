"""The sequences of one HTTP request while they run: submitted, turned into pieces, counted, paused, cancelled. Knows no
JSON and no HTTP.

A token passes through here in the turn of the event loop in which it arrives: no task waits for it. Or past it, where
it is plain text (`express`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from undiced.api.errors import ENDS, ClientClosedError
from undiced.api.meter import Counts
from undiced.api.tally import Tally
from undiced.core.errors import EngineError, ShuttingDownError, UndicedError
from undiced.remote.way import Way

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from undiced.api.choice import Choice
    from undiced.api.deployment import Deployment
    from undiced.api.exchange import Outlet
    from undiced.api.metrics import ModelMetrics
    from undiced.api.organization_metrics import OwnMetrics
    from undiced.api.ports import Running
    from undiced.api.service import Service
    from undiced.remote.way import Meter
    from undiced.serve import Delta, UsageEvent
    from undiced.text import Piece

    Tell = Callable[[list[Piece]], bool]  # takes pieces that came together; False asks for no more until `resume`


@dataclass(slots=True)
class Answer:
    """All choices of one request.

    Its account is what it says: a sequence that is cut short, for whatever reason, counts the tokens that were folded
    into pieces, and no other.

    Attributes:
        choices: ordered by index.
        started_s: `time.perf_counter` when the request arrived.
        org_id: of the organization whose it is; empty where there are none.
        tally: complete once `run` has returned.
    """

    service: Service
    deployment: Deployment
    choices: list[Choice]
    started_s: float
    org_id: str = ""
    tally: Tally = field(default_factory=Tally)
    _running: dict[int, Running] = field(default_factory=dict)  # in the order in which they go on after a pause
    _early: list[Piece] = field(default_factory=list)  # that came before the reader was ready
    _tell: Tell = field(init=False)
    _begun: asyncio.Future[None] = field(init=False)
    _over: asyncio.Future[None] = field(init=False)
    _paused: bool = False
    _cancelled: bool = False
    _closed: bool = False
    _failure: BaseException | None = None
    _told: bool = False

    async def run(self, tell: Tell, begin: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run every choice to its end. `tell` is called with pieces as they come, `begin` is awaited before. A failure
        of one choice ends all, after the pieces that came before it.

        Raises:
            UndicedError: the queue is full, the engine failed, the server shuts down or the client left.
        """
        if self._cancelled:  # the client left before it began
            raise ClientClosedError("The request was cancelled.")
        loop = asyncio.get_running_loop()
        self._tell, self._begun, self._over = self._keep, loop.create_future(), loop.create_future()
        try:  # all are submitted before anything is awaited: `cancel` must find them
            for choice in self.choices:
                take = partial(self._take, choice)
                self._running[choice.index] = self.deployment.engine.submit(choice.request, take)
            await self._begun
            if self._early and begin is not None:
                await begin()
            self._tell = tell
            if not self._early or tell(self._early) or self._cancelled:
                self.resume()
            await self._over
            if self._failure is not None:
                raise self._failure
            for each in self._figures:
                each.duration.observe(time.perf_counter() - self.started_s)
        finally:
            self._end()
            self.cancel()
            self._running.clear()
            del self._tell  # whoever is told holds this answer

    def resume(self) -> None:
        """The reader takes pieces again. The choice that could not say anything for longest goes first."""
        self._paused = False
        for index in list(self._running):
            if self._paused:
                return
            if (sequence := self._running.pop(index, None)) is not None:
                self._running[index] = sequence
                sequence.resume()

    def end_thoughts(self) -> int:
        """End the thoughts that are being thought, with their next token; returns of how many choices."""
        thinking = [choice for choice in self.choices if choice.index in self._running and choice.fold.thinking]
        for choice in thinking:
            self._running[choice.index].end_thought()
        return len(thinking)

    def express(
        self,
        text: bytes,
        around: tuple[bytes, bytes],
        outlet: Outlet,
        meter: Meter | None,
    ) -> bool:
        """Write a text in JSON that the only choice has just said, and let what it says next go to the client's socket
        as long as it is plain; `around` as of `Writer`. False if the text has to be written otherwise.
        """
        (choice,) = self.choices
        sequence = self._running.get(choice.index)
        if sequence is None or not choice.fold.clear or (found := outlet.direct(sequence.settle)) is None:
            return False
        socket, spill = found
        before, after = around
        way = Way(self.deployment.texts, socket, before + b'"', b'"' + after, choice.fold.passed, spill)
        return sequence.express(way, text[1:-1], meter)

    def settle(self) -> None:
        """Count what was said past this."""
        for sequence in self._running.values():
            sequence.settle()

    @property
    def said_s(self) -> float:
        """When something was last said past this, on `time.monotonic`."""
        return max((sequence.said_s for sequence in self._running.values()), default=0.0)

    def cancel(self) -> None:
        """Stop whatever still runs; nobody reads it any more."""
        if self._cancelled:
            return
        self.settle()
        self._cancelled = True
        for choice in self.choices:
            if (sequence := self._running.get(choice.index)) is not None:
                sequence.cancel(choice.fold.tokens)

    @property
    def tokens(self) -> int:
        """Tokens that were folded into pieces."""
        return sum(choice.fold.tokens for choice in self.choices)

    def shorten(self, max_tokens: int) -> None:
        """Let no choice be longer than that; before it runs."""
        self.choices = [
            replace(
                choice, request=structs.replace(choice.request, max_tokens=min(choice.request.max_tokens, max_tokens))
            )
            for choice in self.choices
        ]

    def account(self) -> tuple[Counts, str]:
        """What it used and why it ended. Of a choice that was cut off before its own account came, what was folded
        counts, and none of its prompt as if it had been computed anew.
        """
        tally, told = self.tally, {event.request_id: event for event in self.tally.events}
        missing = [choice for choice in self.choices if choice.request.id not in told]
        prompt = sum(len(one.request.prompt) for one in missing if one.fold.tokens and not one.request.prompt_shared)
        counts = Counts(
            tally.prompt_tokens + prompt,
            tally.cached_tokens + prompt,
            tally.completion_tokens + sum(choice.fold.tokens for choice in missing),
            tally.reasoning_tokens + sum(choice.fold.reasoning for choice in missing),
        )
        reasons = {event.finish_reason for event in told.values()} | {"cancelled" for _ in missing}
        failed = self._failure is not None and not isinstance(self._failure, ClientClosedError)
        return counts, "error" if failed or "error" in reasons else ",".join(sorted(reasons))

    @property
    def own(self) -> OwnMetrics | None:
        """The metrics of its organization, if it has one."""
        return self.service.metrics.organizations.of(self.org_id) if self.org_id else None

    @property
    def _figures(self) -> Iterator[ModelMetrics | OwnMetrics]:
        yield self.service.metrics.of(self.deployment.card.id)
        if (own := self.own) is not None:
            yield own

    def _take(self, choice: Choice, found: Delta | UndicedError) -> None:
        """What the engine says of a choice. Whatever goes wrong is this answer's failure, not the engine's."""
        if self._closed:
            return
        try:
            if isinstance(found, UndicedError):
                self._failure = found
            else:
                self._push(choice, found)
        except ENDS:
            raise
        except BaseException as error:
            self._failure = error
        if self._failure is not None:
            self._end()
            self.cancel()  # now: what the others say from here on is told to nobody
        elif not self._running:
            self._end()

    def _push(self, choice: Choice, delta: Delta) -> None:
        sequence = self._running[choice.index]
        if delta.usage is not None:
            self._ended(choice, delta.usage)
            if self._failure is not None:
                return
        pieces = choice.push(delta, sequence)
        if not pieces:
            return
        if not self._told and any(piece.tokens for piece in pieces):
            self._told = True
            for each in self._figures:
                each.ttft.observe(time.perf_counter() - self.started_s)
        if not self._tell(pieces):
            self._pause()

    def _keep(self, pieces: list[Piece]) -> bool:
        """Take the first pieces while the reader makes ready."""
        self._early += pieces
        if not self._begun.done():
            self._begun.set_result(None)
        return False

    def _pause(self) -> None:
        if self._cancelled:  # only ends are still to come
            return
        self._paused = True
        for sequence in self._running.values():
            sequence.pause()

    def _end(self) -> None:
        """Nothing is told any more."""
        self._closed = True
        for future in (self._begun, self._over):
            if not future.done():
                future.set_result(None)

    def _ended(self, choice: Choice, usage: UsageEvent) -> None:
        del self._running[choice.index]
        self.tally.add(usage, choice.fold.reasoning)
        if (own := self.own) is not None:
            own.queue.observe(usage.queue_s)
        if usage.finish_reason in ("error", "cancelled"):
            self._failure = self._explain(usage)

    def _explain(self, usage: UsageEvent) -> UndicedError:
        if usage.finish_reason == "error":
            return EngineError("The engine failed while it worked on this request.", remedy="Try again.")
        if self.service.state != "ready":
            return ShuttingDownError()
        return ClientClosedError("The request was cancelled.")
