"""Messages of the Messages API as messages of a chat request: a block is a part, a call, a thought, or a message of its
own. Whether calls and results are paired is checked where it is for all (`api.pairing`).
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from undiced.api import schemas
from undiced.api.anthropic.signature import thought_of
from undiced.api.chat import plain_text
from undiced.api.errors import NotServedError
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api.anthropic.schemas import Block, InputMessage, TextBlock

USE_ID = "toolu_"  # begins the ids of calls; chat templates that insist on nine characters get the rest
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "ctx": "user", "msg": "user"}
_MEMBERS = {  # by the type of a block
    "text": ("text",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id", "content", "is_error"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
_ALL = tuple(dict.fromkeys(name for names in _MEMBERS.values() for name in names))
_OTHERS = {kind: tuple(name for name in _ALL if name not in names) for kind, names in _MEMBERS.items()}
_VALUES_OF_OTHERS = {kind: attrgetter(*names) for kind, names in _OTHERS.items()}
_NO_VALUES = {kind: (None,) * len(names) for kind, names in _OTHERS.items()}
_NEEDED = {"text": ("text",), "tool_use": ("id", "name", "input"), "tool_result": ("tool_use_id",)}
_OF_ROLE = {  # types of blocks, by who may send them
    "user": ("text", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
    "system": ("text",),
}
_FAILED = "error"  # what a failed tool said that said nothing


class Turns:
    """Makes the messages of one request.

    Attributes:
        messages: made so far. names: their places, and what those are called in the request.
        skipped: blocks that were left out.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.messages: list[schemas.Message] = []
        self.skipped: list[str] = []

    def system(self, content: str | list[TextBlock]) -> None:
        """The system prompt; an empty one is none."""
        said = (
            content if isinstance(content, str) else [_text_part(part, "system", at) for at, part in enumerate(content)]
        )
        if said:
            self._say("system", "system", said)

    def turn(self, turn: InputMessage, at: int) -> None:
        """The messages of a message.

        Raises:
            InvalidRequestError: an unknown role; a block that has no place in it, or lacks a member.
            NotServedError: images, documents and the like.
        """
        place = f"messages[{at}]"
        role = _ROLES.get(turn.role)
        if role is None:
            raise InvalidRequestError(f"{place}.role must be user, assistant or system.", param=f"{place}.role")
        if isinstance(turn.content, str):
            self._say(role, place, turn.content)
            return
        for number, block in enumerate(turn.content):
            _check(block, role, f"{place}.content[{number}]")
        if role == "assistant":
            self._assistant(turn.content, place)
        else:
            self._others(turn.content, role, place)

    def _say(self, role: str, place: str, content: str | list[schemas.ContentPart] | None) -> None:
        self.names[f"messages[{len(self.messages)}]"] = place
        self.messages.append(schemas.Message(role, content))

    def _others(self, blocks: Sequence[Block], role: str, place: str) -> None:
        """A message of its own for each result, and one for the texts on each side of them."""
        texts: list[schemas.ContentPart] = []
        for number, block in enumerate(blocks):
            if block.type == "text":
                texts.append(schemas.ContentPart(text=block.text))
                continue
            if texts:
                self._say(role, place, texts)
                texts = []
            self._result(block, f"{place}.content[{number}]")
        if texts or not blocks:
            self._say(role, place, texts or "")

    def _result(self, block: Block, place: str) -> None:
        content = block.content
        if isinstance(content, list):
            said: str | list[schemas.ContentPart] = [
                _text_part(part, f"{place}.content", at) for at, part in enumerate(content)
            ]
        else:
            said = content or ""
        self.names[f"messages[{len(self.messages)}].tool_call_id"] = f"{place}.tool_use_id"
        self._say("tool", place, said or (_FAILED if block.is_error else ""))
        self.messages[-1].tool_call_id = (block.tool_use_id or "").removeprefix(USE_ID)

    def _assistant(self, blocks: Sequence[Block], place: str) -> None:
        chat = f"messages[{len(self.messages)}]"
        texts: list[schemas.ContentPart] = []
        thoughts: list[str] = []
        calls: list[schemas.ToolCall] = []
        for number, block in enumerate(blocks):
            own = f"{place}.content[{number}]"
            if block.type == "text":
                texts.append(schemas.ContentPart(text=block.text))
            elif block.type == "thinking":
                thoughts.append(block.thinking or thought_of(block.signature or ""))
            elif block.type == "redacted_thinking":
                self.skipped.append(f"{own}.{block.type}")
            else:
                self.names[f"{chat}.tool_calls[{len(calls)}]"] = own
                calls.append(_call(block))
        self._say("assistant", place, texts or ("" if not calls else None))
        self.messages[-1].tool_calls = calls or None
        self.messages[-1].reasoning = "\n".join(filter(None, thoughts)) or None


def _call(block: Block) -> schemas.ToolCall:
    function = schemas.Function(block.name or "", block.input or {})
    return schemas.ToolCall(function, (block.id or "").removeprefix(USE_ID))


def _check(block: Block, role: str, place: str) -> None:
    """Refuse what would be dropped."""
    if block.type not in _MEMBERS:
        raise NotServedError(
            f"{place}: content of type '{block.type[:40]}' is not supported.",
            param=f"{place}.type",
            remedy="Send text.",
        )
    if block.type not in _OF_ROLE[role]:
        raise InvalidRequestError(
            f"{place}: a message of the role {role} has no {block.type}.", param=f"{place}.type", remedy="Leave it out."
        )
    if _VALUES_OF_OTHERS[block.type](block) != _NO_VALUES[block.type]:
        name = next(name for name in _OTHERS[block.type] if getattr(block, name) is not None)
        raise InvalidRequestError(
            f"{place}.{name} does not belong to a block of the type {block.type}.",
            param=f"{place}.{name}",
            remedy="Leave it out.",
        )
    for name in _NEEDED.get(block.type, ()):
        if getattr(block, name) is None:
            raise InvalidRequestError(f"{place}.{name} is required.", param=f"{place}.{name}")


def _text_part(block: TextBlock, place: str, at: int) -> schemas.ContentPart:
    return schemas.ContentPart(text=plain_text(block.type, block.text, f"{place}[{at}]"))
