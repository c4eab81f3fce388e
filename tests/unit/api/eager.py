"""An engine that runs ahead of its readers, as the real one does: tokens come whether anybody reads them or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from undiced._native import Relay
from undiced.core.errors import EngineError, QueueFullError
from undiced.remote.client import Health
from undiced.remote.frames import Cancel, Finish, Hold, Step, client_reader, encode
from undiced.remote.stream import Stream, Take
from undiced.serve import Delta, EngineStats, FinishReason, Request, UsageEvent


@dataclass
class EagerEngine:
    """Makes tokens of `text` for every sequence, one step after another, `per_step` at a time, `between` turns of the
    event loop apart; hears of `finish` and `cancel` a turn later.

    Attributes:
        dies_at: the step at which everything that runs fails. room: sequences that it takes at once.
        every_s: at least so long from step to step.
        relay: what it says comes as frames, through this, as from an engine process.
        made: tokens that it computed for each sequence. short: those that the relay's lanes took.
    """

    name: str = "m"
    text: str = "abc"
    per_step: int = 1
    between: int = 1
    dies_at: int | None = None
    room: int = 1000
    every_s: float = 0.0
    relay: Relay | None = None
    on_usage: Callable[[UsageEvent], None] = lambda _: None
    made: dict[str, int] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    running: dict[str, Stream] = field(default_factory=dict)
    short: int = 0
    ended: list[UsageEvent] = field(default_factory=list)
    health: Health = field(default_factory=lambda: Health("ready", 1.0, "", 0))
    _task: asyncio.Task[None] | None = None
    _orders: list[Cancel | Finish | Hold] = field(default_factory=list)

    def submit(self, request: Request, take: Take) -> Stream:
        """Queue a sequence."""
        if len(self.running) >= self.room:
            raise QueueFullError("The queue is full.", retry_after_s=1.0)
        stream = Stream(request, take, self._orders.append, self._account, 0.0, self.relay)
        self.streams[request.id] = self.running[request.id] = stream
        self.requests[request.id] = request
        self.made[request.id] = 0
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return stream

    def stats(self) -> EngineStats:
        return EngineStats()

    def _account(self, event: UsageEvent) -> None:
        self.ended.append(event)
        self.on_usage(event)

    async def _run(self) -> None:
        step = 0
        while self.running:
            await asyncio.sleep(self.every_s)
            for stream in self.running.values():
                stream.accept()
            for _ in range(self.between):
                await asyncio.sleep(0)
            self._obey()
            if step == self.dies_at:
                running, self.running = self.running, {}
                for stream in running.values():
                    stream.fail(EngineError("It broke."), None, 0.0)
            for request_id in list(self.running):
                self._step(request_id)
            step += 1

    def _obey(self) -> None:
        orders, self._orders[:] = self._orders.copy(), []
        for order in orders:
            if order.request_id in self.running and not isinstance(order, Hold):
                reason = order.reason if isinstance(order, Finish) else "cancelled"
                self._say(order.request_id, [], reason)

    def _step(self, request_id: str) -> None:
        made, most = self.made[request_id], self.requests[request_id].max_tokens
        tokens = [self.text.encode()[at % len(self.text)] for at in range(made, min(made + self.per_step, most))]
        self.made[request_id] += len(tokens)
        self._say(request_id, tokens, "length" if self.made[request_id] == most else None)

    def _say(self, request_id: str, tokens: list[int], reason: FinishReason | None) -> None:
        request, made = self.requests[request_id], self.made[request_id]
        prompt = len(request.prompt)
        usage = UsageEvent(
            request_id, reason or "length", prompt, 0, made, 0.0, 0.0, 0.0, 0.0, "host", request.prompt_shared
        )
        rows = [-0.5] * len(tokens) if request.sampling.logprobs >= 0 else []
        delta = Delta(request_id, tokens, rows, [], reason, None, usage if reason else None)
        if self.relay is None:
            self._push(delta)
            return
        self.relay.feed(encode(Step([delta], None)))
        if not (rest := self.relay.take()):
            self.short += len(tokens)
        for step in client_reader().feed(rest):
            for each in step.deltas:
                self._push(each)

    def _push(self, delta: Delta) -> None:
        if not self.running[delta.request_id].push(delta, 0.0):
            del self.running[delta.request_id]
