"""Chat completions: messages to a prompt, pieces to chat chunks. Knows nothing of sampling, streaming or HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.api.chunks import Chunks, Folded, Head, encode, finish_reason, time_object, usage_object
from undiced.api.errors import NotServedError
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.api.generation import Piece, Tally, TokenLogprob
    from undiced.api.schemas import ContentPart, Message
    from undiced.api.settings import Settings

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
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        raise InvalidRequestError(f"{place}.content is required.", param=f"{place}.content")
    out: dict[str, object] = {
        "role": _TEMPLATE_ROLES.get(message.role, message.role),
        "content": content_text(message.content, f"{place}.content"),
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


def content_text(content: str | list[ContentPart] | None, place: str) -> str:
    """The text of a message's content; parts go on lines of their own."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for at, part in enumerate(content):
        if part.type != "text":
            raise NotServedError(
                f"{place}[{at}]: content of type '{part.type[:40]}' is not supported.",
                param=f"{place}[{at}].type",
                remedy="Send text.",
            )
        if part.text is None:
            raise InvalidRequestError(f"{place}[{at}].text is required.", param=f"{place}[{at}].text")
        texts.append(part.text)
    return "\n".join(texts)


def _token_object(row: TokenLogprob) -> dict[str, object]:
    return {"token": row.text, "logprob": row.logprob, "bytes": list(row.spelled)}


def logprobs_object(rows: list[TokenLogprob] | None) -> dict[str, object] | None:
    """The `logprobs` member of a chat choice."""
    if rows is None:
        return None
    return {
        "content": [
            {**_token_object(row), "top_logprobs": [_token_object(rival) for rival in row.rivals]} for row in rows
        ],
        "refusal": None,
    }


class ChatShape(Chunks):
    """Chat completions on the wire."""

    object = "chat.completion.chunk"

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._text_lead: dict[int, bytes] = {}

    def piece(self, piece: Piece) -> bytes:
        """One chunk with the piece's text; before a choice's first, one with the role."""
        lead = self._text_lead.get(piece.index)
        opening = b""
        if lead is None:
            lead = self._text_lead[piece.index] = self.lead(piece.index) + b'"delta":{"content":'
            opening = (
                self.lead(piece.index)
                + b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
                + self._tail
            )
        if piece.logprobs is not None:
            if not piece.text and not piece.logprobs:
                return opening
            rows = encode(logprobs_object(piece.logprobs))
            return b"".join(
                (opening, lead, encode(piece.text), b'},"logprobs":', rows, b',"finish_reason":null}', self.tail(piece))
            )
        if not piece.text:
            return opening
        return b"".join(
            (opening, lead, encode(piece.text), b'},"logprobs":null,"finish_reason":null}', self.tail(piece))
        )

    def finish(self, piece: Piece, tally: Tally | None) -> bytes:
        """The rest of the text, then the chunk with the finish reason."""
        reason = encode(finish_reason(piece))
        return (
            self.piece(piece)
            + self.lead(piece.index)
            + b'"delta":{},"logprobs":null,"finish_reason":'
            + reason
            + b"}"
            + self.finish_tail(tally)
        )

    def whole(self, choices: list[Folded], tally: Tally) -> bytes:
        """The answer in one piece."""
        rows = [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": "".join(choice.text)},
                "logprobs": logprobs_object(choice.logprobs),
                "finish_reason": choice.finish,
            }
            for choice in choices
        ]
        ending = {"usage": usage_object(tally), "time_info": time_object(tally, self.head.created_s)}
        return self.head.opening("chat.completion")[:-1] + encode(rows) + b"," + encode(ending)[1:]
