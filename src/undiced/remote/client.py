"""EngineClient: the engine process as the HTTP process sees it: takes requests and hands out what becomes of them.

Runs on one asyncio event loop. Token ids only. Nothing ends silently: when the engine dies or hangs every open stream
gets an error. Starting, watching and replacing the process is the supervisor's business.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from undiced._native import Relay
from undiced.core.errors import (
    InvalidRequestError,
    QueueFullError,
    ShuttingDownError,
    UnavailableError,
    UndicedError,
)
from undiced.remote.frames import Accepted, Failure, FromEngine, Refused, Step, Submit, figures
from undiced.remote.spec import without_paths
from undiced.remote.stream import Stream, Take
from undiced.remote.supervisor import Restarts, State, Supervisor
from undiced.remote.watch import Patience
from undiced.serve.delta import EngineStats
from undiced.serve.failure import failure
from undiced.serve.request import Request, check
from undiced.serve.shares import has_place
from undiced.serve.usage import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from undiced.engine.backend import Limits
    from undiced.remote.spare import Spare
    from undiced.remote.spec import EngineSpec
    from undiced.serve.usage import UsageEvent

_RETRY_S = 1.0
_SOON = "Try again in a few seconds."
_ANEW = "Use another model, or have the server started again."


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine is.

    Attributes:
        state: requests are taken only when "ready".
        progress: of loading, from 0 to 1. detail: what is being loaded, or what is wrong.
        restarts: how often the engine had to be started again.
        back_s: while it is started again, seconds until it is likely ready.
    """

    state: State
    progress: float
    detail: str
    restarts: int
    back_s: float | None = None


class EngineClient:
    """See the file's head. `start`, use, `close`.

    Args:
        spec: what to run.
        on_usage: each is called once per sequence, when its account is final: all its tokens were read, or nobody reads
            any more. What one of them raises is logged and keeps nothing from the others.
        restarts: how often a dead engine is replaced. patience: when a silent one counts as dead.
        spare: an engine process that waits to be told what it runs; else one is started.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        on_usage: Sequence[Callable[[UsageEvent], None]] = (),
        restarts: Restarts | None = None,
        patience: Patience | None = None,
        spare: Spare | None = None,
    ) -> None:
        self.spec = spec
        self._on_usage = partial(tell, tuple(on_usage))
        self._relay = Relay()
        told = (self._received, self._fail_streams, self._relay)
        self._engine = Supervisor(spec, restarts or Restarts(), patience or Patience(), *told, spare)
        self._stats = EngineStats()
        self._streams: dict[str, Stream] = {}  # those that the engine has not ended

    # life

    async def start(self) -> Limits:
        """Start the engine and wait until it is loaded.

        Raises:
            UndicedError: it could not load; the engine's own error.
        """
        try:
            await self._engine.start()
        except BaseException:
            await self.close()
            raise
        return self.limits

    async def given_up(self) -> UndicedError:
        """Wait until the engine has died for good, which may be never; returns why."""
        return await self._engine.given_up()

    async def close(self) -> None:
        """End the engine. Open streams get a ShuttingDownError. Idempotent."""
        await self._engine.stop()
        self._fail_streams(ShuttingDownError())

    # use

    @property
    def limits(self) -> Limits:
        """What the engine can hold. Raises UnavailableError before it has loaded for the first time."""
        if self._engine.limits is None:
            raise UnavailableError("The engine is still loading.", remedy=_SOON)
        return self._engine.limits

    @property
    def health(self) -> Health:
        """How the engine is, for health checks and for a progress bar while it loads."""
        engine = self._engine
        return Health(engine.state, engine.progress, engine.detail, engine.restarts, engine.back_s)

    @property
    def pid(self) -> int | None:
        """Process id of the engine, None before it is started."""
        return None if self._engine.process is None else self._engine.process.pid

    def stats(self) -> EngineStats:
        """The engine's figures after its latest step; counters begin again when the engine is restarted."""
        if kept := self._relay.take_figures():
            self._stats = figures(kept)
        return self._stats

    def submit(self, request: Request, take: Take) -> Stream:
        """Send a request to the engine; whatever becomes of it goes to `take`, which raises nothing.

        A queue that is full may show there, too.

        Raises:
            InvalidRequestError, ContextLengthError: it can never run. UnavailableError: no requests are taken now.
            QueueFullError: more are on their way than the engine can take; it refuses the others itself.
        """
        if self._engine.state != "ready":
            raise self._unavailable()
        check(request, self.limits)
        self._check_room(request.account)
        if request.id in self._streams:
            raise InvalidRequestError(f"A request with id {request.id!r} is already running.", remedy="Use an id once.")
        now = time.perf_counter()
        stream = self._streams[request.id] = Stream(request, take, self._engine.send, self._on_usage, now, self._relay)
        self._engine.send(Submit(request, now))
        return stream

    def _check_room(self, account: str) -> None:
        """Refuse more than the engine can take, from an account with as many on their way as others may have."""
        most = self.spec.policy.max_waiting + 2 * self.limits.max_batch
        if len(self._streams) < most:
            return
        counts = Counter(stream.request.account for stream in self._streams.values())
        own = counts[account]
        if not has_place(len(self._streams), own, len(counts) + (not own), most):
            message = f"The queue is full: {len(self._streams)} requests are on their way."
            raise QueueFullError(message, retry_after_s=_RETRY_S, remedy="Try again later.")

    def _unavailable(self) -> UnavailableError:
        engine, whose = self._engine, f"The engine of {self.spec.model}"
        if engine.state == "failed":
            return UnavailableError(f"{whose} has failed for good: {engine.detail}", remedy=_ANEW)
        return UnavailableError(f"{whose} is {engine.state}.", remedy=_SOON, retry_after_s=engine.back_s)

    # from the engine

    def _received(self, message: FromEngine) -> None:
        match message:
            case Step():
                self._on_step(message)
            case Accepted():
                if (stream := self._streams.get(message.request_id)) is not None:
                    stream.accept()
            case Refused():
                if (stream := self._streams.pop(message.request_id, None)) is not None:
                    stream.fail(message.failure.error(), None, time.perf_counter())

    def _on_step(self, step: Step) -> None:
        now = time.perf_counter()
        if step.stats is not None:
            self._stats = step.stats
        for delta in step.deltas:
            stream = self._streams.get(delta.request_id)
            if stream is None:
                continue
            if delta.finish_reason == "error":
                del self._streams[delta.request_id]
                stream.fail(self._why(delta.error), delta.usage, now)
            elif not stream.push(delta, now):
                del self._streams[delta.request_id]

    def _why(self, reason: int) -> UndicedError:
        if self._engine.failure is not None and not reason:
            return without_paths(self._engine.failure, self.spec)
        return failure(reason)

    def _fail_streams(self, error: UndicedError) -> None:
        source = "" if self._engine.limits is None else self._engine.limits.source
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.fail(Failure.of(error).error(), None, time.perf_counter(), source)
