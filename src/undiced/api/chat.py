"""Chat completions: messages to a prompt, pieces to chat chunks. Knows nothing of sampling, streaming or HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undiced.api.chunks import Chunks
from undiced.api.errors import NotServedError
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.api.schemas import ContentPart, Message
    from undiced.api.settings import Settings
    from undiced.text.logprobs import TokenLogprob

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_TEMPLATE_ROLES = {"developer": "system"}  # templates were written before that name


def template_messages(messages: list[Message], settings: Settings) -> list[dict[str, object]]:
    """A conversation as templates expect it.

    Raises:
        InvalidRequestError: no messages, an unknown role, a message without content; `param` names it.
        NotServedError: images, audio, files.
    """
    if not messages:
        raise InvalidRequestError("messages is empty.", remedy="Send at least one message.", param="messages")
    if len(messages) > settings.max_messages:
        raise InvalidRequestError(
            f"messages has {len(messages)} entries, at most {settings.max_messages} are allowed.", param="messages"
        )
    return [template_message(message, f"messages[{at}]") for at, message in enumerate(messages)]


def template_message(message: Message, place: str) -> dict[str, object]:
    """One message as templates expect it."""
    if message.role not in ROLES:
        raise InvalidRequestError(f"{place}.role must be one of {', '.join(sorted(ROLES))}.", param=f"{place}.role")
    if message.refusal:
        return template_message(_with_refusal(message, place), place)
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        raise InvalidRequestError(f"{place}.content is required.", param=f"{place}.content")
    out: dict[str, object] = {
        "role": _TEMPLATE_ROLES.get(message.role, message.role),
        "content": _content(message.content, f"{place}.content"),
    }
    if message.tool_calls:
        out["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        out["name"] = message.name
    reasoning = message.reasoning or message.reasoning_content
    if reasoning:
        out["reasoning_content"] = reasoning
    return out


def _with_refusal(message: Message, place: str) -> Message:
    """An assistant's message whose refusal stands in its content, where templates read it."""
    if message.role != "assistant" or message.content:
        raise InvalidRequestError(
            f"{place}.refusal stands for the content of an assistant's message that has none.",
            param=f"{place}.refusal",
            remedy="Leave it out.",
        )
    return msgspec.structs.replace(message, content=message.refusal, refusal=None)


def _content(content: str | list[ContentPart] | None, place: str) -> str | list[dict[str, object]] | None:
    """A message's content as the client wrote it: templates are handed what they read."""
    if content is None or isinstance(content, str):
        return content
    return [{"type": "text", "text": _part_text(part, f"{place}[{at}]")} for at, part in enumerate(content)]


def _part_text(part: ContentPart, place: str) -> str:
    if part.type == "refusal" and part.refusal is not None:
        return part.refusal
    if part.type != "text":
        raise NotServedError(
            f"{place}: content of type '{part.type[:40]}' is not supported.",
            param=f"{place}.type",
            remedy="Send text.",
        )
    if part.text is None:
        raise InvalidRequestError(f"{place}.text is required.", param=f"{place}.text")
    return part.text


def _token_object(row: TokenLogprob) -> dict[str, object]:
    return {"token": row.text, "logprob": row.logprob, "bytes": list(row.spelled)}


class ChatShape(Chunks):
    """Chat completions on the wire. A choice's first chunk has the role."""

    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"
    before, after, silent = b'"delta":{"content":', b"}", b'"delta":{}'

    def first(self, index: int) -> bytes:
        """The chunk with the role."""
        role = b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
        return self.lead(index) + role + self._tail

    def logprobs(self, rows: list[TokenLogprob]) -> dict[str, object]:
        """The `logprobs` member of a choice."""
        return {
            "content": [
                {**_token_object(row), "top_logprobs": [_token_object(rival) for rival in row.rivals]} for row in rows
            ],
            "refusal": None,
        }

    def text_members(self, text: str) -> dict[str, object]:
        """The message."""
        return {"message": {"role": "assistant", "content": text}}
