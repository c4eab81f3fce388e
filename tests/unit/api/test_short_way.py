"""Tokens that go from the engine's frames to the client's socket in native code: clients see what they see without it,
to the byte, and every token is counted once.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal

import pytest
from eager import EagerEngine
from scripted import SCRIPT, build_caller
from support.databases import pepper, sqlite_template  # noqa: F401
from support.ledgers import Books
from test_meter import Door, books  # noqa: F401
from test_server import served
from test_slow_readers import TOKENS, narrow, opened

from undiced._native import Relay
from undiced.api.address import bind
from undiced.api.app import build_app
from undiced.api.deployment import Deployment
from undiced.api.meter import open_meter
from undiced.api.server import serve
from undiced.api.service import Service
from undiced.api.settings import Settings

ASK = [{"role": "user", "content": "Go on."}]
TEXT = SCRIPT + 'a "quote" \\ and\n\ta line, \x01\x7f\u2028 <|no|> \U0001f389 '
PATHS = {
    "completions": ("/v1/completions", {"prompt": "hi", "max_tokens": 150}),
    "usage": ("/v1/completions", {"prompt": "hi", "max_tokens": 150, "stream_options": {"include_usage": True}}),
    "chat": ("/v1/chat/completions", {"messages": ASK, "max_tokens": 150}),
    "messages": ("/v1/messages", {"messages": ASK, "max_tokens": 150}),
}
OTHERS = {
    "two": ("/v1/completions", {"prompt": "hi", "max_tokens": 50, "n": 2}),
    "stop": ("/v1/completions", {"prompt": "hi", "max_tokens": 50, "stop": "zz"}),
    "logprobs": ("/v1/completions", {"prompt": "hi", "max_tokens": 50, "logprobs": 1}),
    "continuous": (
        "/v1/completions",
        {
            "prompt": "hi",
            "max_tokens": 50,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        },
    ),
    "responses": ("/v1/responses", {"input": ASK, "max_output_tokens": 50}),
    "whole": ("/v1/completions", {"prompt": "hi", "max_tokens": 50, "stream": False}),
}
CHANGING = re.compile(
    rb'[0-9a-f]{24,}|"created[^,}]*|"[a-z]+_time":[0-9.e-]+|(date|x-request-id|content-length): [^\r]*'
)


def around(engine: EagerEngine, settings: Settings | None = None):
    """Makes a caller of an application around the engine."""

    def make(**_):
        caller = build_caller(settings, context=2 * TOKENS)
        parts = (caller.deployment.tokenizer, caller.deployment.chat, settings or Settings())
        caller.service = Service([Deployment(caller.deployment.card, engine, *parts)], settings or Settings())
        caller.app = build_app(caller.service)
        return caller

    return make


def parts(data: bytes) -> list[bytes]:
    """The head of an answer and its chunks, or its body, without what differs from answer to answer."""
    head, _, rest = data.partition(b"\r\n\r\n")
    found = [head]
    while b"chunked" in head and rest:
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        assert rest[int(size, 16) :][:2] == b"\r\n"
        rest = rest[int(size, 16) + 2 :]
    return [CHANGING.sub(b"?", part) for part in [*found, rest]]


async def told(
    engine: EagerEngine, path: str, fields: dict[str, object], settings: Settings | None = None
) -> list[bytes]:
    """The answer to one request, in parts."""

    async def scenario(client, caller, server, drained):
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        body = json.dumps({"model": "m", "stream": True, "ignore_eos": True} | fields).encode()
        if path == "/v1/messages" or path == "/v1/responses":
            body = body.replace(b'"ignore_eos": true, ', b"")
        head = b"POST %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" % path.encode()
        writer.write(head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        data = await reader.read(-1)
        writer.close()
        return parts(data)

    return await served(around(engine, settings), scenario)


def engine(relay: Relay | None, **options) -> EagerEngine:
    return EagerEngine(text=TEXT, relay=relay, **options)


def account(engine: EagerEngine) -> list[tuple[str, int]]:
    return [(event.finish_reason, event.completion_tokens) for event in engine.ended]


@pytest.mark.parametrize("per_step", [1, 3])
@pytest.mark.parametrize("name", PATHS)
async def test_the_bytes_are_the_same_with_and_without(name: str, per_step: int):
    with_it, without = engine(Relay(), per_step=per_step), engine(None, per_step=per_step)
    data = [await told(each, *PATHS[name]) for each in (with_it, without)]
    assert data[0] == data[1] and len(data[0]) > 50
    assert account(with_it) == account(without) == [("length", 150)]
    assert with_it.short > 60, "tokens take the short way, but for new ones and those that are no whole characters"


@pytest.mark.parametrize("name", OTHERS)
async def test_what_is_more_than_text_takes_the_long_way(name: str):
    with_it, without = engine(Relay()), engine(None)
    data = [await told(each, *OTHERS[name]) for each in (with_it, without)]
    assert data[0] == data[1]
    assert account(with_it) == account(without)
    assert with_it.short == 0


async def test_a_slow_reader_gets_all_of_it():
    with_it = EagerEngine(between=0, relay=Relay())

    async def scenario(client, caller, server, drained):
        reader, writer = await opened(client)
        waiting = await reader.readexactly(100)
        while with_it.running:  # it makes everything while nobody reads
            await asyncio.sleep(0.01)
        data = waiting + await reader.read(-1)
        writer.close()
        events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]
        assert "".join(choice["text"] for event in events for choice in event["choices"]) == ("abc" * TOKENS)[:TOKENS]
        assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    await served(around(with_it), scenario, sock=narrow())
    assert account(with_it) == [("length", TOKENS)] and 0 < with_it.short < TOKENS


async def test_a_client_that_leaves_is_charged_what_was_written():
    with_it = EagerEngine(every_s=0.001, relay=Relay())

    async def scenario(client, caller, server, drained):
        reader, writer = await opened(client)
        data = await reader.readuntil(b'"text":"c"')
        while with_it.short < 50:
            await asyncio.sleep(0)
        (answer,) = caller.service.answers.values()
        answer.settle()
        counted = answer.tokens
        assert counted == sum(with_it.made.values())
        writer.transport.abort()
        while caller.service.running or with_it.running:
            await asyncio.sleep(0.001)
        ((reason, tokens),) = account(with_it)
        assert reason == "cancelled" and counted <= tokens <= sum(with_it.made.values())
        return data

    await asyncio.wait_for(served(around(with_it), scenario), 20)


async def test_an_engine_that_dies_ends_the_stream_behind_its_tokens():
    with_it, without = engine(Relay(), dies_at=70), engine(None, dies_at=70)
    data = [await told(each, *PATHS["chat"]) for each in (with_it, without)]
    assert data[0] == data[1] and b"It broke." in b"".join(data[0]) and with_it.short > 15
    assert account(with_it) == account(without) == [("error", 70)]


@pytest.mark.parametrize("relayed", [True, False])
async def test_a_stream_that_speaks_needs_no_comments(relayed: bool):
    speaks = EagerEngine(every_s=0.02, relay=Relay() if relayed else None)
    fields = {"prompt": "x", "max_tokens": 20}
    data = await told(speaks, "/v1/completions", fields, Settings(keepalive_s=0.15))
    assert b": ping\n\n" not in data and bool(speaks.short) == relayed


async def test_a_ledger_counts_what_takes_the_short_way(books: Books):  # noqa: F811
    with_it = EagerEngine(text=TEXT, every_s=0.0005, relay=Relay())
    caller = around(with_it)()
    meter = await asyncio.to_thread(open_meter, books.accounts, books.accounts.instances.start().id)
    caller.service.meter = meter
    sock, ready = bind("127.0.0.1", 0), asyncio.Event()
    serving = serve(caller.service, sock, on_ready=ready.set, on_drain=lambda _: None, guard=Door(books))
    server = asyncio.create_task(serving)
    await asyncio.wait_for(ready.wait(), 5)
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    body = json.dumps({"model": "m", "stream": True, "prompt": "x", "max_tokens": 900}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(head + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    for short in (100, 300):
        while with_it.short < short:
            await asyncio.sleep(0)
        (answer,) = caller.service.answers.values()
        answer.settle()
        assert meter._progress._counts[0] == answer.tokens == sum(with_it.made.values())
    assert b"[DONE]" in await reader.read(-1)
    writer.close()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(server, 10)
    await asyncio.to_thread(meter.close)
    (row,) = books.rows().values()
    assert (row["state"], row["completion_tokens"], with_it.short > 500) == ("settled", 900, True)
