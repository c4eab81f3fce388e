"""A client that reads streamed completions from any OpenAI-compatible server, and costs as little as it can.

While answers run it keeps what came and when; events are told apart afterwards. Nothing here knows whose server it is.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import statistics
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is: `url` without a path, as in http://127.0.0.1:8000."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Place:
        """Of an address."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80)


@dataclass(slots=True)
class Answer:
    """What became of a request; all times are `time.perf_counter`.

    Attributes:
        sent_s: when its last byte was handed over.
        said_s: when each event with text came. ended_s: when the connection closed.
        prompt_tokens, completion_tokens, cached_tokens: as the server accounts for them; 0 where it does not.
        failure: what it said instead of an answer; empty if all is well.
    """

    sent_s: float
    said_s: list[float] = field(default_factory=list)
    ended_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    failure: str = ""

    @property
    def first_s(self) -> float:
        """Seconds to the first text."""
        return self.said_s[0] - self.sent_s

    @property
    def between_s(self) -> list[float]:
        """Seconds between texts."""
        return [after - before for before, after in zip(self.said_s, self.said_s[1:], strict=False)]


class Kept:
    """All that came back of a request, and when."""

    def __init__(self) -> None:
        self._came: list[tuple[float, bytes]] = []

    def read(self, answer: Answer) -> Answer:
        """Tell events apart."""
        data = b"".join(piece for _, piece in self._came)
        head, _, _ = data.partition(_END)
        body, places = _body(data, len(head) + len(_END), chunked=b"chunked" in head.lower())
        if not head.startswith(b"HTTP/1.1 200") or b"text/event-stream" not in head:
            answer.failure = (head.partition(b"\r\n")[0] + b" " + body[:300]).decode(errors="replace")
            return answer
        ends, at = [], 0
        for _, piece in self._came:
            at += len(piece)
            ends.append(at)
        begin = 0
        while (end := body.find(b"\n\n", begin)) >= 0:
            if body.startswith(b"data: {", begin):
                came = bisect_right(ends, _place(places, end + 1))
                _take(answer, json.loads(body[begin + 6 : end]), self._came[min(came, len(ends) - 1)][0])
            begin = end + 2
        if not answer.said_s:
            answer.failure = answer.failure or "no text came"
        return answer


class Reader(Kept, asyncio.Protocol):
    """One request and all that comes back, on an event loop."""

    def __init__(self, sent: bytes) -> None:
        super().__init__()
        self._sent = sent
        self._sent_s = 0.0
        self.over: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._sent_s = time.perf_counter()
        cast("asyncio.Transport", transport).write(self._sent)

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self._came.append((time.perf_counter(), data))

    def connection_lost(self, exc: Exception | None) -> None:
        """All came."""
        if not self.over.done():
            self.over.set_result(Answer(self._sent_s, ended_s=time.perf_counter()))


class Caller(Kept):
    """One request and all that comes back, on a socket of its own."""

    def __init__(self, place: Place, sent: bytes) -> None:
        super().__init__()
        self.socket = socket.create_connection((place.host, place.port))
        self.sent_s = time.perf_counter()
        self.socket.sendall(sent)

    def take(self) -> bool:
        """Wait for something to come and keep it; False at the end."""
        data = self.socket.recv(1 << 18)
        self._came.append((time.perf_counter(), data))
        return bool(data)

    def answer(self) -> Answer:
        """After the end."""
        self.socket.close()
        return self.read(Answer(self.sent_s, ended_s=self._came[-1][0]))


def _body(data: bytes, at: int, *, chunked: bool) -> tuple[bytes, list[tuple[int, int]]]:
    """The body, and for each of its chunks (its place in the body, its place in the data)."""
    if not chunked:
        return data[at:], [(0, at)]
    parts: list[bytes] = []
    places: list[tuple[int, int]] = []
    size = 0
    while (line := data.find(b"\r\n", at)) >= 0 and (length := int(data[at:line].partition(b";")[0], 16)):
        places.append((size, line + 2))
        parts.append(data[line + 2 : line + 2 + length])
        size, at = size + length, line + 4 + length
    return b"".join(parts), places or [(0, at)]


def _place(places: list[tuple[int, int]], at: int) -> int:
    begin, there = places[bisect_right(places, (at, 1 << 62)) - 1]
    return there + at - begin


def _take(answer: Answer, event: dict[str, object], came_s: float) -> None:
    if "error" in event:
        answer.failure = json.dumps(event["error"])[:300]
    for choice in cast("list[dict[str, object]]", event.get("choices") or ()):
        delta = cast("dict[str, object]", choice.get("delta") or {})
        if choice.get("text") or delta.get("content"):
            answer.said_s.append(came_s)
    if usage := cast("dict[str, object] | None", event.get("usage")):
        answer.prompt_tokens = int(cast("int", usage.get("prompt_tokens", 0)))
        answer.completion_tokens = int(cast("int", usage.get("completion_tokens", 0)))
        details = cast("dict[str, int]", usage.get("prompt_tokens_details") or {})
        answer.cached_tokens = int(details.get("cached_tokens") or 0)


def request(place: Place, body: dict[str, object], path: str = "/v1/completions") -> bytes:
    """A request as it is sent; the answer streams, with its usage."""
    text = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {place.host}:{place.port}\r\ncontent-type: application/json\r\n"
    return head.encode() + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(text) + text


async def ask(place: Place, sent: bytes, limit_s: float = 600.0) -> tuple[Reader, Answer]:
    """Send and wait for the end. `Reader.read` then completes the answer, when nobody is disturbed by it."""
    _, reader = await asyncio.get_running_loop().create_connection(lambda: Reader(sent), place.host, place.port)
    return reader, await asyncio.wait_for(reader.over, limit_s)


def at_once(place: Place, bodies: Iterable[dict[str, object]]) -> list[Answer]:
    """All at once, without an event loop: on the cores that the server uses, too, a client shall compute little."""
    callers = [Caller(place, request(place, body)) for body in bodies]
    if len(callers) == 1:
        while callers[0].take():
            pass
        return [callers[0].answer()]
    with select.epoll() as poll:
        left = {caller.socket.fileno(): caller for caller in callers}
        for number in left:
            poll.register(number, select.EPOLLIN)
        while left:
            for number, _ in poll.poll():
                if not left[number].take():
                    poll.unregister(number)
                    del left[number]
    return [caller.answer() for caller in callers]


async def together(place: Place, bodies: Iterable[dict[str, object]]) -> list[Answer]:
    """All at once."""
    sent = [request(place, body) for body in bodies]
    found = await asyncio.gather(*(ask(place, one) for one in sent))
    return [reader.read(answer) for reader, answer in found]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed: p99 is 0.99; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Median, p99 and most of some seconds."""
    if not values:
        return {}
    found = {"p50": statistics.median(values), "p99": quantile(values, 0.99), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}
