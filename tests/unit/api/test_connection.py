"""Clients that are slow, silent, endless or too many: each is answered or closed, and the others are served."""

from __future__ import annotations

import asyncio
import json
import logging
import resource

import pytest
import uvicorn
from test_server import served
from uvicorn.server import ServerState

from undiced.api.budget import Budget
from undiced.api.connection import connection_class
from undiced.api.open_files import affordable
from undiced.api.settings import Settings

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
GOOD = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


class Wire:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], dict]:
        """Status, headers and JSON of the next response."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(fields["content-length"]))
        return int(head[0].split()[1]), fields, json.loads(body)

    async def closed(self) -> bool:
        """Whether the server ends the connection within seconds."""
        try:
            async with asyncio.timeout(3):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def limits(**fields: float) -> Settings:
    return Settings(**{"head_timeout_s": 0.3, "body_timeout_s": 0.3, "linger_s": 0.3, **fields})


async def wired(make, scenario, **options):
    """As `served`, for a scenario that takes a client, a function that opens wires, and the caller."""
    wires = []

    async def run(client, caller, server, drained):
        async def dial():
            wires.append(Wire(*await asyncio.open_connection("127.0.0.1", client.base_url.port)))
            return wires[-1]

        try:
            await scenario(client, dial, caller)
        finally:
            for wire in wires:
                wire.writer.close()
            await asyncio.gather(*(wire.writer.wait_closed() for wire in wires), return_exceptions=True)

    await served(make, run, **options)


async def still_serves(client):
    reply = await client.post("/v1/chat/completions", content=BODY)
    assert reply.status_code == 200


async def test_a_body_that_does_not_arrive_gets_408_and_is_closed(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(HEAD + b"content-length: 5000\r\n\r\n{")
        for _ in range(4):  # trickling does not help
            await asyncio.sleep(0.05)
            await wire.send(b" ")
        status, headers, body = await wire.answer()
        assert (status, headers["connection"], body["error"]["code"]) == (408, "close", "request_timeout")
        assert body["status_code"] == 408 and "0.3 seconds" in body["error"]["message"]
        assert await wire.closed()
        await still_serves(client)
        assert not caller.service.running

    await wired(make, scenario, settings=limits())


async def test_what_the_application_does_not_answer_is_logged_once_with_the_id_that_the_client_saw(make, caplog):
    caplog.set_level(logging.INFO, "undiced.request")

    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\nno size\r\n")
        _, _, bad = await wire.answer()
        wire = await dial()
        await wire.send(b"no http\r\n\r\n")
        _, _, foreign = await wire.answer()
        await asyncio.sleep(0.05)
        told = [record.fields for record in caplog.records if record.name == "undiced.request"]
        assert [(fields["id"], fields["path"], fields["status"]) for fields in told] == [
            (bad["error"]["id"], "/v1/chat/completions", 400),
            (foreign["error"]["id"], "-", 400),
        ]

    await wired(make, scenario)


@pytest.mark.parametrize("sent", [b"POST /v1/chat", b"GET / HTTP/1.1\r\nhost: localhost\r\n"])
async def test_a_head_that_does_not_arrive_gets_408(make, sent):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(sent)
        status, _, body = await wire.answer()
        assert (status, body["error"]["code"]) == (408, "request_timeout")
        assert await wire.closed()
        await still_serves(client)

    await wired(make, scenario, settings=limits())


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
async def test_silent_connections_are_closed(make, sent):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(sent)
        assert await wire.closed()
        await still_serves(client)

    await wired(make, scenario, settings=limits())


async def test_a_second_request_is_held_to_the_same_times(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(GOOD)
        assert (await wire.answer())[0] == 200
        await wire.send(b"GET /health HT")
        status, _, body = await wire.answer()
        assert (status, body["error"]["code"]) == (408, "request_timeout")
        assert await wire.closed()

    await wired(make, scenario, settings=limits())


async def test_slow_answers_are_not_slow_requests(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(GOOD)
        assert (await wire.answer())[0] == 200

    await wired(make, scenario, settings=limits(head_timeout_s=0.1, body_timeout_s=0.1), delay_s=0.03)


async def test_a_refused_body_is_read_for_a_while_only(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(HEAD + b"content-length: 999999999\r\n\r\n")
        assert (await wire.answer())[0] == 413
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(100):
                await wire.send(b" " * 1000)
                await asyncio.sleep(0.02)
        await still_serves(client)

    await wired(make, scenario, settings=limits())


async def test_a_connection_lives_on_after_a_refused_body_that_ends(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(HEAD + b"content-length: 2000\r\n\r\n" + b" " * 1000)
        assert (await wire.answer())[0] == 413
        await wire.send(b" " * 1000 + GOOD)
        assert (await wire.answer())[0] == 200

    await wired(make, scenario, settings=limits(max_body_bytes=500))


async def test_endless_headers_get_431(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(b"GET /health HTTP/1.1\r\nx-long: ")
        await asyncio.sleep(0.05)
        await wire.send(b"a" * 4000)
        status, _, body = await wire.answer()
        assert (status, body["error"]["code"]) == (431, "headers_too_large")
        assert await wire.closed()
        await still_serves(client)

    await wired(make, scenario, settings=limits(max_head_bytes=3000))


async def test_what_is_no_http_is_told_so_in_json(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(b"\x16\x03\x01\x02\x00 no http\r\n\r\n")
        status, _, body = await wire.answer()
        assert (status, body["error"]["type"]) == (400, "invalid_request_error")
        assert await wire.closed()
        await still_serves(client)

    await wired(make, scenario)


async def test_a_body_that_is_no_http_is_told_so(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.05)
        await wire.send(b"ZZ\r\n")
        status, _, body = await wire.answer()
        assert (status, body["error"]["type"]) == (400, "invalid_request_error")
        assert await wire.closed()
        await still_serves(client)
        assert not caller.service.running

    await wired(make, scenario)


async def test_connections_over_the_limit_get_503_and_room_comes_back(make):
    async def scenario(client, dial, caller):
        held = [await dial() for _ in range(3)]
        for wire in held:
            await wire.send(GOOD)
            assert (await wire.answer())[0] == 200
        extra = await dial()
        await extra.send(GOOD)
        status, headers, body = await extra.answer()
        assert (status, body["error"]["code"], headers["retry-after"]) == (503, "service_unavailable", "5")
        assert await extra.closed()
        await held[0].send(GOOD)
        assert (await held[0].answer())[0] == 200, "those that were there are served"
        held[1].writer.close()
        await asyncio.sleep(0.1)
        await still_serves(client)

    await wired(make, scenario, settings=Settings(max_connections=3))


async def test_a_flood_of_connections_is_dropped(make):
    async def scenario(client, dial, caller):
        wires = [await dial() for _ in range(80)]
        assert await wires[-1].closed()
        for wire in wires:
            wire.writer.close()
        await asyncio.sleep(0.1)
        await still_serves(client)

    await wired(make, scenario, settings=Settings(max_connections=2))


KEY = b"authorization: Bearer sesame\r\n"
KEYED = GOOD.replace(b"\r\n", b"\r\n" + KEY, 1)
GUARDED = {"api_key": "sesame", "max_connections": 6, "max_strangers": 3}


async def closings(wires):
    """Which of them the server has closed."""

    async def is_closed(wire):
        try:
            async with asyncio.timeout(0.2):
                await wire.reader.read()
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    return await asyncio.gather(*map(is_closed, wires))


HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", HEAD + b"content-length: 500\r\n\r\n{", HEALTH])
async def test_who_shows_no_key_leaves_room_for_who_does(make, sent):
    """Whether it is silent, slow, or asks for what is everybody's."""

    async def scenario(client, dial, caller):
        wires = []
        for _ in range(20):
            wires.append(await dial())
            await wires[-1].send(sent)
        keyed = await dial()
        await keyed.send(KEYED)
        assert (await keyed.answer())[0] == 200
        assert sum(await closings(wires)) >= 17

    await wired(make, scenario, settings=Settings(**GUARDED))


async def test_whose_place_another_one_gets_is_told_so_if_it_had_begun_to_speak(make):
    async def scenario(client, dial, caller):
        begun, silent = await dial(), await dial()
        await begun.send(b"GET / HT")
        await asyncio.sleep(0.05)
        for _ in range(3):
            await dial()
        status, headers, body = await begun.answer()
        assert (status, headers["connection"]) == (503, "close")
        assert body["error"]["message"] == "The server has too many connections. Try again in a few seconds."
        assert await silent.closed()

    await wired(make, scenario, settings=Settings(**GUARDED))


async def test_who_has_shown_its_key_keeps_its_place(make):
    async def scenario(client, dial, caller):
        keyed = [await dial() for _ in range(3)]
        for wire in keyed:
            await wire.send(KEYED)
            assert (await wire.answer())[0] == 200
        wires = [await dial() for _ in range(30)]
        assert (await closings(keyed), (await closings(wires)).count(False)) == ([False] * 3, 3)
        for wire in keyed:
            await wire.send(KEYED)
            assert (await wire.answer())[0] == 200

    await wired(make, scenario, settings=Settings(**GUARDED))


async def test_who_waits_for_an_answer_is_not_driven_away(make):
    async def scenario(client, dial, caller):
        working = []
        for _ in range(4):
            working.append(await dial())
            await working[-1].send(KEYED)
            await asyncio.sleep(0.02)
        wires = [await dial() for _ in range(30)]
        for wire in working:
            assert (await wire.answer())[0] == 200
        assert (await closings(wires)).count(False) <= 3

    await wired(make, scenario, settings=Settings(**{**GUARDED, "max_connections": 8}), delay_s=0.02)


async def test_who_shows_no_key_may_be_silent_for_a_short_time_alone(make):
    async def scenario(client, dial, caller):
        silent, refused, keyed = await dial(), await dial(), await dial()
        await refused.send(GOOD)
        await keyed.send(KEYED)
        assert ((await refused.answer())[0], (await keyed.answer())[0]) == (401, 200)
        assert await silent.closed() and await refused.closed()
        await keyed.send(KEYED)
        assert (await keyed.answer())[0] == 200

    await wired(make, scenario, settings=Settings(api_key="sesame", stranger_s=0.2))


class Pipe(asyncio.Transport):
    """A transport that only notes its end."""

    aborted = False

    def get_extra_info(self, name, default=None):
        return default

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True


async def test_a_client_that_never_reads_is_dropped_and_a_slow_one_is_not():
    config = uvicorn.Config(lambda *_: None, lifespan="off", ws="none")
    config.load()
    kind = connection_class(settings := limits(read_timeout_s=0.1), Budget(settings))
    pipes = []
    for reads_on in (False, True):
        connection, pipe = kind(config=config, server_state=ServerState(), app_state={}), Pipe()
        pipes.append(pipe)
        connection.connection_made(pipe)
        connection.pause_writing()
        if reads_on:
            await asyncio.sleep(0.05)
            connection.resume_writing()
    await asyncio.sleep(0.15)
    assert [pipe.aborted for pipe in pipes] == [True, False]


def test_the_limit_fits_the_limit_of_open_files(monkeypatch):
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, pair: asked.append(pair))
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 4096))
    assert affordable(2048) == 2048 and asked == [(2240, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 1024))
    assert affordable(2048) == 1024 - 192
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY,) * 2)
    assert affordable(2048) == 2048 and len(asked) == 2


async def test_options_of_the_whole_server_are_told_and_are_still_for_known_hosts(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n")
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 204 ") and b"\r\nallow: GET, HEAD, POST, OPTIONS\r\n" in head
        assert b"\r\nx-request-id: " in head and b"content-length" not in head
        await wire.send(b"OPTIONS * HTTP/1.1\r\nhost: elsewhere.test\r\n\r\n")
        assert (await wire.answer())[0] == 403
        await wire.send(b"GET * HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await wire.answer())[0] == 400

    await wired(make, scenario)
