"""Streams of the Responses API: held to every rule about their order that clients count on, and put together as they
do.
"""

from __future__ import annotations

from support.message_streams import Event

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_DELTAS = {  # the type of an item: what its text is called, and where it stands
    "message": ("output_text", "text"),
    "reasoning": ("reasoning_text", "text"),
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}
_GROWS = ("status", "content", "arguments", "input")  # members of an item that change until it is done


def response_of(events: list[Event]) -> dict:
    """The response that a whole stream tells; every item is put together from its deltas."""
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert [name for name, _ in events[:2]] == ["response.created", "response.in_progress"]
    final = events[-1][1]["response"]
    assert events[-1][0] in _ENDS and events[-1][0] == f"response.{final['status']}"
    for _, data in events[:2]:
        assert (data["response"]["status"], data["response"]["output"]) == ("in_progress", [])
        assert data["response"]["id"] == final["id"] and data["response"].keys() <= final.keys()
    output, rest = [], events[2:-1]
    while rest and "response.output_item.done" in (names := [name for name, _ in rest]):
        end = names.index("response.output_item.done") + 1
        output.append(_item(rest[:end], len(output)))
        rest = rest[end:]
    assert final["output"] == output
    assert not rest or final["status"] == "failed"
    return final


def _item(events: list[Event], index: int) -> dict:
    assert all(data["output_index"] == index for _, data in events)
    added, done = events[0][1]["item"], events[-1][1]["item"]
    assert events[0][0] == "response.output_item.added" and added["status"] == "in_progress"
    assert {k: v for k, v in added.items() if k not in _GROWS} == {k: v for k, v in done.items() if k not in _GROWS}
    inner = events[1:-1]
    assert all(data["item_id"] == added["id"] for _, data in inner)
    kind, member = _DELTAS[added["type"]]
    if "content" in added:
        assert added["content"] == []
        assert [inner[0][0], inner[-1][0]] == ["response.content_part.added", "response.content_part.done"]
        assert inner[0][1]["part"]["text"] == "" and inner[-1][1]["part"] == done["content"][0]
        assert all(data["content_index"] == 0 for _, data in inner)
        inner = inner[1:-1]
    else:
        assert added[member] == ""
    said = inner[-1][1][member]
    assert inner[-1][0] == f"response.{kind}.done"
    assert all(name == f"response.{kind}.delta" for name, _ in inner[:-1])
    assert "".join(data["delta"] for _, data in inner[:-1]) == said
    assert said == (done["content"][0]["text"] if "content" in done else done[member])
    if added["type"] == "message":
        rows = [row for _, data in inner[:-1] for row in data["logprobs"]]
        assert rows == inner[-1][1]["logprobs"] == done["content"][0]["logprobs"]
    return done
