"""What may stand in a message besides its role and content: members that only some roles have, and members that mean
the same. A template would drop them where they don't belong, without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.api.errors import NotServedError
from undiced.api.pairing import check_pairs
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api.schemas import ContentPart, Message, ToolCall

_ROLE_OF = {  # members that one role has
    "tool_calls": "assistant",
    "reasoning": "assistant",
    "reasoning_content": "assistant",
    "refusal": "assistant",
    "tool_call_id": "tool",
}


def check_messages(messages: Sequence[Message]) -> None:
    """Refuse what would be dropped.

    Raises:
        InvalidRequestError: a member of another role, two that disagree, or calls without results; `param` names it.
        NotServedError: a call of something else than a function.
    """
    for at, message in enumerate(messages):
        _check(message, f"messages[{at}]")
    check_pairs(messages)


def _check(message: Message, place: str) -> None:
    for name, role in _ROLE_OF.items():
        if message.role != role and getattr(message, name):
            raise InvalidRequestError(
                f"{place}.{name} belongs to a message of the role {role}.",
                param=f"{place}.{name}",
                remedy="Leave it out.",
            )
    if message.reasoning and message.reasoning_content and message.reasoning != message.reasoning_content:
        raise InvalidRequestError(
            f"{place}.reasoning and {place}.reasoning_content disagree.",
            param=f"{place}.reasoning_content",
            remedy="Send one of them.",
        )
    for at, call in enumerate(message.tool_calls or ()):
        _check_call(call, f"{place}.tool_calls[{at}]")
    if isinstance(message.content, list):
        for at, part in enumerate(message.content):
            _check_part(part, message.role, f"{place}.content[{at}]")


def _check_call(call: ToolCall, place: str) -> None:
    if call.type != "function":
        raise NotServedError(
            f"{place}.type '{call.type[:40]}' is not supported.", param=f"{place}.type", remedy="Send functions."
        )


def _check_part(part: ContentPart, role: str, place: str) -> None:
    """A refusal stands in a part of its own, of an assistant's message."""
    if part.type == "refusal" and role != "assistant":
        raise InvalidRequestError(f"{place}: refusals are the assistant's.", param=f"{place}.type", remedy="Send text.")
    if part.type == "text" and part.refusal:
        raise InvalidRequestError(
            f"{place}.refusal belongs to a part of the type refusal.", param=f"{place}.refusal", remedy="Leave it out."
        )
    if part.type == "refusal" and part.text:
        raise InvalidRequestError(
            f"{place}.text belongs to a part of the type text.", param=f"{place}.text", remedy="Leave it out."
        )
