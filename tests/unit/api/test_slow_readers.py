"""A client that reads slowly, over a real socket: what it is told is complete, and the engine does not wait for it."""

from __future__ import annotations

import asyncio
import json
import socket

from eager import EagerEngine
from scripted import build_caller
from test_server import served

from undiced.api.address import bind
from undiced.api.app import build_app
from undiced.api.deployment import Deployment
from undiced.api.service import Service

TOKENS = 1500


def around(engine: EagerEngine):
    """Makes a caller of an application around an engine that runs ahead."""

    def make(**_):
        caller = build_caller(context=2 * TOKENS)
        deployment = Deployment(caller.deployment.card, engine, caller.deployment.tokenizer, None)
        caller.service = Service([deployment])
        caller.app = build_app(caller.service)
        return caller

    return make


def narrow() -> socket.socket:
    """A socket to serve on whose connections hold little that was not read."""
    sock = bind("127.0.0.1", 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return sock


async def opened(client, **fields) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with a small window that has asked for a stream."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (client.base_url.host, client.base_url.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    ask = {"model": "m", "prompt": "x", "max_tokens": TOKENS, "stream": True, "ignore_eos": True, **fields}
    body = json.dumps(ask).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    writer.write(head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    return reader, writer


async def test_a_slow_reader_is_told_all_of_it_in_fewer_events():
    engine = EagerEngine(between=0)

    async def scenario(client, caller, server, drained):
        reader, writer = await opened(client, n=2)
        waiting = await reader.readexactly(100)
        while engine.running:  # it makes everything while nobody reads
            await asyncio.sleep(0.01)
        data = waiting + await reader.read(-1)
        writer.close()
        lines = [line for line in data.decode().splitlines() if line.startswith("data: {")]
        said, events = ["", ""], [json.loads(line[6:]) for line in lines]
        for event in events:
            for choice in event["choices"]:
                said[choice["index"]] += choice["text"]
        assert said == [(engine.text * TOKENS)[:TOKENS]] * 2
        assert b"[DONE]" in data and len(events) < 2 * TOKENS * 0.8, "what waited came together"
        assert [event.completion_tokens for event in engine.ended] == [TOKENS] * 2

    await served(around(engine), scenario, sock=narrow())


async def test_a_client_that_leaves_while_it_is_behind_leaves_nothing_running():
    engine = EagerEngine(between=0)

    async def scenario(client, caller, server, drained):
        reader, writer = await opened(client, n=2)
        await reader.readexactly(100)
        while not all(stream._paused for stream in engine.streams.values()):
            await asyncio.sleep(0)
        writer.transport.abort()
        while caller.service.running:
            await asyncio.sleep(0.005)
        while engine.running:
            await asyncio.sleep(0)
        assert {event.finish_reason for event in engine.ended} == {"cancelled"} and len(engine.ended) == 2
        assert sum(event.completion_tokens for event in engine.ended) < 2 * TOKENS

    await asyncio.wait_for(served(around(engine), scenario, sock=narrow()), 20)
