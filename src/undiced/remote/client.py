"""EngineClient: the engine process as the HTTP process sees it.

Starts it, hands out streams, and starts another when it dies. Runs on one asyncio event loop. Token ids only. Nothing
ends silently: when the engine dies every open stream gets an EngineError.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, cast
from weakref import WeakValueDictionary

from undiced.core.errors import (
    EngineError,
    InvalidRequestError,
    QueueFullError,
    ShuttingDownError,
    UnavailableError,
    UndicedError,
)
from undiced.remote.frames import (
    Accepted,
    Failed,
    Failure,
    FromEngine,
    Progress,
    Ready,
    Refused,
    Step,
    Stop,
    Submit,
    ToEngine,
    client_reader,
    encode,
)
from undiced.remote.process import EngineProcess, EngineSpec, describe, private_folder
from undiced.remote.stream import Stream
from undiced.serve.delta import EngineStats
from undiced.serve.failure import failure
from undiced.serve.request import Request, check
from undiced.serve.usage import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from undiced.engine.backend import Limits
    from undiced.serve.usage import FinishReason, UsageEvent

State = Literal["starting", "ready", "restarting", "draining", "failed", "closed"]
_LAST_FRAMES_S = 1.0
_STOP_GRACE_S = 3.0
_RETRY_S = 1.0
_LEANER = "If memory ran out, choose a smaller model, or lower --max-batch and --max-context."


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a dead engine is started again: at most `limit` times within `window_s`, after doubling pauses.

    A pause begins at `pause_s` and is at most `pause_most_s`.
    """

    limit: int = 5
    window_s: float = 300.0
    pause_s: float = 0.1
    pause_most_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine is.

    Attributes:
        state: requests are taken only when "ready".
        progress: of loading, from 0 to 1. detail: what is being loaded, or what went wrong.
        restarts: how often the engine had to be started again.
    """

    state: State
    progress: float
    detail: str
    restarts: int


class EngineClient:
    """See the file's head. `start`, use, `drain`, `close`; or `async with`.

    Args:
        spec: what to run.
        on_usage: each is called once per sequence, when its account is final: all its tokens were read, or nobody reads
            any more. What one of them raises is logged and keeps nothing from the others.
        restarts: the policy.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        on_usage: Sequence[Callable[[UsageEvent], None]] = (),
        restarts: Restarts | None = None,
    ) -> None:
        self.spec = spec
        self.state: State = "starting"
        self._on_usage = partial(tell, tuple(on_usage))
        self._policy = restarts or Restarts()
        self._limits: Limits | None = None
        self._stats = EngineStats()
        self._streams: dict[str, Stream] = {}  # those that the engine has not ended
        self._handles: WeakValueDictionary[str, Stream] = WeakValueDictionary()  # those that somebody may still read
        self._empty = asyncio.Event()
        self._empty.set()
        self._progress, self._detail, self._restarts = 0.0, "", 0
        self._crashes: list[float] = []
        self._failure: Failure | None = None
        self._connection: _Connection | None = None
        self._process: EngineProcess | None = None
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None

    # life

    async def start(self) -> Limits:
        """Start the engine and wait until it is loaded.

        Raises:
            UndicedError: it could not load; the engine's own error.
        """
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        self._folder = private_folder()
        self._server = await loop.create_unix_server(lambda: _Connection(self), str(self._socket_path))
        self._supervisor = loop.create_task(self._supervise())
        try:
            await asyncio.shield(self._started)
        except BaseException:
            await self.close()
            raise
        return self.limits

    async def __aenter__(self) -> EngineClient:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Take no more requests and wait until the running ones have ended; False if `timeout_s` was not enough."""
        if self.state not in ("failed", "closed"):
            self.state = "draining"
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End the engine. Open streams get an UnavailableError. Idempotent."""
        was_loaded, self.state = self._connection is not None and self._limits is not None, "closed"
        if self._connection is not None:
            self._connection.send(Stop())
        if self._process is not None:
            await self._process.end(_STOP_GRACE_S if was_loaded else 0.0)
        self._fail_streams(ShuttingDownError())
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        if self._started is not None and self._started.done() and not self._started.cancelled():
            self._started.exception()
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    # use

    @property
    def limits(self) -> Limits:
        """What the engine can hold. Raises UnavailableError before it has loaded for the first time."""
        if self._limits is None:
            raise UnavailableError("The engine is still loading.", remedy="Try again in a few seconds.")
        return self._limits

    @property
    def health(self) -> Health:
        """How the engine is, for health checks and for a progress bar while it loads."""
        return Health(self.state, self._progress, self._detail, self._restarts)

    @property
    def pid(self) -> int | None:
        """Process id of the engine, None before it is started."""
        return None if self._process is None else self._process.pid

    def stats(self) -> EngineStats:
        """The engine's figures after its latest step; counters begin again when the engine is restarted."""
        return self._stats

    def submit(self, request: Request) -> Stream:
        """Send a request to the engine. Await the stream's `accepted` to learn of a full queue before the first token.

        Raises:
            InvalidRequestError, ContextLengthError: it can never run. UnavailableError: no requests are taken now.
            QueueFullError: more are on their way than the engine can take; it refuses the others itself.
        """
        if self.state != "ready" or self._connection is None:
            raise self._unavailable()
        check(request, self.limits)
        if len(self._streams) >= self.spec.max_waiting + 2 * self.limits.max_batch:
            message = f"The queue is full: {len(self._streams)} requests are on their way."
            raise QueueFullError(message, retry_after_s=_RETRY_S, remedy="Try again later.")
        if request.id in self._streams:
            raise InvalidRequestError(f"A request with id {request.id!r} is already running.", remedy="Use an id once.")
        now = time.perf_counter()
        stream = self._streams[request.id] = self._handles[request.id] = Stream(
            request, self._send, self._on_usage, now
        )
        self._empty.clear()
        self._connection.send(Submit(request, now))
        return stream

    def _unavailable(self) -> UnavailableError:
        if self.state == "failed":
            return UnavailableError(f"The engine has failed: {self._detail}", remedy="Start the server again.")
        return UnavailableError(f"The engine is {self.state}.", remedy="Try again in a few seconds.")

    def cancel(self, request_id: str) -> None:
        """`Stream.cancel` by id."""
        if (stream := self._handles.get(request_id)) is not None:
            stream.cancel()

    def finish(self, request_id: str, *, at_token: int, reason: FinishReason = "stop") -> None:
        """`Stream.finish` by id."""
        if (stream := self._handles.get(request_id)) is not None:
            stream.finish(at_token, reason)

    def _send(self, message: ToEngine) -> None:
        if self._connection is not None:
            self._connection.send(message)

    # supervision

    @property
    def _socket_path(self) -> Path:
        assert self._folder is not None, "start() was not called"
        return self._folder / "engine"

    async def _supervise(self) -> None:
        """Run engine processes, one after another, until one may not be followed by another."""
        assert self._started is not None, "start() was not called"
        while True:
            error = await self._run_process()
            self._detail = str(error)
            self._fail_streams(error)
            if not self._started.done():
                self.state = "failed"
                self._started.set_exception(error)
                return
            if self.state not in ("ready", "restarting") or not self._may_restart():
                return
            pause_s = self._policy.pause_s * 2 ** (len(self._crashes) - 1)
            await asyncio.sleep(min(pause_s, self._policy.pause_most_s))

    async def _run_process(self) -> UndicedError:
        """Start an engine process and wait for its end; returns why it ended."""
        self._failure, self._progress = None, 0.0
        try:
            self._process = EngineProcess(self.spec, self._socket_path)
        except OSError as error:
            return EngineError(f"The engine process could not be started: {error.strerror}.")
        status = await self._process.wait()
        if self._connection is not None:
            with contextlib.suppress(TimeoutError):  # what it has left in the socket comes before its end
                await asyncio.wait_for(self._connection.closed.wait(), _LAST_FRAMES_S)
        self._connection = None
        if self._failure is not None:
            return self._failure.error()
        if self._limits is None:
            return EngineError(
                f"The engine process died while it loaded the model ({describe(status)}).", remedy=_LEANER
            )
        return EngineError(
            f"The engine process died ({describe(status)}).", remedy="Send the request again in a few seconds."
        )

    def _may_restart(self) -> bool:
        now = time.monotonic()
        self._crashes = [*(moment for moment in self._crashes if now - moment < self._policy.window_s), now]
        if len(self._crashes) > self._policy.limit:
            self.state = "failed"
            return False
        self.state = "restarting"
        self._restarts += 1
        return True

    def _fail_streams(self, error: UndicedError) -> None:
        source = "" if self._limits is None else self._limits.source
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.fail(Failure.of(error).error(), None, time.perf_counter(), source)
        self._empty.set()

    # messages

    def connected(self, connection: _Connection) -> None:
        """The engine process has connected."""
        self._connection = connection

    def disconnected(self) -> None:
        """The engine process is about to end; its supervisor will see to the rest."""
        if self.state == "ready":
            self.state = "restarting"

    def received(self, message: FromEngine) -> None:
        """Act on a message of the engine process."""
        match message:
            case Step():
                self._on_step(message)
            case Accepted():
                if (stream := self._streams.get(message.request_id)) is not None:
                    stream.accept()
            case Refused():
                if (stream := self._forget(message.request_id)) is not None:
                    stream.fail(message.failure.error(), None, time.perf_counter())
            case Progress():
                self._progress, self._detail = message.fraction, message.what
            case Ready():
                self._on_ready(message)
            case Failed():
                self._failure = message.failure
                self.disconnected()

    def _on_step(self, step: Step) -> None:
        now = time.perf_counter()
        if step.stats is not None:
            self._stats = step.stats
        for delta in step.deltas:
            stream = self._streams.get(delta.request_id)
            if stream is None:
                continue
            if delta.finish_reason == "error":
                self._forget(delta.request_id)
                stream.fail(self._why(delta.error), delta.usage, now)
            elif not stream.push(delta, now):
                self._forget(delta.request_id)

    def _why(self, reason: int) -> UndicedError:
        if self._failure is not None and not reason:
            return self._failure.error()
        return failure(reason)

    def _on_ready(self, message: Ready) -> None:
        self._limits = message.limits
        self._progress, self._detail = 1.0, ""
        if self.state in ("starting", "restarting"):
            self.state = "ready"
        if self._started is not None and not self._started.done():
            self._started.set_result(None)

    def _forget(self, request_id: str) -> Stream | None:
        stream = self._streams.pop(request_id, None)
        if not self._streams:
            self._empty.set()
        return stream


class _Connection(asyncio.Protocol):
    """The socket to one engine process."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._reader = client_reader()
        self._transport: asyncio.WriteTransport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is not a subclass
        self._client.connected(self)

    def data_received(self, data: bytes) -> None:
        for message in self._reader.feed(data):
            self._client.received(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._client.disconnected()

    def send(self, message: ToEngine) -> None:
        """Send a frame; dropped if the engine is gone, which its supervisor will notice."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(message))
