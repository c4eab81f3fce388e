"""What a streamed token costs the HTTP process, from the engine's delta to the bytes for the socket."""

from __future__ import annotations

import asyncio
import time

import pytest
from scripted import ByteTokenizer

from undiced.remote.stream import Stream
from undiced.serve import Delta, UsageEvent
from undiced.text.formats import dialect_of

TOKENS = 4000
MOST_US = 45.0  # 8 for content and 14 for calls on a busy Zen 3 core; the margin is for slower machines


DIALECT = dialect_of('<tool_call>"name" </think>', ByteTokenizer())
CALL = b'<tool_call>{"name": "f", "arguments": {"a": "'


def deltas(begin: bytes):
    def submit(request, take):
        stream = Stream(request, take, lambda _: None, lambda _: None, 0.0)
        asyncio.get_running_loop().call_soon(emit, request.id, stream)
        return stream

    def emit(name, stream):
        stream.accept()
        tokens = (begin + b"tok_" * TOKENS)[:TOKENS]
        stream.push(Delta(name, [tokens[0]]), 0.0)
        asyncio.get_running_loop().call_later(0.001, rest, name, stream, tokens[1:])  # the headers go out

    def rest(name, stream, tokens):
        for token in tokens:
            stream.push(Delta(name, [token]), 0.0)
        usage = UsageEvent(name, "length", 1, 0, TOKENS, 0, 0, 1, 0, "host")
        stream.push(Delta(name, finish_reason="length", usage=usage), 0.0)

    return submit


@pytest.mark.parametrize("begin", [b"", b"<think>", CALL], ids=["content", "thought", "call"])
def test_a_streamed_token_costs_microseconds(make, begin):
    """Also where thoughts and calls are told apart, which adds up to three quarters."""
    caller = make(context=10 * TOKENS, **({"dialect": DIALECT} if begin else {}))
    caller.engine.submit = deltas(begin)
    tools = {"tools": [{"function": {"name": "f"}}]} if begin else {}
    costs = []
    for _ in range(5):
        began = time.process_time()
        reply = caller.chat(stream=True, stop=["never", "seen"], **tools)
        costs.append((time.process_time() - began) / TOKENS * 1e6)
    assert len(reply.writes) > TOKENS - len(CALL)
    assert min(costs) < MOST_US, costs


@pytest.mark.parametrize("begin", [b"", b"<think>", CALL], ids=["content", "thought", "call"])
def test_a_token_of_a_message_costs_about_what_one_of_a_chat_does(make, begin):
    caller = make(context=10 * TOKENS, **({"dialect": DIALECT} if begin else {}))
    caller.engine.submit = deltas(begin)
    ask = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": TOKENS, "stream": True}
    chats, messages = [], []
    for _ in range(5):
        tools = {"tools": [{"function": {"name": "f"}}]} if begin else {}
        chats.append(cost_us(lambda tools=tools: caller.chat(stream=True, **tools)))
        tools = {"tools": [{"name": "f", "input_schema": {}}]} if begin else {}
        messages.append(cost_us(lambda tools=tools: caller.post("/v1/messages", ask | tools)))
    assert min(messages) < min(chats) / 0.7, (messages, chats)


@pytest.mark.parametrize("begin", [b"", CALL], ids=["content", "call"])
def test_a_token_of_a_response_costs_about_what_one_of_a_chat_does(make, begin):
    caller = make(context=10 * TOKENS, **({"dialect": DIALECT} if begin else {}))
    caller.engine.submit = deltas(begin)
    chats, responses = [], []
    for _ in range(5):
        tools = {"tools": [{"function": {"name": "f"}}]} if begin else {}
        chats.append(cost_us(lambda tools=tools: caller.chat(stream=True, **tools)))
        tools = {"tools": [{"type": "function", "name": "f"}]} if begin else {}
        ask = {"input": "hi", "stream": True, **tools}
        responses.append(cost_us(lambda ask=ask: caller.post("/v1/responses", ask)))
    assert min(responses) < min(chats) / 0.7, (responses, chats)


def cost_us(call) -> float:
    """Processor time per streamed token."""
    began = time.process_time()
    reply = call()
    assert len(reply.writes) > TOKENS - len(CALL)
    return (time.process_time() - began) / TOKENS * 1e6
