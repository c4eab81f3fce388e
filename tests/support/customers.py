"""Customers: threads that ask a server for answers, one after another, and write down what of each has reached them.

They speak HTTP by hand, so that nothing between them and the socket retries, buffers or forgets.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Got:
    """What has reached a customer of one request.

    Attributes:
        stream: it comes in parts. tokens: of its answer, as far as it was told; step: the most that one write told.
        whole: its end was told, too. left: the customer read no further. over: nothing more will come.
    """

    status: int = 0
    stream: bool = False
    tokens: int = 0
    step: int = 0
    whole: bool = False
    left: bool = False
    over: bool = False

    @property
    def midway(self) -> bool:
        """Whether a part of it has reached him, and more is to come."""
        return self.tokens > 0 and not (self.whole or self.over)


@dataclass
class Customers:
    """See the file's head. `url`: of the server, which may be another one after a restart. `admitted`: names of
    requests whose answers began, in that order; `now`: what each customer is at.
    """

    url: str
    key: str
    model: str
    most_tokens: int = 60
    got: dict[str, Got] = field(default_factory=dict)
    admitted: list[str] = field(default_factory=list)
    now: dict[int, Got] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def come(self, count: int) -> None:
        """Let so many begin."""
        for seed in range(count):
            thread = threading.Thread(target=self._live, args=(seed,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def leave(self) -> None:
        """Let all finish what they are at."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a customer waits forever"

    def _live(self, seed: int) -> None:
        draw, count = random.Random(seed), 0
        while not self._over.is_set():
            count += 1
            name = f"customer-{seed}-{count}"
            got = self.got[name] = self.now[seed] = Got()
            try:
                self._ask(name, got, draw)
            except TimeoutError:  # would not wait any longer
                got.left = True
            except (OSError, http.client.HTTPException):
                self._over.wait(0.05)  # the server is gone, or goes
            except Exception as error:  # of this test, or bytes that are no answer
                self.failures.append(f"{name}: {error!r}")

    def _ask(self, name: str, got: Got, draw: random.Random) -> None:
        stream, parts = draw.random() < 0.7, urlsplit(self.url)
        got.stream = stream
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": draw.randrange(1, self.most_tokens),
            "n": draw.choice((1, 1, 1, 2)),
            "temperature": 1.0,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
        headers = {"authorization": f"Bearer {self.key}", "x-request-id": name, "content-type": "application/json"}
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            got.status = response.status
            if response.status == 200:
                self.admitted.append(name)
            if response.status == 200 and stream:
                self._read_stream(response, got, leave_at=draw.choice((None, None, None, 3)))
            elif response.status == 200:
                told = json.loads(response.read())["usage"]["completion_tokens"]
                got.tokens, got.step, got.whole = told, told, True
            else:
                response.read()
                self._over.wait(0.1)  # as clients do that are refused
        finally:
            got.over = True
            connection.close()

    def _read_stream(self, response: http.client.HTTPResponse, got: Got, leave_at: int | None) -> None:
        count = 0
        while line := response.readline():
            if line == b"data: [DONE]\n":
                got.whole = True
            if not line.startswith(b"data: {"):
                continue
            count += 1
            if count == leave_at:
                got.left = True
                return
            event = json.loads(line[6:])
            if "error" in event:
                return
            tokens = (event["usage"] or {"completion_tokens": got.tokens})["completion_tokens"]
            got.step, got.tokens = max(got.step, tokens - got.tokens), max(tokens, got.tokens)
