"""A Responses request as a chat request: the same question in the words that everything behind this understands. Checks
only what a chat has no word for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from undiced.api.encoding import encode
from undiced.api.places import Places
from undiced.api.responses.items import Items
from undiced.api.responses.offered import Offered
from undiced.api.responses.parts import Parts
from undiced.api.schemas import NULL, ChatBody, Reasoning, ResponseFormat
from undiced.core.errors import InvalidRequestError
from undiced.text.thinking import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Collection

    from undiced.api.responses.offered import Called
    from undiced.api.responses.schemas import ResponseBody, TextFormat

_ROWS = "message.output_text.logprobs"
_HARMLESS = "reasoning.encrypted_content"  # thoughts are in plain text
_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "response_format.json_schema": "text.format",
    "tool_choice.allowed_tools": "tool_choice",
    "tool_choice.function": "tool_choice",
    "tool_call_id": "call_id",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """See the file's head.

    Attributes:
        places: what members of the chat request are called in the one that came.
        ignored: names of what was skipped.
        called: the tools, by the names that models may use. shown: those that are served, as they came.
        later: the system or the developer speaks in the middle, which few chat templates know.
    """

    chat: ChatBody
    places: Places
    ignored: tuple[str, ...]
    called: dict[str, Called]
    shown: list[msgspec.Raw]
    later: bool


def translated(wire: ResponseBody, efforts: Collection[str], *, gathered: bool = False) -> Translation:
    """The chat request.

    Args:
        efforts: how hard the model can be asked to think; empty if it does not think.
        gathered: what the system and the developer say in the middle goes to the beginning.

    Raises:
        InvalidRequestError: an impossible item or tool; `param` names the member of this body.
        NotServedError: what would be lost.
    """
    parts = Parts()
    offered = Offered(parts)
    items = Items(parts, offered, gathered)
    offered.take(wire.tools or [], "tools")
    if wire.instructions:
        items.instruct(wire.instructions)
    if isinstance(wire.input, str):
        items.say(wire.input)
    else:
        for at, raw in enumerate(wire.input):
            items.take(raw, f"input[{at}]")
    offered.settle()
    messages, names = items.messages()
    if not messages:
        raise InvalidRequestError(
            "input is empty.", remedy="Send a text, or the items of a conversation.", param="input"
        )
    rows = _rows(wire, parts)
    chat = ChatBody(
        model=wire.model,
        messages=messages,
        tools=offered.tools,
        tool_choice=offered.choice(wire.tool_choice),
        parallel_tool_calls=wire.parallel_tool_calls,
        response_format=_format(wire, parts),
        reasoning=Reasoning(effort=_effort(wire, efforts, parts)),
        reasoning_format="parsed",
        logprobs=rows,
        top_logprobs=wire.top_logprobs if rows else None,
        max_completion_tokens=wire.max_output_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        min_p=wire.min_p,
        seed=wire.seed,
        cache_salt=wire.cache_salt,
        service_tier=wire.service_tier,
        stream=wire.stream,
    )
    places = Places({**_NAMES, **names, **offered.names})
    return Translation(chat, places, tuple(parts.ignored), offered.called, offered.shown, items.later)


def _effort(wire: ResponseBody, efforts: Collection[str], parts: Parts) -> str | None:
    """How hard the model shall think. A model that does not think is not told: agents ask all models alike."""
    effort = None if wire.reasoning is None else wire.reasoning.effort
    if efforts or effort not in EFFORTS:
        return effort
    parts.skip("reasoning.effort")
    return None


def _rows(wire: ResponseBody, parts: Parts) -> bool:
    """Whether log-probabilities are told."""
    for name in wire.include or ():
        if name not in (_ROWS, _HARMLESS):
            parts.skip(f"include.{name}")
    return _ROWS in (wire.include or ()) or bool(wire.top_logprobs)


def _format(wire: ResponseBody, parts: Parts) -> ResponseFormat | None:
    if wire.text is None:
        return None
    if wire.text.verbosity not in (None, "medium"):
        parts.skip("text.verbosity")
    found = wire.text.format
    if found is None:
        return None
    if found.type != "json_schema":
        return ResponseFormat(found.type)
    return ResponseFormat(found.type, _named(found))


def _named(found: TextFormat) -> msgspec.Raw:
    """A schema as chats have it, below its name; without one it is missing there, too."""
    schema = {} if found.schema == NULL else {"schema": found.schema}
    return msgspec.Raw(encode({"name": found.name, "strict": found.strict, **schema}))
