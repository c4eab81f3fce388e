"""Messages to token ids, such that nothing a user writes becomes a control token. Joins a template and a tokenizer.

A control token's name inside a message is broken up before rendering: its first character is replaced by a marker, a
Unicode noncharacter. The rendered text is cut at the markers, each piece is encoded alone, and no piece holds the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from undiced.text.template import ChatTemplate, Message
from undiced.text.tokenizer import Tokenizer

_FIRST_MARKER = 0xFDD0  # 32 noncharacters, then two private planes: never assigned, so never part of a written text
_SPARE_MARKER = 0xF0000


class ChatEncoder:
    """Encodes chats for one template and one tokenizer."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self.template = template
        self.tokenizer = tokenizer
        self._guard = _Guard(tokenizer.control_texts())

    def encode(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, object]] | None = None,
        documents: Sequence[Mapping[str, object]] | None = None,
        add_generation_prompt: bool = True,
        enable_thinking: bool | None = None,
        reasoning_effort: str | None = None,
    ) -> list[int]:
        """The prompt's token ids; the template says whether they begin with `bos_id`.

        Raises InvalidRequestError as `ChatTemplate.render` does.
        """
        text = self.template.render(
            [self._guard.message(message) for message in messages],
            tools=None if tools is None else [self._guard.message(tool) for tool in tools],
            documents=None if documents is None else [self._guard.message(document) for document in documents],
            add_generation_prompt=add_generation_prompt,
            enable_thinking=enable_thinking,
            reasoning_effort=reasoning_effort,
        )
        first, *rest = self._guard.pieces(text)
        ids = self.tokenizer.encode(first, special=True)
        for piece in rest:
            ids += self.tokenizer.encode(piece, special=True, continuation=True)
        return ids


class _Guard:
    """Finds names of control tokens in text, at every position and in one pass."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._lengths: dict[str, list[int]] = {}
        for name in self._names:
            self._lengths.setdefault(name[0], []).append(len(name))
        self._lengths = {first: sorted(set(lengths)) for first, lengths in self._lengths.items()}
        self._marker = {first: _marker(i) for i, first in enumerate(sorted(self._lengths))}
        self._first = {marker: first for first, marker in self._marker.items()}
        self._starts = _any_of(self._marker)
        self._markers = _any_of(self._first)

    def message(self, message: Mapping[str, object]) -> dict[str, object]:
        """A copy with every string in it, however deep, guarded."""
        return {self.text(key): self._value(value) for key, value in message.items()}

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self.message(value)
        if isinstance(value, (list, tuple)):
            return [self._value(item) for item in value]
        return value

    def text(self, text: str) -> str:
        """`text` with a marker at the start of each control token's name; markers of the user become U+FFFD."""
        if self._markers.search(text):
            text = self._markers.sub("\ufffd", text)
        return self._starts.sub(lambda match: self._guarded(text, match.start()), text)

    def _guarded(self, text: str, start: int) -> str:
        first = text[start]
        found = any(text[start : start + length] in self._names for length in self._lengths[first])
        return self._marker[first] if found else first

    def pieces(self, text: str) -> list[str]:
        """The text cut behind each marker, with the markers turned back into the characters they stand for."""
        cuts = [match.end() for match in self._markers.finditer(text)]
        ends = [*cuts, len(text)]
        return [self._plain(text[start:end]) for start, end in zip([0, *cuts], ends, strict=True)]

    def _plain(self, piece: str) -> str:
        return piece[:-1] + self._first[piece[-1]] if piece and piece[-1] in self._first else piece


def _marker(index: int) -> str:
    return chr(_FIRST_MARKER + index) if index < 32 else chr(_SPARE_MARKER + index)


def _any_of(characters: Mapping[str, object]) -> re.Pattern[str]:
    return re.compile("[" + "".join(map(re.escape, characters)) + "]" if characters else "(?!)")
