"""Frame: what a response object says besides its output: what was asked, how it went, what it took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from undiced.api.encoding import encode

if TYPE_CHECKING:
    from undiced.api.chunks import Head
    from undiced.api.responses.schemas import ResponseBody
    from undiced.api.tally import Tally
    from undiced.api.validate import Job

_TEXT = {"format": {"type": "text"}}


class Frame:
    """Writes the response object of one request; what stays the same is written once.

    Args:
        shown: the tools that are served.
    """

    def __init__(self, head: Head, wire: ResponseBody, job: Job, shown: list[msgspec.Raw]) -> None:
        self._head = encode({"id": head.id, "object": "response", "created_at": head.created_s})[:-1]
        self._asked = b"," + encode(_asked(wire, job, shown) | {"model": head.model})[1:]

    def response(
        self, status: str, output: list[bytes], tally: Tally | None = None, error: dict[str, str] | None = None
    ) -> bytes:
        """The response object. output: its items. error: code and message."""
        cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
        ended = {"completed_at": time.time()} if status == "completed" else {}
        state = {"status": status, **ended, "error": error, "incomplete_details": cut}
        usage = encode(None if tally is None else _usage(tally))
        items = b",".join(output)
        parts = (self._head, b",", encode(state)[1:-1], b',"output":[', items, b'],"usage":', usage, self._asked)
        return b"".join(parts)


def _usage(tally: Tally) -> dict[str, object]:
    return {
        "input_tokens": tally.prompt_tokens,
        "input_tokens_details": {"cached_tokens": tally.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": tally.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": tally.reasoning_tokens},
        "total_tokens": tally.prompt_tokens + tally.completion_tokens,
    }


def _asked(wire: ResponseBody, job: Job, shown: list[msgspec.Raw]) -> dict[str, object]:
    effort = None if wire.reasoning is None else wire.reasoning.effort
    return {
        "background": False,
        "instructions": wire.instructions,
        "max_output_tokens": wire.max_output_tokens,
        "metadata": wire.metadata or {},
        "parallel_tool_calls": wire.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": effort, "summary": None},
        "service_tier": job.service_class or "default",
        "store": False,
        "temperature": job.sampling.temperature,
        "text": _text(wire),
        "tool_choice": wire.tool_choice or "auto",
        "tools": shown,
        "top_p": job.sampling.top_p,
        "truncation": "disabled",
    }


def _text(wire: ResponseBody) -> dict[str, object]:
    found = None if wire.text is None else wire.text.format
    if found is None or not found.type:
        return dict(_TEXT)
    if found.type != "json_schema":
        return {"format": {"type": found.type}}
    schema = msgspec.Raw(msgspec.json.format(bytes(found.schema), indent=-1))
    return {
        "format": {
            "type": found.type,
            "name": found.name,
            "description": found.description,
            "schema": schema,
            "strict": found.strict,
        }
    }
