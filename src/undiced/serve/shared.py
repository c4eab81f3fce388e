"""SharedLoop: one engine loop for several threads. Whoever comes first steps for all; the others wait for their tokens.

Knows threads; decides nothing. A caller that pauses holds up nobody: what it has not read waits in its box.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from undiced.core.errors import EngineError, UndicedError
from undiced.serve.delta import Delta

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from undiced.serve.loop import EngineLoop
    from undiced.serve.request import Request
    from undiced.serve.usage import FinishReason


class SharedLoop:
    """An engine loop behind a lock that is never held while the backend computes.

    Requests queue in the order in which threads bring them. Once the engine has failed, every call raises EngineError.
    """

    def __init__(self, loop: EngineLoop) -> None:
        self.limits = loop.limits
        self._loop = loop
        self._turn = threading.Condition()
        self._stepping = False
        self._queue: deque[Request] = deque()
        self._orders: list[Callable[[], object]] = []  # for the loop, from threads that came during a step
        self._boxes: dict[str, list[Delta]] = {}  # by request id
        self._cuts: dict[str, tuple[int, FinishReason]] = {}  # of those that `finish` has ended and `run` has not
        self._end: UndicedError | None = None

    def run(self, requests: Iterable[Request]) -> Generator[Delta, None, None]:
        """Run valid requests to their end, yielding their deltas as they come; the last one of each carries its account
        and no tokens.

        `finish` may be called between them. Closing the iterator cancels the rest.

        Raises:
            EngineError: the engine failed, or was closed.
        """
        box: list[Delta] = []
        ids: list[str] = []
        with self._turn:
            for request in requests:
                self._queue.append(request)
                self._boxes[request.id] = box
                ids.append(request.id)
        open_ids = set(ids)
        try:
            while open_ids:
                for delta in self._next(box):
                    if delta.usage is not None:
                        open_ids.discard(delta.request_id)
                        yield from self._ending(delta)
                    elif delta.request_id not in self._cuts:
                        yield delta
        finally:
            self._abandon(open_ids)
            for request_id in ids:
                self._cuts.pop(request_id, None)

    def _ending(self, delta: Delta) -> Iterator[Delta]:
        """The last tokens of a sequence, then its account, as `finish` wants it."""
        if delta.speaks and delta.request_id not in self._cuts:
            tokens, delta = delta.split()
            yield tokens
        cut = self._cuts.get(delta.request_id)
        if cut is not None and delta.usage is not None:
            usage = delta.usage.cut(*cut)
            delta = Delta(delta.request_id, finish_reason=usage.finish_reason, usage=usage)
        yield delta

    def finish(self, request_id: str, at_token: int, reason: FinishReason = "stop") -> None:
        """End a sequence after `at_token` generated tokens: later ones are neither handed out nor counted. No effect
        once its account was handed out.
        """
        with self._turn:
            self._cuts.setdefault(request_id, (at_token, reason))
            self._order(partial(self._loop.finish, request_id, at_token, reason))

    def close(self) -> None:
        """Close the loop once the step under way is over; who still waits gets an EngineError. Idempotent."""
        with self._turn:
            self._end = self._end or EngineError("The model was closed.", remedy="Make a new LLM.")
            while self._stepping:
                self._turn.wait()
            self._loop.close()
            self._turn.notify_all()

    def _order(self, order: Callable[[], object]) -> None:
        """Do something to the loop now, or before its next step. The caller holds the lock."""
        if self._stepping:
            self._orders.append(order)
        else:
            order()

    def _abandon(self, ids: set[str]) -> None:
        with self._turn:
            for request_id in ids:
                self._boxes.pop(request_id, None)
                self._order(partial(self._loop.cancel, request_id))
            if ids:
                self._queue = deque(request for request in self._queue if request.id not in ids)

    def _next(self, box: list[Delta]) -> list[Delta]:
        """What is in the box, as soon as something is: stepping for everybody until then, or watching who does."""
        while True:
            with self._turn:
                while self._stepping and not box:
                    self._turn.wait()
                if box:
                    deltas = box.copy()
                    box.clear()
                    return deltas
                if self._end is not None:
                    raise EngineError(self._end.message, remedy=self._end.remedy)
                self._prepare()
                self._stepping = True
            self._step()

    def _prepare(self) -> None:
        """Let the loop hear what was said during the last step."""
        orders, self._orders = self._orders, []
        for order in orders:
            order()
        while self._queue and self._loop.scheduler.has_room:
            self._loop.add(self._queue.popleft())

    def _step(self) -> None:
        deltas: list[Delta] = []
        failure: UndicedError | None = None
        try:
            deltas = self._loop.step()
        except UndicedError as error:
            failure = error
        finally:  # an interruption too must leave the place free
            with self._turn:
                self._stepping = False
                if failure is not None:
                    self._loop.fail()
                    self._end = failure
                self._distribute(deltas)
                self._turn.notify_all()

    def _distribute(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            box = self._boxes.get(delta.request_id)
            if box is not None:  # else somebody has lost interest
                box.append(delta)
                if delta.usage is not None:
                    del self._boxes[delta.request_id]
