"""Chat completions: messages to a prompt, pieces to chat chunks. Knows nothing of sampling, streaming or HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undiced.api.chunks import Chunks
from undiced.api.encoding import encode
from undiced.api.errors import NotServedError
from undiced.api.reasoning import USUAL, Shown
from undiced.core.call import call_id
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.api.chunks import Folded, Head
    from undiced.api.schemas import ContentPart, Message, Prediction
    from undiced.api.settings import Settings
    from undiced.text import Piece
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


def said_last(messages: list[dict[str, object]]) -> str:
    """The text of the last message, if it is one."""
    content = messages[-1]["content"]
    return content if isinstance(content, str) else ""


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
    return plain_text(part.type, part.text, place)


def predicted(prediction: Prediction | None) -> str:
    """The text that a client expects; empty without one.

    Raises:
        NotServedError: it is no text.
    """
    if prediction is None:
        return ""
    if prediction.type != "content":
        message = f"prediction of type '{prediction.type[:40]}' is not supported."
        raise NotServedError(message, param="prediction.type", remedy="Send content.")
    if isinstance(prediction.content, str):
        return prediction.content
    return "".join(_part_text(part, f"prediction.content[{at}]") for at, part in enumerate(prediction.content))


def plain_text(kind: str, text: str | None, place: str) -> str:
    """The text of a part, or of a block, that has to be text.

    Raises:
        NotServedError: it is of another kind. InvalidRequestError: it has none.
    """
    if kind != "text":
        raise NotServedError(
            f"{place}: content of type '{kind[:40]}' is not supported.",
            param=f"{place}.type",
            remedy="Send text.",
        )
    if text is None:
        raise InvalidRequestError(f"{place}.text is required.", param=f"{place}.text")
    return text


def _token_object(row: TokenLogprob) -> dict[str, object]:
    return {"token": row.text, "logprob": row.logprob, "bytes": list(row.spelled)}


class ChatShape(Chunks):
    """Chat completions on the wire. A choice's first chunk has the role.

    Args:
        shown: how thoughts are told. apart: the answer has channels, so that it may have no content.
    """

    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"
    before, after, silent = b'"delta":{"content":', b"}", b'"delta":{}'

    def __init__(self, head: Head, shown: Shown = USUAL, *, apart: bool = False) -> None:
        super().__init__(head)
        self._shown = shown
        self._apart = apart
        self._calls: dict[int, int] = {}

    def first(self, index: int) -> bytes:
        """The chunk with the role."""
        said = b"" if self._apart else b',"content":""'
        role = b'"delta":{"role":"assistant"%b},"logprobs":null,"finish_reason":null}' % said
        return self.lead(index) + role + self._tail

    def piece(self, piece: Piece) -> bytes:
        """The piece's chunk, by its channel; nothing if it has nothing to say."""
        if piece.channel == "content":
            return super().piece(piece)
        index = piece.index
        opening = b"" if index in self._text_lead else self.open(index)
        if piece.channel == "tool_call":
            delta = self._call_delta(piece)
        elif self._shown.hidden:
            return opening
        else:
            delta = b"" if not piece.text else b'"delta":{"reasoning":' + encode(piece.text) + b"}"
        if not delta and not piece.logprobs:
            return opening
        rows = self._rows(piece)
        return b"".join(
            (opening, self.lead(index), delta or self.silent, rows, b',"finish_reason":null}', self.tail(piece))
        )

    def _call_delta(self, piece: Piece) -> bytes:
        """A piece of a call. Every one has index and type; the first one also the id and the name."""
        at = self._calls.get(piece.index, -1)
        if piece.name:
            at = self._calls[piece.index] = at + 1
            call = (at, encode(call_id()), encode(piece.name), encode(piece.text))
            return (
                b'"delta":{"tool_calls":[{"index":%d,"id":%b,"type":"function",'
                b'"function":{"name":%b,"arguments":%b}}]}' % call
            )
        if not piece.text:
            return b""
        part = (at, encode(piece.text))
        return b'"delta":{"tool_calls":[{"index":%d,"type":"function","function":{"arguments":%b}}]}' % part

    def _rows(self, piece: Piece) -> bytes:
        """The log-probabilities of a piece that is no content."""
        rows = None if not piece.logprobs else encode(self.logprobs(piece.logprobs))
        if rows is None:
            return b',"logprobs":null'
        if self._shown.rows_apart and piece.channel == "reasoning":
            return b',"logprobs":null,"reasoning_logprobs":' + rows
        return b',"logprobs":' + rows

    def logprobs(self, rows: list[TokenLogprob]) -> dict[str, object]:
        """The `logprobs` member of a choice."""
        return {
            "content": [
                {**_token_object(row), "top_logprobs": [_token_object(rival) for rival in row.rivals]} for row in rows
            ],
            "refusal": None,
        }

    def fold(self, choice: Folded, piece: Piece) -> None:
        """Add a piece to a whole choice; a hidden thought is no part of it."""
        if piece.channel != "reasoning" or not self._shown.hidden:
            choice.take(piece, rows_apart=self._shown.rows_apart)

    def members(self, choice: Folded) -> dict[str, object]:
        """The message, and the log-probabilities of its thoughts."""
        said, thought = "".join(choice.text), "".join(choice.reasoning)
        message: dict[str, object] = {"role": "assistant", "content": said if said or not choice.calls else None}
        if thought:
            message["reasoning"] = thought
        if choice.calls:
            message["tool_calls"] = [
                {
                    "id": call_id(),
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.arguments)},
                }
                for call in choice.calls
            ]
        rows = {} if choice.thoughts is None else {"reasoning_logprobs": self.logprobs(choice.thoughts)}
        return {"message": message, **rows}
