"""HTTP as clients speak it: offers to upgrade, old versions, large refused bodies, requests sent ahead."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest
from test_connection import BODY, GOOD, HEAD, limits, still_serves, wired

STREAM = json.dumps({**json.loads(BODY), "stream": True}).encode()
UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "websocket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n",
    "unknown": b"Upgrade: tea/1\r\nConnection: upgrade\r\n",
}
LAST = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def request(body=BODY, extra=b"", version=b"1.1"):
    return HEAD.replace(b"HTTP/1.1", b"HTTP/" + version) + extra + b"content-length: %d\r\n\r\n" % len(body) + body


def chunked(body, extra=b"", size=7):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        HEAD
        + extra
        + b"transfer-encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        + b"0\r\n\r\n"
    )


async def rest(wire, seconds=5):
    """All that comes until the server ends the connection."""
    async with asyncio.timeout(seconds):
        return await wire.reader.read()


def split(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("framed", [request, chunked])
@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "streamed"])
async def test_an_offer_to_upgrade_is_ignored(make, upgrade, framed, body):
    async def scenario(client, dial, caller):
        sent = framed(body, UPGRADES[upgrade])
        cut = sent.index(b"\r\n\r\n") + 4
        for pieces in (
            [sent + LAST],
            [sent[:cut], sent[cut:], LAST],
            [sent[:cut] + sent[cut : cut + 9], sent[cut + 9 :] + LAST],
        ):
            wire = await dial()
            for piece in pieces:
                await wire.send(piece)
                await asyncio.sleep(0.02)
            answer = await rest(wire)
            assert answer.count(b"HTTP/1.1 200") == 2, "the request and the one after it on the same connection"
            assert b"Hello" in answer or b"data: [DONE]" in answer

    await wired(make, scenario)


async def test_http_2_without_asking_gets_a_clear_answer(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18)
        status, _, body = await wire.answer()
        assert status == 505 and "HTTP/1.1" in body["error"]["message"]
        assert await wire.closed()

    await wired(make, scenario)


async def test_http_1_0_gets_plain_bytes_and_the_end(make):
    async def scenario(client, dial, caller):
        for body in (BODY, STREAM):
            for extra in (b"", b"connection: close\r\n"):
                wire = await dial()
                await wire.send(request(body, extra, b"1.0"))
                status, headers, told = split(await rest(wire))
                assert (status, headers["connection"]) == (200, "close") and "transfer-encoding" not in headers
                if body is BODY:
                    assert len(told) == int(headers["content-length"])
                else:
                    assert told.startswith(b"data: ") and told.endswith(b"data: [DONE]\n\n")

    await wired(make, scenario)


async def test_http_1_0_may_keep_its_connection(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        for _ in range(2):
            await wire.send(request(extra=b"connection: Keep-Alive\r\n", version=b"1.0"))
            status, headers, _ = await wire.answer()
            assert (status, headers["connection"]) == (200, "keep-alive")
        await wire.send(request(STREAM, b"connection: keep-alive\r\n", b"1.0"))
        status, headers, told = split(await rest(wire))
        assert headers["connection"] == "close" and told.endswith(b"data: [DONE]\n\n")

    await wired(make, scenario)


async def test_a_head_request_gets_no_body(make):
    async def scenario(client, dial, caller):
        for path in (b"/health", b"/v1/models", b"/metrics", b"/", b"/nothing"):
            wire = await dial()
            await wire.send(b"HEAD %b HTTP/1.1\r\nhost: localhost\r\n\r\n" % path + LAST)
            answer = await rest(wire)
            first, second = answer.split(b"HTTP/1.1 ")[1:]
            _, headers, body = split(b"HTTP/1.1 " + first)
            assert int(headers["content-length"]) > 0 and not body
            assert b'"status":"ok"' in second

    await wired(make, scenario)


LARGE = 3 << 20


@pytest.mark.parametrize("extra", [b"", b"connection: close\r\n"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_refusal_reaches_a_client_that_is_still_sending(make, extra, version):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(request(b" " * LARGE, extra, version))  # all of it, before anything is read
        status, _, body = await wire.answer()
        assert (status, body["error"]["code"]) == (413, "request_too_large")
        if version == b"1.1" and not extra:
            await wire.send(GOOD)
            assert (await wire.answer())[0] == 200
        else:
            assert await wire.closed()

    await wired(make, scenario, settings=limits(max_body_bytes=10000, linger_s=5))


@pytest.mark.parametrize(("start", "status"), [
    (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ", 431), (b"GET / HTTP/1.1\nhost: ", 400), (b"\x16\x03\x01", 400),
    (b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403),
    (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nt: ", 431),
    (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n", 501),
    (HEAD + b"transfer-encoding: chunked\r\n\r\nZZ\r\n", 400),
    (HEAD + b"expect: tea\r\ncontent-length: 9999999\r\n\r\n", 417),
])  # fmt: skip
async def test_every_refusal_does(make, start, status):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(start + b"a" * LARGE)
        assert (await wire.answer())[0] == status
        await still_serves(client)

    await wired(make, scenario, settings=limits(linger_s=5))


async def test_a_late_head_is_told_so_although_it_goes_on(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        for _ in range(12):
            await wire.send(b"GET" if not _ else b"a")
            await asyncio.sleep(0.05)
        assert (await wire.answer())[0] == 408

    await wired(make, scenario, settings=limits())


async def test_what_is_thrown_away_is_bounded(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await wire.send(request(b" " * LARGE, b"connection: close\r\n"))
            for _ in range(200):
                await wire.send(b" " * 100000)
                await asyncio.sleep(0.01)
        await still_serves(client)

    await wired(make, scenario, settings=limits(max_body_bytes=1000, linger_bytes=100000, linger_s=5))


async def test_an_expectation_is_met_once_and_not_for_what_is_refused(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
        async with asyncio.timeout(2):
            assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(BODY)
        assert (await wire.answer())[0] == 200
        await wire.send(HEAD + b"expect: 100-continue\r\ncontent-length: 9999999\r\n\r\n")
        status, headers, _ = await wire.answer()
        assert (status, headers["connection"]) == (413, "close"), "what comes next may be that body or a request"

    await wired(make, scenario)


async def test_the_head_s_limit_is_exact_over_sockets(make):
    async def scenario(client, dial, caller):
        for size, status in ((65536, 200), (65537, 431)):
            for step in (size, 30000):
                start = LAST[:-2] + b"x: "
                sent = start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"
                wire = await dial()
                for at in range(0, size, step):
                    await wire.send(sent[at : at + step])
                    await asyncio.sleep(0.01)
                assert (await wire.answer())[0] == status

    await wired(make, scenario)


async def test_requests_that_are_sent_ahead_are_answered_in_turn(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(request(STREAM) + chunked(BODY) + request(b"{") + GOOD + request(b" " * 300000) + LAST)
        answer = await rest(wire)
        found = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
        assert found == [200, 200, 400, 200, 400, 200]

    await wired(make, scenario, delay_s=0.002)


@pytest.mark.parametrize("ahead", [b"", GOOD, request(b" " * 60000), request(b" " * (2 << 20))], ids=len)
@pytest.mark.parametrize("how", ["ends", "resets"])
async def test_a_client_that_leaves_is_noticed_whatever_it_sent_ahead(make, ahead, how):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(request(STREAM))
        await wire.reader.readuntil(b"data: ")
        wire.writer.write(ahead)
        await asyncio.sleep(0.05)
        if how == "resets":
            wire.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        wire.writer.transport.abort()
        async with asyncio.timeout(4):
            while not caller.engine.ended:
                await asyncio.sleep(0.02)
        assert [event.finish_reason for event in caller.engine.ended] == ["cancelled"]

    await wired(make, scenario, hang_at=5)


async def test_a_client_that_sends_endlessly_ahead_is_cut_off(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(request(STREAM))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(1000):
                await wire.send(b"GET / HTTP/1.1\r\nx: " + b"a" * 10000)
                assert caller.service.bodies.budget.used < 200000
        assert (await client.get("/health")).status_code == 200

    settings = limits(max_body_bytes=100000, linger_bytes=1 << 20, max_head_bytes=1000)
    await wired(make, scenario, hang_at=5, settings=settings)


async def test_what_is_too_much_to_be_kept_ends_the_connection_after_the_answer(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(request(STREAM) + request(b" " * 200000) + LAST)
        answer = await rest(wire)
        assert answer.count(b"HTTP/1.1 ") == 1 and answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    await wired(make, scenario, delay_s=0.005, settings=limits(max_body_bytes=100000, max_head_bytes=1000))


async def test_a_half_closed_client_has_left(make):
    async def scenario(client, dial, caller):
        wire = await dial()
        await wire.send(request(STREAM))
        wire.writer.write_eof()
        async with asyncio.timeout(4):
            while not caller.engine.ended:
                await asyncio.sleep(0.02)

    await wired(make, scenario, hang_at=5)
