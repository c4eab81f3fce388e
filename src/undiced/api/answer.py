"""The sequences of one HTTP request while they run: submitted, merged, turned into pieces, counted, cancelled. Knows no
JSON and no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.api.errors import ClientClosedError
from undiced.api.tally import Tally
from undiced.core.errors import EngineError, ShuttingDownError, UndicedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from undiced.api.choice import Choice
    from undiced.api.deployment import Deployment
    from undiced.api.metrics import ModelMetrics
    from undiced.api.service import Service
    from undiced.serve import Delta, UsageEvent
    from undiced.text import Piece

_Arrival = tuple[int, "Delta | Exception"]


@dataclass(slots=True)
class Answer:
    """All choices of one request.

    Attributes:
        choices: ordered by index.
        started_s: `time.perf_counter` when the request arrived.
        tally: complete once `pieces` has ended.
    """

    service: Service
    deployment: Deployment
    choices: list[Choice]
    started_s: float
    tally: Tally = field(default_factory=Tally)
    _open: set[int] = field(default_factory=set)
    _cancelled: set[int] = field(default_factory=set)
    _failure: UndicedError | None = None
    _told: bool = False

    async def pieces(self) -> AsyncGenerator[list[Piece], None]:
        """Pieces as they come; what came together is yielded together. Ends when every choice has ended; a failure of
        one ends all.

        Raises:
            UndicedError: the queue is full, the engine failed, the server shuts down or the client left.
        """
        self._open = {choice.index for choice in self.choices}
        engine = self.deployment.engine
        try:
            arrivals = self._single() if len(self.choices) == 1 else self._merged()
            async for batch in arrivals:
                pieces: list[Piece] = []
                for index, delta in batch:
                    pieces += self.choices[index].push(delta, engine)
                    if delta.usage is not None:
                        self._ended(index, delta.usage)
                if not self._told:
                    self._first(pieces)
                if self._failure is None:
                    yield pieces
                if not self._open:
                    break
            if self._failure is not None:
                raise self._failure
            if self._open:
                raise EngineError("The engine ended a sequence without an account of it.", remedy="Try again.")
            self._metrics.duration.observe(time.perf_counter() - self.started_s)
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Stop whatever still runs; nobody reads it any more."""
        for index in self._open - self._cancelled:
            self._cancelled.add(index)
            self.deployment.engine.cancel(self.choices[index].request.id)

    @property
    def _metrics(self) -> ModelMetrics:
        return self.service.metrics.of(self.deployment.card.id)

    def _first(self, pieces: list[Piece]) -> None:
        if any(piece.tokens for piece in pieces):
            self._told = True
            self._metrics.ttft.observe(time.perf_counter() - self.started_s)

    def _ended(self, index: int, usage: UsageEvent) -> None:
        self._open.discard(index)
        self.tally.add(usage)
        if usage.finish_reason in ("error", "cancelled") and self._failure is None:
            self._failure = self._explain(usage)
            self.cancel()

    def _explain(self, usage: UsageEvent) -> UndicedError:
        if usage.finish_reason == "error":
            return EngineError("The engine failed while it worked on this request.", remedy="Try again.")
        if self.service.state != "ready":
            return ShuttingDownError()
        return ClientClosedError("The request was cancelled.")

    async def _single(self) -> AsyncIterator[list[tuple[int, Delta]]]:
        async for delta in self.deployment.engine.submit(self.choices[0].request):
            yield [(0, delta)]

    async def _merged(self) -> AsyncIterator[list[tuple[int, Delta]]]:
        """Deltas of several sequences; all that are there at once make one batch.

        All are submitted before anything is awaited: `cancel` must find them.
        """
        arrivals: asyncio.Queue[_Arrival] = asyncio.Queue()
        streams = [(choice.index, self.deployment.engine.submit(choice.request)) for choice in self.choices]
        tasks = [asyncio.create_task(_pump(index, stream, arrivals)) for index, stream in streams]
        try:
            while True:
                batch = [await arrivals.get()]
                while not arrivals.empty():
                    batch.append(arrivals.get_nowait())
                yield [(index, _delta(found)) for index, found in batch]
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(index: int, stream: AsyncIterator[Delta], arrivals: asyncio.Queue[_Arrival]) -> None:
    try:
        async for delta in stream:
            arrivals.put_nowait((index, delta))
    except Exception as error:
        arrivals.put_nowait((index, error))


def _delta(found: Delta | Exception) -> Delta:
    if isinstance(found, Exception):
        raise found
    return found
