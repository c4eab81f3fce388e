"""How many tokens per second pass the HTTP process, from an engine that emits at once. One JSON line per measurement.

    python benchmarks/edge.py [--tokens 20000] [--streams 1 64] [--rounds 5] [--paths chat responses messages]

The server runs in a process of its own, on one core; the reader is a plain socket in this one. Tokens are spread over
the streams of a measurement; ratios of the wire formats are against chat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterable
from multiprocessing.connection import Connection

import uvloop

from undiced.api.deployment import Deployment, ModelCard
from undiced.api.server import bind, serve
from undiced.api.service import Service
from undiced.api.settings import Settings
from undiced.remote.client import Health
from undiced.serve import Delta, EngineStats, FinishReason, Request, UsageEvent
from undiced.text import PromptOptions

WORD = b" token"
ASK = [{"role": "user", "content": "Go on."}]
PATHS = {
    "chat": ("/v1/chat/completions", {"messages": ASK}, "max_tokens"),
    "responses": ("/v1/responses", {"input": ASK}, "max_output_tokens"),
    "messages": ("/v1/messages", {"messages": ASK}, "max_tokens"),
}


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


class Emitter:
    """An engine whose tokens are there already; lets the others have a turn after each."""

    health = Health("ready", 1.0, "", 0)

    async def submit(self, request: Request) -> AsyncIterator[Delta]:
        name, most = request.id, request.max_tokens
        for _ in range(most - 1):
            yield Delta(name, [0])
            await asyncio.sleep(0)
        yield Delta(name, [0], finish_reason="length")
        usage = UsageEvent(name, "length", 1, 0, most, 0, 0, 1, 0, "host")
        yield Delta(name, finish_reason="length", usage=usage)

    def finish(self, request_id: str, *, at_token: int, reason: FinishReason) -> None:
        pass

    def cancel(self, request_id: str, *, at_token: int) -> None:
        pass

    def end_thought(self, request_id: str) -> None:
        pass

    def stats(self) -> EngineStats:
        return EngineStats()


def run_server(tell: Connection) -> None:
    """Serve until killed, on the first core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    card = ModelCard("m", 0, 1 << 20, "edge")
    settings = Settings()
    service = Service([Deployment(card, Emitter(), Words(), Talk(), settings)], settings)
    sock = bind("127.0.0.1", 0)
    tell.send(sock.getsockname()[1])
    uvloop.run(serve(service, sock, on_ready=lambda: tell.send("ready"), on_drain=lambda _: None))


async def read(port: int, path: str, streams: int, tokens: int) -> float:
    """Tokens per second of so many streams together, from the first request to the last byte."""
    target, members, limit = PATHS[path]
    body = json.dumps({"model": "m", "stream": True, limit: tokens // streams, **members}).encode()
    head = f"POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n"
    sent = head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body

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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=19_200)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--paths", nargs="+", choices=list(PATHS), default=list(PATHS))
    given = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=run_server, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    assert here.recv() == "ready"
    socket.create_connection(("127.0.0.1", port)).close()
    try:
        for streams in given.streams:
            found: dict[str, list[float]] = {path: [] for path in given.paths}
            for _ in range(given.rounds):
                for path in given.paths:
                    found[path].append(uvloop.run(read(port, path, streams, given.tokens)))
            base = found[given.paths[0]]
            for path, speeds in found.items():
                ratio = statistics.median(own / other for own, other in zip(speeds, base, strict=True))
                line = {"path": path, "streams": streams, "tokens_per_second": round(statistics.median(speeds))}
                print(json.dumps(line | {f"over_{given.paths[0]}": round(ratio, 3)}))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
