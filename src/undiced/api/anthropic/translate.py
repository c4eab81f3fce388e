"""From a request of the Messages API to a chat request, which is checked and answered as any other. Checks nothing that
the chat request's own path checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from undiced.api.anthropic.schemas import MessagesBody, OutputConfig
from undiced.api.anthropic.tools import choice, functions
from undiced.api.anthropic.turns import Turns
from undiced.api.places import Places
from undiced.api.schemas import NULL, ChatBody, ResponseFormat
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Collection

    from undiced.api.anthropic.schemas import CountBody, OutputFormat, ThinkingConfig
    from undiced.api.schemas import Message

_ENABLED, _ADAPTIVE = "enabled", "adaptive"
_TYPES = (_ENABLED, "disabled", _ADAPTIVE)
_OMITTED = "omitted"
_DISPLAYS = ("summarized", _OMITTED)
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_EFFORT = "output_config.effort"
_NAMES = {  # members of a chat request that have another name here, wherever they come from
    "stop": "stop_sequences",
    "tool_call_id": "tool_use_id",
    "enable_thinking": "thinking.type",
    "reasoning_max_tokens": "thinking.budget_tokens",
    "reasoning_effort": _EFFORT,
    "response_format": "output_config.format",
    "response_format.json_schema": "output_config.format",
}


@dataclass(frozen=True, slots=True)
class Translated:
    """A chat request that means the same.

    Attributes:
        places: where its members come from. skipped: what it leaves out.
        omits: thoughts are not told.
    """

    body: ChatBody
    places: Places
    skipped: tuple[str, ...]
    omits: bool


def blocks_in(wire: CountBody) -> int:
    """How much there is to translate."""
    return len(wire.messages) + sum(len(turn.content) for turn in wire.messages if isinstance(turn.content, list))


def translated(wire: CountBody, efforts: Collection[str]) -> Translated:
    """The chat request. efforts: how hard the model can be asked to think; empty if it does not think.

    Raises:
        InvalidRequestError: an unknown word, or something in the wrong place; `param` names the member.
        NotServedError: images, documents, tools that a service runs.
    """
    turns = Turns()
    if wire.system:
        turns.system(wire.system)
    for at, turn in enumerate(wire.messages):
        turns.turn(turn, at)
    if not wire.messages:
        raise InvalidRequestError("messages is empty.", remedy="Send at least one message.", param="messages")
    names = turns.names | _NAMES
    tools, dated = functions(wire.tools or (), names)
    config = wire.output_config or OutputConfig()
    thinks = _thinks(wire.thinking)
    effort, unheard = _effort(config.effort, thinks, efforts)
    body = ChatBody(
        model=wire.model,
        messages=turns.messages,
        max_tokens=wire.max_tokens if isinstance(wire, MessagesBody) else None,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        stop=wire.stop_sequences,
        stream=wire.stream,
        tools=tools or None,
        tool_choice=choice(wire.tool_choice),
        parallel_tool_calls=_parallel(wire),
        enable_thinking=thinks,
        reasoning_effort=effort,
        reasoning_max_tokens=None if wire.thinking is None else _budget(wire.thinking),
        reasoning_format="text_parsed",
        response_format=None if config.format is None else _format(config.format),
        continue_final_message=_continues(turns.messages[-1]) or None,
    )
    omits = wire.thinking is not None and wire.thinking.display == _OMITTED
    return Translated(body, Places(names), (*turns.skipped, *dated, *unheard), omits)


def _parallel(wire: CountBody) -> bool | None:
    one = wire.tool_choice is not None and wire.tool_choice.disable_parallel_tool_use
    return False if one else None


def _continues(last: Message) -> bool:
    """Whether the answer goes on with the last message: what the assistant has begun to say."""
    return last.role == "assistant" and not last.tool_calls


def _thinks(wire: ThinkingConfig | None) -> bool | None:
    """Whether the model shall think; None leaves it to the model."""
    if wire is None:
        return None
    if wire.type not in _TYPES:
        raise InvalidRequestError(f"thinking.type must be one of {', '.join(_TYPES)}.", param="thinking.type")
    if wire.display not in (None, *_DISPLAYS):
        raise InvalidRequestError(f"thinking.display must be {' or '.join(_DISPLAYS)}.", param="thinking.display")
    return None if wire.type == _ADAPTIVE else wire.type == _ENABLED


def _budget(wire: ThinkingConfig) -> int | float | None:
    if wire.budget_tokens is not None and wire.type != _ENABLED:
        raise InvalidRequestError(
            "thinking.budget_tokens belongs to the type enabled.",
            param="thinking.budget_tokens",
            remedy="Leave it out.",
        )
    return wire.budget_tokens


def _effort(effort: str | None, thinks: bool | None, efforts: Collection[str]) -> tuple[str | None, tuple[str, ...]]:
    """How hard the model shall think, and what of it is skipped: a model that does not think, or shall not, works as
    hard as it can.
    """
    if effort is None:
        return None, ()
    if effort not in _EFFORTS:
        raise InvalidRequestError(f"{_EFFORT} must be one of {', '.join(_EFFORTS)}.", param=_EFFORT)
    if thinks is False or not efforts:
        return None, (_EFFORT,)
    return effort, ()


def _format(wire: OutputFormat) -> ResponseFormat:
    if wire.type != "json_schema":
        message = f"output_config.format.type must be json_schema, not '{wire.type[:40]}'."
        raise InvalidRequestError(message, param="output_config.format.type")
    if wire.schema == NULL:
        message = "output_config.format.schema is required."
        raise InvalidRequestError(message, param="output_config.format.schema")
    return ResponseFormat("json_schema", msgspec.Raw(b'{"strict":true,"schema":%b}' % bytes(wire.schema)))
