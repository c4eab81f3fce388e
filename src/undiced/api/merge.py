"""Merge: several streams of deltas read as one, at the pace of the reader. Knows no text and no accounts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from undiced.core.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from undiced.serve import Delta

Arrival = tuple[int, "Delta | Exception"]


class Merge:
    """Of each stream at most one delta is ahead of the reader; a stream is read on once its delta was dealt with.

    A stream ends with the delta that has the account, or with an error.
    """

    def __init__(self, streams: Sequence[AsyncIterator[Delta]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._streams = streams
        self._arrived: list[Arrival] = []
        self._waiter: asyncio.Future[None] | None = None
        self._gate: asyncio.Future[None] = self._loop.create_future()  # for what arrives now
        self._taken: asyncio.Future[None] | None = None  # the gate of what was taken last
        many = len(streams) > 1
        self._tasks = [asyncio.create_task(self._pump(at)) for at in range(len(streams))] if many else []

    async def take(self) -> list[Arrival]:
        """What has come, at least one delta or error, each with its stream's number. What was taken before counts as
        dealt with.
        """
        if not self._tasks:
            return [await self._next(0)]
        if self._taken is not None:
            self._taken.set_result(None)
        while not self._arrived:
            self._waiter = self._loop.create_future()
            await self._waiter
        batch, self._arrived = self._arrived, []
        self._taken, self._gate = self._gate, self._loop.create_future()
        return batch

    async def close(self) -> None:
        """Read no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(self, at: int) -> None:
        while True:
            arrival = await self._next(at)
            self._arrived.append(arrival)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
            if isinstance(arrival[1], Exception) or arrival[1].usage is not None:
                return
            await self._gate

    async def _next(self, at: int) -> Arrival:
        try:
            return at, await anext(self._streams[at])
        except StopAsyncIteration:
            return at, EngineError("The engine ended a sequence without an account of it.", remedy="Try again.")
        except Exception as error:
            return at, error
