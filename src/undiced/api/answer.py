"""The sequences of one HTTP request while they run: submitted, merged, turned into pieces, counted, cancelled. Knows no
JSON and no HTTP.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.api.errors import ClientClosedError
from undiced.api.merge import Merge
from undiced.api.tally import Tally
from undiced.core.errors import EngineError, ShuttingDownError, UndicedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from undiced.api.choice import Choice
    from undiced.api.deployment import Deployment
    from undiced.api.merge import Arrival
    from undiced.api.metrics import ModelMetrics
    from undiced.api.service import Service
    from undiced.serve import UsageEvent
    from undiced.text import Piece


@dataclass(slots=True)
class Answer:
    """All choices of one request.

    Its account is what it says: a sequence that is cut short, for whatever reason, counts the tokens that were folded
    into pieces, and no other.

    Attributes:
        choices: ordered by index.
        started_s: `time.perf_counter` when the request arrived.
        org_id: of the organization whose it is; empty where there are none.
        tally: complete once `pieces` has ended.
    """

    service: Service
    deployment: Deployment
    choices: list[Choice]
    started_s: float
    org_id: str = ""
    tally: Tally = field(default_factory=Tally)
    _open: set[int] = field(default_factory=set)
    _cancelled: set[int] = field(default_factory=set)
    _failure: Exception | None = None
    _told: bool = False

    async def pieces(self) -> AsyncGenerator[list[Piece], None]:
        """Pieces as they come; what came together is yielded together. Ends when every choice has ended; a failure of
        one ends all, after the pieces that came before it.

        Raises:
            UndicedError: the queue is full, the engine failed, the server shuts down or the client left.
        """
        self._open = set(range(len(self.choices)))
        merge = None
        try:  # all are submitted before anything is awaited: `cancel` must find them
            merge = Merge([self.deployment.engine.submit(choice.request) for choice in self.choices])
            while self._open and self._failure is None:
                pieces = self._fold(await merge.take())
                if pieces:
                    yield pieces
            if self._failure is not None:
                raise self._failure
            self._metrics.duration.observe(time.perf_counter() - self.started_s)
        finally:
            self.cancel()
            if merge is not None:
                await merge.close()

    def end_thoughts(self) -> int:
        """End the thoughts that are being thought, with their next token; returns of how many choices."""
        thinking = [choice for choice in self.choices if choice.index in self._open and choice.fold.thinking]
        for choice in thinking:
            self.deployment.engine.end_thought(choice.request.id)
        return len(thinking)

    def cancel(self) -> None:
        """Stop whatever still runs; nobody reads it any more."""
        for index in self._open - self._cancelled:
            self._cancelled.add(index)
            choice = self.choices[index]
            self.deployment.engine.cancel(choice.request.id, at_token=choice.fold.tokens)

    @property
    def _metrics(self) -> ModelMetrics:
        return self.service.metrics.of(self.deployment.card.id)

    def _fold(self, arrivals: list[Arrival]) -> list[Piece]:
        """The pieces of what arrived, up to a failure. Tokens that a cancelled sequence still brings are not folded."""
        pieces: list[Piece] = []
        engine, cancelled = self.deployment.engine, self._cancelled
        for index, found in arrivals:
            if isinstance(found, Exception):
                self._failure = found
            else:
                if found.usage is not None:
                    self._ended(index, found.usage)
                if self._failure is None and (found.usage is not None or index not in cancelled):
                    pieces += self.choices[index].push(found, engine)
            if self._failure is not None:
                break
        if not self._told and any(piece.tokens for piece in pieces):
            self._told = True
            self._metrics.ttft.observe(time.perf_counter() - self.started_s)
        return pieces

    def _ended(self, index: int, usage: UsageEvent) -> None:
        self._open.discard(index)
        self.tally.add(usage, self.choices[index].fold.reasoning)
        if usage.finish_reason in ("error", "cancelled"):
            self._failure = self._explain(usage)

    def _explain(self, usage: UsageEvent) -> UndicedError:
        if usage.finish_reason == "error":
            return EngineError("The engine failed while it worked on this request.", remedy="Try again.")
        if self.service.state != "ready":
            return ShuttingDownError()
        return ClientClosedError("The request was cancelled.")
