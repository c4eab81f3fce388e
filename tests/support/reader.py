"""A reader of one sequence that takes a delta when it is asked for, and pauses the sequence in between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from undiced.core.errors import UndicedError
from undiced.remote.client import EngineClient
from undiced.remote.stream import Stream, Take
from undiced.serve import Delta, Request


class Reader:
    """Iterate to the end, or cancel `stream`. submit: queues the sequence."""

    def __init__(self, submit: Callable[[Take], Stream]) -> None:
        self._taken: deque[Delta | UndicedError] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self.stream = submit(self._take)
        self.stream.pause()

    def _take(self, found: Delta | UndicedError) -> None:
        assert not self._over, "nothing follows the last"
        self._over = isinstance(found, UndicedError) or found.usage is not None
        self._taken.append(found)
        self.stream.pause()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Delta:
        if not (self._taken or self._over):
            self.stream.resume()
        if not (self._taken or self._over):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if not self._taken:
            raise StopAsyncIteration
        if isinstance(found := self._taken.popleft(), UndicedError):
            raise found
        return found


def reader(client: EngineClient, request: Request) -> Reader:
    """A reader of what an engine makes of a request."""
    return Reader(lambda take: client.submit(request, take))
