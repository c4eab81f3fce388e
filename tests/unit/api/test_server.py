"""Binding, draining and stopping, with a real socket in a process of its own where signals are involved."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time

import httpx
import pytest

from undiced.api.address import AddressError, bind
from undiced.api.server import serve
from undiced.api.settings import Settings


def test_a_port_in_use_is_one_clear_error():
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=f"Port {port} on 127.0.0.1 is in use.*--port {port + 1}"):
            bind("127.0.0.1", port)


def test_unknown_hosts_and_foreign_addresses_are_refused():
    with pytest.raises(AddressError, match="can't be resolved"):
        bind("no.such.host.invalid", 8000)
    with pytest.raises(AddressError, match="--host"):
        bind("203.0.113.7", 8000)


async def served(make, scenario, *, on_drain=None, lost=None, sock=None, **options):
    """Serve a scripted engine in this loop, run the scenario against it, return what it returns."""
    caller = make(**options)
    sock, ready, drained = sock or bind("127.0.0.1", 0), asyncio.Event(), []
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    tell = on_drain or drained.append
    server = asyncio.create_task(serve(caller.service, sock, on_ready=ready.set, on_drain=tell, lost=lost))
    await asyncio.wait_for(ready.wait(), 5)
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            return await scenario(client, caller, server, drained)
    finally:
        if not server.done():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(server, 10)


CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}


async def test_sigterm_lets_streams_finish_and_refuses_the_rest(make):
    async def scenario(client, caller, server, drained):
        async with client.stream("POST", "/v1/chat/completions", json=CHAT) as stream:
            lines = stream.aiter_lines()
            await anext(lines)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)
            assert (await client.get("/health")).status_code == 503
            refused = await client.post("/v1/chat/completions", json=CHAT)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            rest = [line async for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        await asyncio.wait_for(server, 5)
        assert drained == [1]

    await served(make, scenario, delay_s=0.02)


@pytest.mark.parametrize(("drain_s", "status"), [(5.0, 200), (0.1, 503)])
async def test_a_drain_waits_for_prompts_that_are_still_tokenized(make, drain_s, status):
    async def scenario(client, caller, server, drained):
        pieces = caller.deployment.chat.pieces

        def slow(messages, options):
            time.sleep(0.4)
            return pieces(messages)

        caller.deployment.chat.pieces = slow
        body = {"model": "m", "messages": [{"role": "user", "content": "x" * 50}]}
        request = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        while not caller.service.running:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await request).status_code == status
        await asyncio.wait_for(server, 5)
        assert not caller.service.running

    await served(make, scenario, settings=Settings(inline_chars=10, drain_s=drain_s))


@pytest.mark.parametrize("streamed", [True, False])
async def test_what_does_not_end_in_time_ends_with_an_error(make, streamed):
    async def scenario(client, caller, server, drained):
        request = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT | {"stream": streamed}))
        while not caller.service.running:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        reply = await asyncio.wait_for(request, 5)
        await asyncio.wait_for(server, 5)
        if streamed:
            assert '"status_code":503' in reply.text.strip().split("\n\n")[-1]
        else:
            assert reply.status_code == 503
        assert len(caller.engine.cancelled) == 1

    await served(make, scenario, hang_at=5, settings=Settings(drain_s=0.2))


async def test_a_drain_goes_on_though_nobody_can_be_told(make):
    def gone(running):
        raise OSError("the terminal has gone")

    async def scenario(client, caller, server, drained):
        async with client.stream("POST", "/v1/chat/completions", json=CHAT) as stream:
            lines = stream.aiter_lines()
            await anext(lines)
            os.kill(os.getpid(), signal.SIGINT)
            rest = [line async for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        await asyncio.wait_for(server, 5)

    await served(make, scenario, on_drain=gone, delay_s=0.02)


@pytest.fixture
def hangups():
    """SIGHUP is heard, though whoever runs the tests may ignore it, as nohup does; a server leaves that as it is."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


async def test_a_terminal_that_closes_drains_and_never_hurries(make, hangups):
    async def scenario(client, caller, server, drained):
        async with client.stream("POST", "/v1/chat/completions", json=CHAT) as stream:
            lines = stream.aiter_lines()
            await anext(lines)
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGHUP)
                await asyncio.sleep(0.02)
            rest = [line async for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        await asyncio.wait_for(server, 5)
        assert drained == [1]

    await served(make, scenario, delay_s=0.02)


async def test_a_lost_engine_ends_the_server_and_what_hangs_with_an_error(make):
    lost = asyncio.get_running_loop().create_future()

    async def scenario(client, caller, server, drained):
        request = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
        while not caller.service.running:
            await asyncio.sleep(0.01)
        lost.set_result(None)
        await asyncio.sleep(0.05)
        assert (await client.get("/health")).status_code == 503
        reply = await asyncio.wait_for(request, 10)
        assert '"status_code":503' in reply.text.strip().split("\n\n")[-1]
        await asyncio.wait_for(server, 10)
        assert drained == [], "nobody asked for a drain"

    await served(make, scenario, lost=lost, hang_at=5)


async def test_a_second_signal_hurries(make):
    async def scenario(client, caller, server, drained):
        request = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
        while not caller.service.running:
            await asyncio.sleep(0.01)
        began = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.gather(request, asyncio.wait_for(server, 5))
        assert time.perf_counter() - began < 2

    await served(make, scenario, hang_at=5)


async def test_a_closed_connection_cancels_the_sequence(make):
    async def scenario(client, caller, server, drained):
        async with client.stream("POST", "/v1/chat/completions", json=CHAT) as stream:
            await anext(stream.aiter_lines())
        for _ in range(200):
            if caller.engine.ended:
                break
            await asyncio.sleep(0.01)
        assert [event.finish_reason for event in caller.engine.ended] == ["cancelled"]
        assert (await client.get("/health")).status_code == 200

    await served(make, scenario, hang_at=5)


async def test_a_request_that_has_half_arrived_keeps_no_server_from_ending(make):
    async def scenario(client, caller, server, drained):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500\r\n\r\n{")
        await asyncio.sleep(0.1)
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        told = await asyncio.wait_for(reader.read(), 5)
        await asyncio.wait_for(server, 5)
        assert time.monotonic() - began < 2
        assert told.startswith(b"HTTP/1.1 503 ") and b"shutting down" in told
        writer.close()

    await served(make, scenario)


async def test_half_requests_and_rubbish_do_no_harm(make):
    async def scenario(client, caller, server, drained):
        address = ("127.0.0.1", client.base_url.port)
        for rubbish in (b"\x00\xff\n\n", b"GET", b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 50\r\n\r\n{"):
            with socket.create_connection(address) as sock:
                sock.sendall(rubbish)
                await asyncio.sleep(0.02)
        assert (await client.get("/health")).status_code == 200

    await served(make, scenario)
