"""A panic of a library is no `Exception`. Wherever it is raised, the client gets an error, and it is counted.
The connection and all other requests go on.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from scripted import ByteTokenizer, LineChat
from test_server import served

TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
PANICS = "~"


class Panic(BaseException):
    pass


class Fragile(ByteTokenizer):
    """Panics on one character, in whatever it is asked of it."""

    def encode(self, text, **options):
        return self.unless(PANICS in text, super().encode(text, **options))

    def id_of(self, name):
        return self.unless(PANICS in name, super().id_of(name))

    def token_bytes(self, token):
        return self.unless(token == ord(PANICS), super().token_bytes(token))

    def unless(self, panics, result):
        if panics:
            raise Panic("index out of bounds")
        return result


class FragileChat(LineChat):
    def pieces(self, messages, options=None):
        if messages[-1]["content"] == "template" + PANICS:
            raise Panic("index out of bounds")
        return super().pieces(messages, options)


def fragile(make):
    def build(**options):
        caller = make(chat=FragileChat, context=1 << 16, **options)
        caller.deployment.tokenizer = caller.deployment.prompts.tokenizer = Fragile()
        return caller

    return build


def asked(path, text, **fields):
    what = {"prompt": text} if path == TEXT else {"messages": [{"role": "user", "content": text}]}
    return {"model": "m", "max_tokens": 30, **what, **fields}


async def counted(client, series):
    lines = (await client.get("/metrics")).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), 0.0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "text", "fields"),
    [
        (TEXT, "a" + PANICS, {}),
        (TEXT, ["a", "a" + PANICS], {}),
        (TEXT, "a" * 5000 + PANICS, {}),
        (TEXT, [97, ord(PANICS)], {"echo": True}),
        (TEXT, "a", {"stop": PANICS}),
        (CHAT, "a" + PANICS, {}),
        (CHAT, "a" * 20_000 + PANICS, {}),
        (CHAT, "template" + PANICS, {}),
    ],
)
async def test_a_panic_before_an_answer_is_an_error_of_that_request(make, path, text, fields, stream):
    async def scenario(client, caller, server, drained):
        answer = await client.post(path, json=asked(path, text, stream=stream, **fields))
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_failure")
        assert answer.json()["error"]["id"] == answer.headers["x-request-id"]
        series = f'undiced_requests_total{{code="500",path="{path}"}}'
        assert await counted(client, series) == 1
        assert (await client.post(path, json=asked(path, "a"))).status_code == 200
        assert not caller.service.running

    await served(fragile(make), scenario)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("path", [TEXT, CHAT])
async def test_a_panic_in_a_stream_ends_it_with_an_error_event(make, path, n):
    async def scenario(client, caller, server, drained):
        answer = await client.post(path, json=asked(path, "a", stream=True, n=n, temperature=1))
        events = [line[6:] for line in answer.text.splitlines() if line]
        assert answer.status_code == 200 and len(events) > n
        last = json.loads(events[-1])
        assert (last["status_code"], last["error"]["code"]) == (500, "engine_failure")
        assert last["error"]["id"] == answer.headers["x-request-id"]
        assert await counted(client, 'undiced_stream_errors_total{code="engine_failure",model="m"}') == 1
        assert len(caller.engine.cancelled) == n and not caller.service.running
        whole = await client.post(path, json=asked(path, "a"))
        assert (whole.status_code, whole.json()["error"]["code"]) == (500, "engine_failure")

    await served(fragile(make), scenario, text="fine" + PANICS)


async def test_other_streams_go_on_while_requests_panic(make):
    async def scenario(client, caller, server, drained):
        good = asyncio.create_task(client.post(CHAT, json=asked(CHAT, "a", stream=True)))
        while not caller.engine.submitted:
            await asyncio.sleep(0.005)
        for _ in range(5):
            assert (await client.post(CHAT, json=asked(CHAT, PANICS))).status_code == 500
        assert (await good).text.endswith("data: [DONE]\n\n")

    await served(fragile(make), scenario, delay_s=0.01)
