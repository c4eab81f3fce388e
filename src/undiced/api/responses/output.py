"""Output items: what an answer holds, each as it opens, grows and closes. Knows the items' shapes, not how events are
sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING

from undiced.api.responses.input_text import InputText
from undiced.core.call import call_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undiced.api.responses.offered import Called

Event = tuple[str, dict[str, object]]  # its type without `response.`, and its members besides item and place


class Item(ABC):
    """One item while it is said.

    Attributes:
        id: of the item. rows: log-probabilities, as they are told.
        delta: the type of the events with its text. place: members that tell where in the item that text is.
    """

    prefix = ""
    delta = ""
    place: Mapping[str, object] = MappingProxyType({})

    def __init__(self, suffix: str) -> None:
        self.id = f"{self.prefix}_{suffix}"
        self.said: list[str] = []
        self.rows: list[dict[str, object]] = []

    @property
    def text(self) -> str:
        """Everything that was said."""
        return "".join(self.said)

    def take(self, text: str) -> str:
        """Take a piece; returns what is told of it."""
        self.said.append(text)
        return text

    def rest(self) -> str:
        """What is still to be told at the end."""
        return ""

    def opening(self) -> list[Event]:
        """The events behind the one that adds the item."""
        return []

    @abstractmethod
    def closing(self) -> list[Event]:
        """The events before the one that ends the item."""

    @abstractmethod
    def whole(self, status: str) -> dict[str, object]:
        """The item as it stands."""


class Spoken(Item):
    """An item with one part of text."""

    place = MappingProxyType({"content_index": 0})
    kind = ""

    def part(self) -> dict[str, object]:
        """The part as it stands."""
        return {"type": self.kind, "text": self.text}

    def opening(self) -> list[Event]:
        """The part is added."""
        return [("content_part.added", {**self.place, "part": self.part()})]

    def closing(self) -> list[Event]:
        """The text and the part end."""
        text = {**self.place, "text": self.text}
        return [(f"{self.kind}.done", text), ("content_part.done", {**self.place, "part": self.part()})]


class Message(Spoken):
    """What the assistant says."""

    prefix, kind, delta = "msg", "output_text", "output_text.delta"

    def part(self) -> dict[str, object]:
        """The part as it stands."""
        return {**super().part(), "annotations": [], "logprobs": self.rows}

    def closing(self) -> list[Event]:
        """As of every text, with log-probabilities."""
        (name, text), part = super().closing()
        return [(name, {**text, "logprobs": self.rows}), part]

    def whole(self, status: str) -> dict[str, object]:
        """The item as it stands."""
        content = [self.part()] if status != "in_progress" else []
        return {"id": self.id, "type": "message", "role": "assistant", "status": status, "content": content}


class Thought(Spoken):
    """What the model thinks, as it is."""

    prefix, kind, delta = "rs", "reasoning_text", "reasoning_text.delta"

    def whole(self, status: str) -> dict[str, object]:
        """The item as it stands."""
        content = [self.part()] if status != "in_progress" else []
        members = {"summary": [], "content": content, "encrypted_content": None, "status": status}
        return {"id": self.id, "type": "reasoning", **members}


class Call(Item):
    """A call of a function."""

    prefix, delta = "fc", "function_call_arguments.delta"
    kind, member = "function_call", "arguments"

    def __init__(self, suffix: str, called: Called) -> None:
        super().__init__(suffix)
        space = {"namespace": called.namespace} if called.namespace else {}
        self._names = {"call_id": call_id(), "name": called.name, **space}

    def closing(self) -> list[Event]:
        """The arguments end."""
        return [(f"{self.delta.removesuffix('.delta')}.done", {self.member: self.text, **self._named()})]

    def _named(self) -> dict[str, object]:
        return {"name": self._names["name"]}

    def whole(self, status: str) -> dict[str, object]:
        """The item as it stands."""
        return {"id": self.id, "type": self.kind, "status": status, **self._names, self.member: self.text}


class CustomCall(Call):
    """A call of a custom tool, whose input is a text."""

    prefix, delta = "ctc", "custom_tool_call_input.delta"
    kind, member = "custom_tool_call", "input"

    def __init__(self, suffix: str, called: Called) -> None:
        super().__init__(suffix, called)
        self._input = InputText()

    def take(self, text: str) -> str:
        """Take a piece of the arguments; returns what is told of the text in them."""
        return super().take(self._input.push(text))

    def rest(self) -> str:
        """What turned out to be no such text."""
        return super().take(self._input.flush())

    def _named(self) -> dict[str, object]:
        return {}
