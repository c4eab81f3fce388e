"""Streams of the Messages API: taken apart, held to every rule about their order, and put together as clients do."""

from __future__ import annotations

import json

Event = tuple[str, dict]
DELTAS = {
    "text": {"text_delta": "text"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "tool_use": {"input_json_delta": "partial_json"},
}


def events_of(body: bytes) -> list[Event]:
    """(name, data) of every event; each has a name, which its data repeats."""
    found = []
    for block in body.decode().split("\n\n")[:-1]:
        first, second = block.split("\n")
        name, data = first.removeprefix("event: "), json.loads(second.removeprefix("data: "))
        assert first.startswith("event: ") and second.startswith("data: ") and data["type"] == name
        found.append((name, data))
    return found


def message_of(events: list[Event]) -> dict:
    """The message that a whole stream tells."""
    events = [event for event in events if event[0] != "ping"]
    assert [name for name, _ in events[-2:]] == ["message_delta", "message_stop"]
    assert events[0][0] == "message_start"
    message = events[0][1]["message"]
    assert (message["content"], message["stop_reason"], message["usage"]["output_tokens"]) == ([], None, 0)
    assert message["usage"]["input_tokens"] > 0
    blocks = events[1:-2]
    while blocks:
        end = [name for name, _ in blocks].index("content_block_stop")
        message["content"].append(_block(blocks[: end + 1], len(message["content"])))
        blocks = blocks[end + 1 :]
    last = events[-2][1]
    return message | last["delta"] | {"usage": last["usage"]}


def _block(events: list[Event], index: int) -> dict:
    assert all(data["index"] == index for _, data in events)
    assert [name for name, _ in events[1:-1]] == ["content_block_delta"] * (len(events) - 2)
    assert events[0][0] == "content_block_start"
    block = events[0][1]["content_block"]
    kinds = [data["delta"]["type"] for _, data in events[1:-1]]
    assert set(kinds) <= DELTAS[block["type"]].keys()
    said = dict.fromkeys(DELTAS[block["type"]].values(), "")
    for _, data in events[1:-1]:
        name = DELTAS[block["type"]][data["delta"]["type"]]
        assert data["delta"][name]
        said[name] += data["delta"][name]
    if block["type"] == "tool_use":
        assert block["input"] == {}
        return block | {"input": _input(said["partial_json"])}
    assert not any(block[name] for name in said)
    assert block["type"] == "text" or (kinds.count("signature_delta") == 1 and kinds[-1] == "signature_delta")
    return block | said


def _input(text: str) -> object:
    """Arguments of a call; those of one that was cut are none."""
    try:
        return json.loads(text)
    except ValueError:
        return {}
