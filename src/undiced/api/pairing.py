"""Calls and their results in a conversation: every call has an id of its own and arguments that are an object, and is
followed by its result before anybody else speaks. A model would be told nonsense otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError
from undiced.text.formats.calls import json_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api.schemas import Message, ToolCall


def check_pairs(messages: Sequence[Message]) -> None:
    """Refuse calls and results that are not paired.

    Raises:
        InvalidRequestError: `param` names the call or the result.
    """
    seen: set[str] = set()
    waiting: dict[str, str] = {}  # ids of calls without a result, with their places
    for at, message in enumerate(messages):
        place = f"messages[{at}]"
        if message.role == "tool":
            _answer(message, place, waiting)
            continue
        _refuse_waiting(waiting)
        for number, call in enumerate(message.tool_calls or ()):
            _check_call(call, f"{place}.tool_calls[{number}]", seen)
            waiting[call.id] = f"{place}.tool_calls[{number}].id"
    _refuse_waiting(waiting)


def _answer(message: Message, place: str, waiting: dict[str, str]) -> None:
    param = f"{place}.tool_call_id"
    if not message.tool_call_id:
        raise InvalidRequestError(f"{param} is required.", param=param, remedy="Send the id of the call.")
    if waiting.pop(message.tool_call_id, None) is None:
        raise InvalidRequestError(
            f"{param}: no call before it waits for '{message.tool_call_id[:64]}'.",
            param=param,
            remedy="Send results behind the assistant's message with their calls, one for each.",
        )


def _refuse_waiting(waiting: dict[str, str]) -> None:
    for id_, place in waiting.items():
        raise InvalidRequestError(
            f"{place}: the call '{id_[:64]}' has no result.",
            param=place,
            remedy="Send its result, with that tool_call_id, behind it.",
        )


def _check_call(call: ToolCall, place: str, seen: set[str]) -> None:
    if not call.id:
        raise InvalidRequestError(f"{place}.id is required.", param=f"{place}.id")
    if call.id in seen:
        raise InvalidRequestError(f"{place}.id: '{call.id[:64]}' is used twice.", param=f"{place}.id")
    seen.add(call.id)
    arguments = call.function.arguments
    if isinstance(arguments, str) and isinstance(json_object(arguments), str):
        param = f"{place}.function.arguments"
        raise InvalidRequestError(f"{param} must be a JSON object, as text.", param=param)
