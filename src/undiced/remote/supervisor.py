"""Supervisor: keeps an engine process running: starts it, watches it, logs its death, starts another or gives up.

Knows processes, time and the policy of restarts; of frames only those about the process itself. Sequences are
`EngineClient`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from undiced.core.errors import (
    CheckpointError,
    CompileError,
    EngineError,
    ModelNotFoundError,
    ProgramFileError,
    UndicedError,
    UnsupportedError,
)
from undiced.core.printable import printable
from undiced.remote.connection import Connection
from undiced.remote.frames import Failed, FromEngine, Progress, Ready, Stop, ToEngine
from undiced.remote.process import EngineProcess, describe
from undiced.remote.spec import without_paths
from undiced.remote.watch import Patience, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced._native import Relay
    from undiced.engine.backend import Limits
    from undiced.remote.spare import Spare
    from undiced.remote.spec import EngineSpec

State = Literal["starting", "ready", "unresponsive", "restarting", "failed", "closed"]
_TICK_S = 0.5
_LAST_FRAMES_S = 1.0
_LAST_WORDS_S = 5.0  # for a process to exit once it has said that it failed
_DEATH_S = 15.0  # for the system to end a process
_STOP_GRACE_S = 3.0
_INCURABLE = (CheckpointError, CompileError, ModelNotFoundError, ProgramFileError, UnsupportedError)
_LEANER = "If memory ran out, choose a smaller model, or lower --max-batch and --max-context."
_log = logging.getLogger("undiced.engine")


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a dead engine is started again: at most `limit` times within `window_s`, after doubling pauses.

    A pause begins at `pause_s` and is at most `pause_most_s`.
    """

    limit: int = 5
    window_s: float = 300.0
    pause_s: float = 0.1
    pause_most_s: float = 10.0

    def pause(self, deaths: int) -> float | None:
        """Seconds before the next start after so many deaths within the window; None if there is none."""
        return None if deaths > self.limit else min(self.pause_s * 2 ** (deaths - 1), self.pause_most_s)


class Supervisor:
    """See the file's head. Runs on one asyncio event loop.

    Attributes:
        state: requests are taken only when "ready".
        progress: of loading, from 0 to 1. detail: what is being loaded, or what is wrong; without paths.
        restarts: how often the engine had to be started again.
        limits: what it can hold; None before it has loaded for the first time.
        failure: what the process has told, or we have found, to be its end; None while all is well.
    """

    def __init__(
        self,
        spec: EngineSpec,
        restarts: Restarts,
        patience: Patience,
        received: Callable[[FromEngine], None],
        lost: Callable[[UndicedError], None],
        relay: Relay,
        spare: Spare | None = None,
    ) -> None:
        """received: called with each frame about sequences. lost: called with the reason when a process is lost. relay:
        what comes passes it. spare: the first process, if it has been started already.
        """
        self.state: State = "starting"
        self.progress, self.detail, self.restarts = 0.0, "", 0
        self.limits: Limits | None = None
        self.failure: UndicedError | None = None
        self.process: EngineProcess | None = None
        self._spec, self._policy, self._patience = spec, restarts, patience
        self._on_frame, self._on_loss, self._relay = received, lost, relay
        self._watch = Watch(patience)
        self._spare = spare
        self._deaths: list[float] = []
        self._loading_s = self._due_s = 0.0  # how long loading took; when the process that replaces a dead one is ready
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._over: asyncio.Future[UndicedError] | None = None

    @property
    def back_s(self) -> float | None:
        """Seconds until the engine that is started again is likely ready: it takes as long as the last time."""
        return max(0.0, self._due_s - time.monotonic()) if self.state == "restarting" else None

    async def start(self) -> None:
        """Start the engine and wait until it is loaded.

        Raises:
            UndicedError: it could not load; the engine's own error.
        """
        loop = asyncio.get_running_loop()
        self._started, self._over = loop.create_future(), loop.create_future()
        self._task = loop.create_task(self._run())
        await asyncio.shield(self._started)

    async def given_up(self) -> UndicedError:
        """Wait until the engine is lost for good; returns why."""
        assert self._over is not None, "start() was not called"
        return await asyncio.shield(self._over)

    async def stop(self) -> None:
        """End the engine. Idempotent."""
        loaded, self.state = not self._watch.loading, "closed"
        self.send(Stop())
        if self.process is not None:
            await self.process.end(_STOP_GRACE_S if loaded else 0.0)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._started is not None and not self._started.cancel() and not self._started.cancelled():
            self._started.exception()  # somebody has heard of it

    def send(self, message: ToEngine) -> None:
        """Send a frame; dropped if there is no engine."""
        if self._connection is not None:
            self._connection.send(message)

    # one process after another

    async def _run(self) -> None:
        pause_s: float | None = 0.0
        while pause_s is not None:
            await asyncio.sleep(pause_s)
            try:
                error, cause = await self._live()
            except Exception as bug:  # a server without an engine would be worse than none
                _log.exception("the engine's supervisor failed")
                error, cause = EngineError(f"The engine's supervisor failed: {type(bug).__name__}."), "is lost"
            if self.state == "closed":
                return
            pause_s = self._decide(error, cause)
            self.restarts += pause_s is not None
            self._on_loss(without_paths(error, self._spec))

    async def _live(self) -> tuple[UndicedError, str]:
        """Run a process to its end; returns the error of its end, and what the log shall say about it."""
        loop = asyncio.get_running_loop()
        self.failure, self.progress, self._watch = None, 0.0, Watch(self._patience)
        try:
            process = self.process = EngineProcess(self._spec, self._spare)
            self._spare = None
        except OSError as error:
            reason = f"could not be started: {error.strerror or error}"
            return EngineError(f"The engine process {reason}."), reason
        connection = self._connection = Connection(self._received, self._disconnected, self._relay)
        attending = loop.create_task(self._attend(process, connection))
        try:
            connection.open(process.link)
            status = await process.wait()
            with contextlib.suppress(TimeoutError):  # what it has left in the socket comes before its end
                await asyncio.wait_for(connection.closed.wait(), _LAST_FRAMES_S)
        finally:
            attending.cancel()
            connection.abort()
            self._connection = None
        return self._why(status), self._obituary(process, status)

    def _why(self, status: int) -> UndicedError:
        if self.failure is not None:
            return self.failure
        if self._watch.loading:
            return EngineError(
                f"The engine process died while it loaded the model ({describe(status)}).", remedy=_LEANER
            )
        return EngineError(
            f"The engine process died ({describe(status)}).", remedy="Send the request again in a few seconds."
        )

    def _obituary(self, process: EngineProcess, status: int) -> str:
        lived_s, doing = time.monotonic() - process.started_s, "loading the model" if self._watch.loading else "serving"
        words = self.failure.message if self.failure is not None else process.last_words
        said = printable(" ".join(words.split())).rstrip(".")  # a line of the log is one line
        last = f"; its last words: {said}" if said else ""
        return f"(process {process.pid}) died after {lived_s:.1f} s while {doing}: {describe(status)}{last}"

    def _decide(self, error: UndicedError, cause: str) -> float | None:
        """Whether another process follows: after how many seconds; None if not. Logs the death."""
        assert self._started is not None and self._over is not None
        self.detail = without_paths(error, self._spec).message
        if not self._started.done():  # whoever starts it is told
            self.state = "failed"
            self._started.set_exception(error)
            return None
        now, policy = time.monotonic(), self._policy
        self._deaths = [*(moment for moment in self._deaths if now - moment < policy.window_s), now]
        incurable = isinstance(error, _INCURABLE) or (self.process is not None and self.process.abandoned)
        pause_s = None if incurable else policy.pause(len(self._deaths))
        if pause_s is None:
            why = (
                "another start would not help" if incurable else f"{len(self._deaths)} deaths in {policy.window_s:g} s"
            )
            _log.critical("The engine of %s %s. It is given up: %s.", self._spec.model, cause, why)
            self.state = "failed"
            self._over.set_result(error)
            return None
        nth = f"restart {len(self._deaths)} of at most {policy.limit} in {policy.window_s:g} s"
        _log.error("The engine of %s %s. It is started again in %g s (%s).", self._spec.model, cause, pause_s, nth)
        self.state, self._due_s = "restarting", now + pause_s + self._loading_s
        return pause_s

    # while one lives

    async def _attend(self, process: EngineProcess, connection: Connection) -> None:
        """Look after a process until it ends."""
        last_s, doomed_s = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            # time in which we did not run ourselves says nothing about the engine
            passed_s, last_s = min(time.monotonic() - last_s, 2 * _TICK_S), time.monotonic()
            self._watch.passed(passed_s)
            for stuck_s in process.beats():
                self._watch.heard(stuck_s)
            self._judge()
            if self._watch.hopeless and self.failure is None:
                self._condemn()
                doomed_s = _LAST_WORDS_S
            if self.failure is not None or connection.closed.is_set():
                doomed_s += passed_s
            if doomed_s >= _LAST_WORDS_S:
                process.kill()
            if doomed_s >= _LAST_WORDS_S + _DEATH_S:
                process.abandon()

    def _judge(self) -> None:
        """Let the state follow the watch."""
        trouble = self._watch.trouble
        if self.state == "ready" and trouble:
            self.state = "unresponsive"
            _log.warning("The engine of %s %s.", self._spec.model, trouble)
        elif self.state == "unresponsive" and not trouble:
            self.state, self.detail = "ready", ""
            _log.warning("The engine of %s answers again.", self._spec.model)
        if self.state == "unresponsive":
            self.detail = f"The engine {trouble}."

    def _condemn(self) -> None:
        """Those who wait for a hung engine shall not wait for its death too."""
        self.failure = EngineError(
            f"The engine {self._watch.trouble} and was ended.", remedy="Send the request again in a few seconds."
        )
        self._disconnected()
        self._on_loss(self.failure)

    def _received(self, message: FromEngine) -> None:
        match message:
            case Progress():
                self.progress, self.detail = message.fraction, message.what
            case Ready():
                self._ready(message)
            case Failed():
                self.failure = self.failure or message.failure.error()
                self._disconnected()
            case _:
                self._on_frame(message)

    def _ready(self, message: Ready) -> None:
        assert self._started is not None
        self.limits, self._watch.loading = message.limits, False
        self.progress, self.detail = 1.0, ""
        if self.process is not None:
            self._loading_s = time.monotonic() - self.process.started_s
        if self.state in ("starting", "restarting"):
            self.state = "ready"
        if not self._started.done():
            self._started.set_result(None)
        elif self.process is not None:
            took_s = time.monotonic() - self.process.started_s
            _log.warning("The engine of %s is ready again after %.1f s.", self._spec.model, took_s)

    def _disconnected(self) -> None:
        """The process is about to end."""
        if self.state in ("ready", "unresponsive"):
            self.state, self._due_s = "restarting", time.monotonic() + self._policy.pause_s + self._loading_s
