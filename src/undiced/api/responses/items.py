"""The items of a Responses request as messages of a chat. What the assistant did in a row, thoughts, text and calls, is
one message there; what the system and the developer say before anybody else speaks is one, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.api.errors import NotServedError
from undiced.api.responses import fields, schemas
from undiced.api.responses.offered import INPUT
from undiced.api.responses.parts import joined
from undiced.api.schemas import ContentPart, Function, Message, ToolCall
from undiced.core.errors import InvalidRequestError
from undiced.text.formats.calls import json_object

if TYPE_CHECKING:
    import msgspec

    from undiced.api.responses.offered import Offered
    from undiced.api.responses.parts import Parts

_SYSTEM = ("system", "developer")
_BETWEEN = "\n\n"
_ELSEWHERE = frozenset({"item_reference", "compaction", "compaction_summary", "context_compaction"})
_PLAIN = {"input_text": "text", "output_text": "text"}  # how chats call these parts


@dataclass(slots=True)
class _Entry:
    """A message, and what places below it are called here."""

    message: Message
    names: dict[str, str]


@dataclass(slots=True)
class Items:
    """See the file's head.

    Args:
        gathered: what the system and the developer say later goes to the beginning, too.

    Attributes:
        later: they say something later.
    """

    parts: Parts
    offered: Offered
    gathered: bool = False
    later: bool = False
    _entries: list[_Entry] = field(default_factory=list)
    _system: list[str] = field(default_factory=list)
    _system_at: str = ""
    _results: dict[str, Message] = field(default_factory=dict)  # by call
    _called: list[tuple[Function, str | None]] = field(default_factory=list)  # with their namespaces

    def instruct(self, text: str) -> None:
        """Instructions that go before everything else."""
        self._begin(text, "instructions")

    def say(self, text: str) -> None:
        """The user says something; there are no other items."""
        self._entries.append(_Entry(Message("user", text), {"": "input", ".content": "input"}))

    def take(self, raw: msgspec.Raw, place: str) -> None:
        """Take an item.

        Raises:
            InvalidRequestError: it has no type, or a member is missing or of the wrong type; `param` names it.
            NotServedError: what it says is kept elsewhere, or is no text.
        """
        typed = self.parts.typed(raw, place)
        kind = typed.type or ("message" if typed.role is not None else None)
        if kind is None:
            raise InvalidRequestError(f"{place}.type is required.", param=f"{place}.type")
        if kind in _ELSEWHERE:
            message = f"{place}: what an item of type '{kind}' says is not kept here."
            raise NotServedError(message, param=f"{place}.type", remedy="Send the items themselves.")
        if (taker := _TAKERS.get(kind)) is None:
            self.parts.skip(f"{place}.{kind}")
            return
        taker(self, raw, place)

    def messages(self) -> tuple[list[Message], dict[str, str]]:
        """All messages, and what places in them are called here. Tools have their names by now."""
        for function, namespace in self._called:
            function.name = self.offered.chat_name(function.name, namespace)
        entries = list(self._entries)
        if self._system_at:
            message = Message("system", _BETWEEN.join(self._system))
            entries.insert(0, _Entry(message, {"": self._system_at}))
        names = {
            f"messages[{at}]{below}": place for at, entry in enumerate(entries) for below, place in entry.names.items()
        }
        return [entry.message for entry in entries], names

    def _begin(self, text: str, place: str) -> None:
        self._system.append(text)
        self._system_at = self._system_at or place

    def _message(self, raw: msgspec.Raw, place: str) -> None:
        found = self.parts.read(raw, schemas.MessageItem, fields.MESSAGE_FIELDS, place, "input[]")
        if found.role in _SYSTEM and (self.gathered or not self._entries):
            self._begin(joined(found.content, f"{place}.content"), place)
        elif found.role == "assistant":
            self._add_text(joined(found.content, f"{place}.content"), place)
        else:
            self.later = self.later or found.role in _SYSTEM
            self._entries.append(_Entry(Message(found.role, _content(found.content)), {"": place}))

    def _add_text(self, text: str, place: str) -> None:
        message = self._assistant(place)
        message.content = text if not message.content else f"{message.content}{_BETWEEN}{text}"

    def _reasoning(self, raw: msgspec.Raw, place: str) -> None:
        found = self.parts.read(raw, schemas.ReasoningItem, fields.REASONING_FIELDS, place, "input[]")
        name = "content" if found.content else "summary"
        text = joined(found.content or found.summary or [], f"{place}.{name}", _BETWEEN)
        if not text:
            if found.encrypted_content:
                self.parts.skip("input[].encrypted_content")
            return
        message = self._assistant(place)
        message.reasoning = _BETWEEN.join(filter(None, (message.reasoning, text)))

    def _call(self, raw: msgspec.Raw, place: str) -> None:
        found = self.parts.read(raw, schemas.CallItem, fields.CALL_FIELDS, place, "input[]")
        arguments: str | dict[str, object] = found.arguments
        if not isinstance(json_object(found.arguments), dict):
            arguments = {INPUT: found.arguments}  # a model wrote it so; refused, it would never hear what came of it
        self._add_call(found, arguments, place, "arguments")

    def _custom_call(self, raw: msgspec.Raw, place: str) -> None:
        found = self.parts.read(raw, schemas.CustomCallItem, fields.CUSTOM_CALL_FIELDS, place, "input[]")
        self._add_call(found, {INPUT: found.input}, place, "input")

    def _add_call(
        self,
        found: schemas.CallItem | schemas.CustomCallItem,
        arguments: str | dict[str, object],
        place: str,
        member: str,
    ) -> None:
        function = Function(found.name, arguments)
        self._called.append((function, found.namespace))
        message = self._assistant(place)
        message.tool_calls = message.tool_calls or []
        below = f".tool_calls[{len(message.tool_calls)}]"
        message.tool_calls.append(ToolCall(function, found.call_id))
        names = {below: place, f"{below}.id": f"{place}.call_id", f"{below}.function": place}
        self._entries[-1].names |= {**names, f"{below}.function.arguments": f"{place}.{member}"}

    def _result(self, raw: msgspec.Raw, place: str) -> None:
        """What came of a call; several results of one are one."""
        found = self.parts.read(raw, schemas.ResultItem, fields.RESULT_FIELDS, place, "input[]")
        text = joined(found.output, f"{place}.output", "\n")
        if (before := self._results.get(found.call_id)) is not None:
            before.content = f"{before.content}\n{text}"
            return
        message = self._results[found.call_id] = Message("tool", text, tool_call_id=found.call_id)
        names = {"": place, ".content": f"{place}.output", ".tool_call_id": f"{place}.call_id"}
        self._entries.append(_Entry(message, names))

    def _tools(self, raw: msgspec.Raw, place: str) -> None:
        found = self.parts.read(raw, schemas.AddedTools, fields.ADDED_FIELDS, place, "input[]")
        self.offered.take(found.tools, f"{place}.tools", top=False)

    def _assistant(self, place: str) -> Message:
        """The assistant's message that grows; a new one where somebody else spoke last."""
        if not self._entries or self._entries[-1].message.role != "assistant":
            self._entries.append(_Entry(Message("assistant", ""), {"": place}))
        return self._entries[-1].message


_TAKERS = {
    "message": Items._message,
    "reasoning": Items._reasoning,
    "function_call": Items._call,
    "custom_tool_call": Items._custom_call,
    "function_call_output": Items._result,
    "custom_tool_call_output": Items._result,
    "additional_tools": Items._tools,
}


def _content(content: str | list[schemas.TextPart]) -> str | list[ContentPart]:
    if isinstance(content, str):
        return content
    if len(content) == 1 and content[0].type in _PLAIN and content[0].text is not None and not content[0].refusal:
        return content[0].text
    return [ContentPart(_PLAIN.get(part.type, part.type), part.text, part.refusal) for part in content]
