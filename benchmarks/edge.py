"""How many tokens per second pass the HTTP process, from an engine whose steps take no time. One JSON line per
measurement.

    python benchmarks/edge.py [--tokens 19200] [--streams 1 64] [--rounds 5] [--paths chat responses messages]
                              [--engine turns process] [--auth [KEYS]]

The server runs in a process of its own, on one core; the reader is a plain socket in this one. Everything of the server
is the real one, from the frames of the engine on; only who sends these frames is scripted. A step is one frame, with
one token of every sequence that runs. Of two engines, `turns` sends a frame in each turn of the event loop, so nothing
is ever read or written together that belongs to two steps. `process` is a process that sends as fast as it can: frames
wait in the socket, and a turn may read several. Tokens are spread over the streams of a measurement; ratios of the wire
formats are against the first one. `cpu_us` is processor time of the server process per token.

With `--auth` the same server has a second port at which it asks for keys, of which its SQLite database has so many; the
two ports are measured in turn, and the ratios are of the second to the first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import uvloop
from edge_keys import check_keys, first_tokens, make_accounts, open_guard

from undiced.api.address import bind
from undiced.api.app import build_app
from undiced.api.deployment import Deployment, ModelCard
from undiced.api.server import Site, serve
from undiced.api.service import Service
from undiced.api.settings import Settings
from undiced.engine.backend import Limits
from undiced.remote.client import EngineClient
from undiced.remote.connection import Connection
from undiced.remote.frames import (
    Accepted,
    Cancel,
    Finish,
    Hold,
    Step,
    Submit,
    ToEngine,
    client_reader,
    encode,
    engine_reader,
)
from undiced.remote.spec import EngineSpec
from undiced.serve import Delta, FinishReason, UsageEvent
from undiced.text import PromptOptions

WORD = b" token"
ASK = [{"role": "user", "content": "Go on."}]
PATHS = {
    "chat": ("/v1/chat/completions", {"messages": ASK}, "max_tokens"),
    "responses": ("/v1/responses", {"input": ASK}, "max_output_tokens"),
    "messages": ("/v1/messages", {"messages": ASK}, "max_tokens"),
}
CONTEXT = 1 << 20
Given = argparse.Namespace
LIMITS = Limits(1 << 10, 1 << 16, CONTEXT, 1 << 16, 1 << 10, 2, "host")


class Words:
    """A tokenizer of one word."""

    vocab_size, bos_id, eos_ids, add_bos, space_prefix, control = 2, None, frozenset({1}), False, False, frozenset({1})

    def encode(self, text: str, *, special: bool = False, continuation: bool = False) -> list[int]:
        return [0]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(map(self.token_text, ids))

    def id_of(self, name: str) -> int | None:
        return None

    def token_bytes(self, token: int) -> bytes:
        return b"" if token else WORD

    def token_text(self, token: int) -> str:
        return self.token_bytes(token).decode()


class Talk:
    """A template of nothing but a word."""

    def pieces(self, messages: object, options: PromptOptions | None = None) -> list[str]:
        return [" token"]


class Script:
    """What the engine says: one frame a step."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}  # tokens that each sequence still has to say
        self._most: dict[str, int] = {}
        self._held: set[str] = set()
        self._running: list[str] = []
        self._plain = b""  # the frame of a step in which nothing begins or ends
        self._again = 0  # how often it can still be sent

    def obey(self, message: ToEngine) -> bytes:
        """Do what the HTTP process says; returns the frames that answer it."""
        self._again, said = 0, b""
        if isinstance(message, Submit):
            request = message.request
            self.left[request.id] = self._most[request.id] = request.max_tokens
            said = encode(Accepted(request.id))
        elif isinstance(message, Hold):
            (self._held.add if message.held else self._held.discard)(message.request_id)
        elif isinstance(message, Cancel | Finish) and message.request_id in self.left:
            reason: FinishReason = message.reason if isinstance(message, Finish) else "cancelled"
            said = encode(Step([self._last(message.request_id, [], reason)], None))
        self._running = [name for name in self.left if name not in self._held]
        return said

    def step(self) -> bytes:
        """The frame of the next step; nothing if nothing runs."""
        if not self._again:
            self._plan()
        if self._again:
            self._again -= 1
            for name in self._running:
                self.left[name] -= 1
            return self._plain
        deltas = []
        for name in self._running:
            self.left[name] -= 1
            deltas.append(Delta(name, [0]) if self.left[name] else self._last(name, [0], "length"))
        self._running = [name for name in self._running if name in self.left]
        return encode(Step(deltas, None)) if deltas else b""

    def _plan(self) -> None:
        self._again = min((self.left[name] for name in self._running), default=1) - 1
        self._plain = encode(Step([Delta(name, [0]) for name in self._running], None))

    def _last(self, name: str, tokens: list[int], reason: FinishReason) -> Delta:
        made = self._most.pop(name) - self.left.pop(name)
        return Delta(name, tokens, finish_reason=reason, usage=UsageEvent(name, reason, 1, 0, made, 0, 0, 1, 0, "host"))


class Turns:
    """The engine `turns`, in place of a connection to one: what it says is there in each turn of the loop, as if it
    had just been read.
    """

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        self._script = Script()
        self._said: list[bytes] = []
        self._goes = False

    def send(self, message: ToEngine) -> None:
        self._said.append(self._script.obey(message))
        if not self._goes:
            self._goes = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        said, self._said = self._said, []
        self._received(b"".join(said) + self._script.step())
        self._goes = bool(self._script.left)
        if self._goes:
            asyncio.get_running_loop().call_soon(self._turn)


def run_engine(link: socket.socket) -> None:
    """The engine `process`: sends as fast as frames are read, or as their socket holds them."""
    script, reader = Script(), engine_reader()
    while True:
        said = script.step()
        if not said or select.select([link], [], [], 0)[0]:
            said += b"".join(map(script.obey, reader.feed(link.recv(1 << 16))))
        link.sendall(said)


def run_server(tell: Pipe, link: socket.socket | None, accounts: str | None = None) -> None:
    """Serve until killed, on the first core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    uvloop.run(serve_engine(tell, link, accounts))


def feed(client: EngineClient, data: bytes) -> None:
    """Let a client have frames without a link."""
    client._relay.feed(data)
    reader = client_reader()
    while frame := client._relay.take():
        for message in reader.feed(frame):
            client._engine._received(message)


async def serve_engine(tell: Pipe, link: socket.socket | None, accounts: str | None) -> None:
    """Serve with the engine at the other end of the link, or with `turns`; `accounts`: whose keys are asked for at
    a second port.
    """
    client = EngineClient(EngineSpec())
    supervisor = client._engine  # of a process that is there already
    connection = Connection(supervisor._received, lambda: None, client._relay)
    supervisor.state, supervisor.limits = "ready", LIMITS
    supervisor._connection = connection if link is not None else Turns(partial(feed, client))
    if link is not None:
        connection.open(link)
    settings = Settings()
    service = Service([Deployment(ModelCard("m", 0, CONTEXT, "edge"), client, Words(), Talk(), settings)], settings)
    sock, beside = bind("127.0.0.1", 0), []
    tell.send(sock.getsockname()[1])
    if accounts is not None:
        app = build_app(service, await open_guard(accounts))
        beside = [Site(app, bind("127.0.0.1", 0), settings, service.bodies.budget)]
        tell.send(beside[0].sock.getsockname()[1])
    await serve(service, sock, on_ready=lambda: tell.send("ready"), on_drain=lambda _: None, beside=beside)


def request(path: str, tokens: int, key: str = "", connection: str = "close") -> bytes:
    """A request for a stream of so many tokens, as it is sent."""
    target, members, limit = PATHS[path]
    body = json.dumps({"model": "m", "stream": True, limit: tokens, **members}).encode()
    head = (
        f"POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: {connection}\r\n"
    )
    keyed = f"authorization: Bearer {key}\r\n" if key else ""
    return (head + keyed).encode() + b"content-length: %d\r\n\r\n" % len(body) + body


async def read(port: int, path: str, streams: int, tokens: int, key: str = "") -> float:
    """Tokens per second of so many streams together, from the first request to the last byte."""
    sent = request(path, tokens // streams, key)

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        words, rest = 0, b""
        while data := await reader.read(1 << 18):
            words += (rest + data).count(WORD)
            rest = data[1 - len(WORD) :]  # a word may be cut
        writer.close()
        return words

    started = time.perf_counter()
    found = sum(await asyncio.gather(*(one() for _ in range(streams))))
    assert found >= tokens // streams * streams, found
    return tokens / (time.perf_counter() - started)


async def first_token(port: int, key: str) -> float:
    """Milliseconds from a request to its first token."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began_s = time.perf_counter()
    writer.write(request("chat", 2, key))
    await reader.readuntil(WORD)
    found_ms = (time.perf_counter() - began_s) * 1e3
    await reader.read()
    writer.close()
    return found_ms


def cpu_s(pid: int) -> float:
    """Processor seconds that a process' threads have used."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def measure(port: int, pid: int, engine: str, streams: int, given: Given) -> None:
    """Measure and print all wire formats, one after another in each round."""
    speeds: dict[str, list[float]] = {path: [] for path in given.paths}
    used_s = dict.fromkeys(given.paths, 0.0)
    for _ in range(given.rounds):
        for path in given.paths:
            before_s = cpu_s(pid)
            speeds[path].append(uvloop.run(read(port, path, streams, given.tokens)))
            used_s[path] += cpu_s(pid) - before_s
    base = speeds[given.paths[0]]
    for path, own in speeds.items():
        line = {
            "engine": engine,
            "path": path,
            "streams": streams,
            "tokens_per_second": round(statistics.median(own)),
            "cpu_us": round(used_s[path] / given.rounds / given.tokens * 1e6, 1),
            f"over_{given.paths[0]}": round(statistics.median(a / b for a, b in zip(own, base, strict=True)), 3),
        }
        print(json.dumps(line), flush=True)


def measure_keys(ports: tuple[int, int], pid: int, key: str, streams: int, given: Given) -> None:
    """Measure a port that asks for keys against one that does not, in turn, and print."""
    for path in given.paths:
        speeds: tuple[list[float], list[float]] = ([], [])
        used_s: tuple[list[float], list[float]] = ([], [])
        for at in range(given.rounds):
            for which in (0, 1) if at % 2 else (1, 0):
                before_s = cpu_s(pid)
                found = read(ports[which], path, streams, given.tokens, key if which else "")
                speeds[which].append(uvloop.run(found))
                used_s[which].append(cpu_s(pid) - before_s)
        line = {
            "path": path,
            "streams": streams,
            "tokens_per_second": round(statistics.median(speeds[0])),
            "with_keys": round(statistics.median(speeds[1])),
            "speed_ratio": round(statistics.median(b / a for a, b in zip(*speeds, strict=True)), 3),
            "cpu_us": round(statistics.median(used_s[0]) / given.tokens * 1e6, 2),
            "cpu_us_with_keys": round(statistics.median(used_s[1]) / given.tokens * 1e6, 2),
        }
        print(json.dumps(line), flush=True)


def compare_keys(given: Given, folder: Path) -> None:
    """A server with the engine `turns` and two ports, of which one asks for keys."""
    url, keys = make_accounts(folder, given.auth, 300)
    print(json.dumps({"keys": given.auth, **uvloop.run(check_keys(url, keys))}), flush=True)
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    server = processes.Process(target=run_server, args=(there, None, url), daemon=True)
    server.start()
    try:
        ports = (here.recv(), here.recv())
        assert here.recv() == "ready"
        print(json.dumps(uvloop.run(first_tokens(first_token, ports, keys[0], 400))), flush=True)
        for streams in given.streams:
            measure_keys(ports, server.pid or 0, keys[0], streams, given)
    finally:
        server.terminate()
        server.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=19_200)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--paths", nargs="+", choices=list(PATHS), default=list(PATHS))
    parser.add_argument("--engine", nargs="+", choices=["turns", "process"], default=["turns", "process"])
    parser.add_argument("--auth", type=int, nargs="?", const=100_000, metavar="KEYS")
    given = parser.parse_args()
    if given.auth is not None:
        with tempfile.TemporaryDirectory() as folder:
            compare_keys(given, Path(folder))
        return
    processes = multiprocessing.get_context("spawn")
    for engine in given.engine:
        links = socket.socketpair() if engine == "process" else (None, None)
        here, there = processes.Pipe()
        started = [processes.Process(target=run_server, args=(there, links[0]), daemon=True)]
        if links[1] is not None:
            started.append(processes.Process(target=run_engine, args=(links[1],), daemon=True))
        try:
            for process in started:
                process.start()
            port = here.recv()
            assert here.recv() == "ready"
            socket.create_connection(("127.0.0.1", port)).close()
            for streams in given.streams:
                measure(port, started[0].pid or 0, engine, streams, given)
        finally:
            for process in started:
                process.terminate()
                process.join()


if __name__ == "__main__":
    main()
