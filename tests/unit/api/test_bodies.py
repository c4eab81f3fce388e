"""Bodies: how much memory all of them may take, when it comes back, and that no single one stops the streams."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_connection import HEAD, limits, wired

from undiced.api.budget import Budget
from undiced.api.settings import Settings
from undiced.api.shape import MAX_NESTS, MAX_STRINGS, MAX_VALUES, measure
from undiced.core.errors import InvalidRequestError, UnavailableError

TEXT = HEAD.replace(b"chat/", b"")
MOST = 4 << 20
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def counts(value):
    """Strings, containers and members of a JSON value, the slow way."""
    if isinstance(value, str):
        return 1, 0, 0
    if not isinstance(value, list | dict):
        return 0, 0, 0
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    strings, nests, members = map(sum, zip((0, 1, len(value)), *map(counts, inner), strict=True))
    return strings, nests, members


@given(JSON, st.booleans())
def test_a_shape_counts_what_there_is(value, ascii_only):
    found = measure(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))
    strings, nests, members = counts(value)
    assert (found.strings, found.nests) == (strings, nests)
    assert members <= found.values <= members + nests
    assert found.text_bytes >= len(value) if isinstance(value, str) else True


@pytest.mark.parametrize(("text", "what"), [
    (b"[" + b"1," * MAX_VALUES + b"1]", "values"), (b"[" + b"{}," * MAX_NESTS + b"{}]", "nested"),
    (b"[" * (MAX_NESTS + 1), "nested"), (b"[" + b'"",' * MAX_STRINGS + b'""]', "strings"),
    (b"[" + b'"\\\\",' * (2 * MAX_STRINGS) + b'""]', "strings"),
    (b'["\\"' + b'",1,"' * MAX_STRINGS + b'"]', "strings"),
])  # fmt: skip
def test_shapes_that_would_take_long_are_refused(text, what):
    with pytest.raises(InvalidRequestError, match=what):
        measure(text)


def test_text_is_not_counted():
    measure(b'["' + b'[{,1,}]\\\\\\"' * 300000 + b'"]')


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400)), max_size=60))
def test_a_budget_is_the_sum_of_what_is_held(steps):
    budget = Budget(Settings(max_held_bytes=1000, free_held_bytes=100))
    held = [budget.hold() for _ in range(6)]
    for which, size in steps:
        try:
            held[which].resize(size)
        except UnavailableError:
            assert size > held[which].size
        assert budget.used == sum(max(0, one.size - 100) for one in held) <= 1000
    for one in held:
        with one:
            pass
    assert budget.used == 0


def text(prompt="x", **fields):
    return json.dumps({"model": "m", "prompt": prompt, **fields}).encode()


def post(body, extra=b"", length=None):
    return TEXT + extra + b"content-length: %d\r\n\r\n" % (len(body) if length is None else length) + body


async def until_free(caller, seconds=3):
    async with asyncio.timeout(seconds):
        while caller.service.bodies.budget.used:
            await asyncio.sleep(0.01)


async def test_stalled_bodies_share_a_budget_and_small_requests_pass(make):
    async def scenario(client, dial, caller):
        wires = []
        for _ in range(12):
            wires.append(await dial())
            await wires[-1].send(post(b" " * 90000, length=100000))
        await asyncio.sleep(0.1)
        used = caller.service.bodies.budget.used
        assert 400000 < used <= 500000
        refused = 0
        for wire in wires:
            if wire.reader._buffer:
                status, headers, body = await wire.answer()
                assert (status, headers["retry-after"], body["error"]["code"]) == (503, "5", "service_unavailable")
                refused += 1
        assert refused == 12 - 500000 // 80000
        assert (await client.post("/v1/completions", content=text())).status_code == 200
        for wire in wires:
            wire.writer.transport.abort()
        await until_free(caller)
        assert (await client.post("/v1/completions", content=text("x" * 90000))).status_code == 400

    settings = Settings(max_held_bytes=500000, free_held_bytes=10000)
    await wired(make, scenario, settings=settings)


PATHS = {
    "answered": (post(text()), 200),
    "too long": (post(text("x" * 200000)), 400),
    "no json": (post(b"[" * 200000), 400),
    "no json, small": (post(b"{" * 20000), 400),
    "many ids": (post(text([1] * 60000)), 400),
    "another model": (post(text("x" * 100000, model="other")), 404),
    "gzip": (post(gzip.compress(text("x" * 300000)), b"content-encoding: gzip\r\n"), 400),
    "damaged gzip": (post(gzip.compress(text("x" * 300000))[:-9], b"content-encoding: gzip\r\n"), 400),
    "late": (post(b" " * 90000, length=99999), 408),
    "too large": (post(b" " * 90000, length=99999999), 413),
    "chunked": (TEXT + b"transfer-encoding: chunked\r\n\r\n11170\r\n" + b" " * 70000 + b"\r\nZZ\r\n", 400),
    "another path": (post(b" " * 90000).replace(b"completions", b"nothing"), 404),
}


@pytest.mark.parametrize("path", PATHS)
async def test_memory_comes_back_whatever_happens(make, path):
    async def scenario(client, dial, caller):
        sent, status = PATHS[path]
        wire = await dial()
        await wire.send(sent)
        assert (await wire.answer())[0] == status
        if path not in ("late", "too large", "chunked"):
            await until_free(caller)
        wire.writer.close()
        await until_free(caller)

    await wired(make, scenario, settings=limits(max_held_bytes=10 << 20, free_held_bytes=100))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_memory_comes_back_from_clients_that_leave(make, part, how):
    async def scenario(client, dial, caller):
        sent = post(text("x" * 400000))
        wire = await dial()
        await wire.send(sent[: int(len(sent) * part)])
        await asyncio.sleep(0.05)
        assert caller.service.bodies.budget.used > 10000
        if how == "resets":
            raw = wire.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.writer.transport.abort()
        await until_free(caller)

    await wired(make, scenario, settings=Settings(free_held_bytes=100))


async def test_a_small_gzip_counts_as_what_it_becomes(make):
    async def scenario(client, dial, caller):
        packed = gzip.compress(text(" " * 3_000_000))
        assert len(packed) < 5000
        replies = [
            client.post("/v1/completions", content=packed, headers={"content-encoding": "gzip"}) for _ in range(12)
        ]
        statuses = [reply.status_code for reply in await asyncio.gather(*replies)]
        assert set(statuses) == {400, 503} and statuses.count(400) <= 4
        await until_free(caller)

    await wired(make, scenario, settings=Settings(max_held_bytes=16 << 20))


def test_a_byte_order_mark_is_skipped(caller):
    assert caller.post("/v1/completions", b"\xef\xbb\xbf" + text()).status == 200
    assert caller.post("/v1/completions", b"\xef\xbb\xbf").status == 400


@pytest.mark.parametrize(("kind", "status"), [
    ("application/json", 200), ("application/json; charset=utf-8", 200), ('Application/JSON;charset="UTF-8"', 200),
    ("application/vnd.api+json", 200), ("", 200), ("application/x-www-form-urlencoded", 200), ("text/plain", 200),
    ("multipart/form-data; boundary=x", 415), ("application/msgpack", 415), ("application/json; charset=latin-1", 415),
    ("application/json; charset=utf-16", 415), ("text/html", 415),
])  # fmt: skip
def test_types_of_bodies(caller, kind, status):
    assert caller.post("/v1/completions", text(), headers={"content-type": kind}).status == status


PACKED = gzip.compress(text(), mtime=0)


@pytest.mark.parametrize("packed", [PACKED + b"x", PACKED * 2, PACKED[:-1], b"no gzip", b""])
def test_gzip_bodies_that_are_not_one_whole_member(caller, packed):
    assert caller.post("/v1/completions", packed, headers={"content-encoding": "gzip"}).status == 400


def fill(unit, head, tail):
    return head + unit * ((MOST - len(head) - len(tail)) // len(unit)) + tail


TURN = b'{"role":"user","content":[%b]}' % b",".join([b'{"type":"text","text":"a"}'] * 6)
P, M = b'{"model":"m","prompt":', b'{"model":"m","messages":'
HOSTILE = {
    "ids": fill(b"1,", P + b"[", b"1]}"),
    "large ids": fill(b"1234567,", P + b"[", b"1]}"),
    "lists": fill(b"[],", P + b"[", b"[]]}"),
    "deep": fill(b"[", P, b""),
    "prompts": fill(b'"a",', P + b"[", b'"a"]}'),
    "escapes": fill(b"\\u00e9", P + b'"', b'"}'),
    "quotes": fill(b'\\"', P + b'"', b'"}'),
    "digits": fill(b"1", P + b"[", b"]}"),
    "spaces": fill(b" ", P + b'"x"', b"}"),
    "messages": fill(b'{"role":"user","content":""},', M + b"[", b'{"role":"user","content":"x"}]}'),
    "turns": M + b"[" + b",".join([TURN] * 4000) + b"]}",
    "parts": fill(b"{},", M + b'[{"role":"user","content":[', b"{}]}]}"),
    "stops": fill(b'"a",', P + b'"x","stop":[', b'"a"]}'),
    "stop ids": fill(b"1,", P + b'"x","stop_token_ids":[', b"1]}"),
    "one key": fill(b"1", P + b'"x","logit_bias":{"', b'":1}}'),
    "keys": P + b'"x","logit_bias":{' + b",".join(b'"%d":1' % at for at in range(390000)) + b"}}",
    "members": P + b'"x",' + b",".join(b'"%d":1' % at for at in range(390000)) + b"}",
    "small chunks": b"1\r\n \r\n" * 200000 + b"0\r\n\r\n",
    "unknown": fill(b"[],", P + b'"x","zzz":[', b"[]]}"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_single_request_stops_the_streams(make, name):
    """The longest time between two turns of the event loop, from the request's first byte to its answer."""
    body = HOSTILE[name]
    sent = post(body, b"connection: close\r\n")
    if name == "small chunks":
        sent = TEXT + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n" + body
    if body.startswith(M):
        sent = sent.replace(b"/v1/comp", b"/v1/chat/comp")

    async def scenario(client, dial, caller):
        longest = []
        for _ in range(5):
            wire, clock, gaps = await dial(), asyncio.get_running_loop().time, [0.0]

            async def tick(clock=clock, gaps=gaps):
                last = clock()
                while True:
                    await asyncio.sleep(0.001)
                    gaps.append(clock() - last)
                    last = clock()

            ticking = asyncio.create_task(tick())
            for at in range(0, len(sent), 1 << 16):
                await wire.send(sent[at : at + (1 << 16)])
            assert (await wire.answer())[0] in (200, 400, 413)
            ticking.cancel()
            longest.append(max(gaps))
            if longest[-1] < 0.1:
                return
        raise AssertionError(f"the event loop stood still for {min(longest):.3f} s")

    await wired(make, scenario)
