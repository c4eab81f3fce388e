"""Messages to token ids, such that nothing a user writes becomes a control token. Joins a template and a tokenizer.

A control token's name inside a message is broken up before rendering: its first character is replaced by a marker, a
Unicode noncharacter. The rendered text is cut at the markers, each piece is encoded alone, and no piece holds the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from undiced.core.errors import InvalidRequestError, UnsupportedError
from undiced.text.template import ChatTemplate, Message
from undiced.text.thinking import Thinking, thinking_variables
from undiced.text.tokenizer import Tokenizer

_FIRST_MARKER = 0xFDD0  # 32 noncharacters, then two private planes: never assigned, so never part of a written text
_SPARE_MARKER = 0xF0000


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """How a conversation becomes a prompt.

    Attributes:
        add_generation_prompt: the prompt ends where the assistant begins to speak.
        continue_final_message: the prompt ends inside the last message, which the answer goes on with; there is no
            generation prompt then.
        variables: further variables of the template (`chat_template_kwargs` on the wire); an absent one leaves the
            template's own default in force.
        thinking: whether the model shall think first.
        tools, documents: as templates read them; empty is none.
    """

    add_generation_prompt: bool = True
    continue_final_message: bool = False
    variables: Mapping[str, object] = field(default_factory=dict)
    thinking: Thinking = field(default_factory=Thinking)
    tools: Sequence[Mapping[str, object]] = ()
    documents: Sequence[Mapping[str, object]] = ()


class ChatEncoder:
    """Encodes chats for one template and one tokenizer."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self.template = template
        self.tokenizer = tokenizer
        self._guard = _Guard(tokenizer.control_texts())

    def encode(self, messages: Sequence[Message], options: PromptOptions = PromptOptions()) -> list[int]:
        """The prompt's token ids; the template says whether they begin with `bos_id`.

        Raises InvalidRequestError as `ChatTemplate.render` does, where a last message cannot be continued, and for
        variables that the template doesn't read; UnsupportedError for what it can't do.
        """
        variables = self._variables(options)
        guarded = [self._guard.message(message) for message in messages]
        text = self.template.render(
            guarded,
            tools=[self._guard.message(tool) for tool in options.tools],
            documents=[self._guard.message(document) for document in options.documents],
            add_generation_prompt=options.add_generation_prompt and not options.continue_final_message,
            variables=self._guard.message(variables),
        )
        if options.continue_final_message:
            text = _cut_behind(text, guarded[-1].get("content") if guarded else None)
        first, *rest = self._guard.pieces(text)
        ids = self.tokenizer.encode(first, special=True)
        for piece in rest:
            ids += self.tokenizer.encode(piece, special=True, continuation=True)
        return ids

    def _variables(self, options: PromptOptions) -> dict[str, object]:
        """Variables for the template. Raises InvalidRequestError for one that changes nothing or contradicts another,
        UnsupportedError as `thinking_variables`.
        """
        known = self.template.variables
        for name in sorted(options.variables.keys() - known):
            raise InvalidRequestError(
                f"The chat template of this model reads no variable '{name[:64]}'.",
                remedy=f"It reads: {', '.join(sorted(known)[:20]) or 'none'}.",
                param=f"chat_template_kwargs.{name[:64]}",
            )
        if options.documents and not self.template.reads_documents:
            message = "documents is not supported: the chat template of this model reads none."
            raise UnsupportedError(message, remedy="Leave it out.", param="documents")
        found = thinking_variables(options.thinking, known, self.template.source)
        for name in found.keys() & options.variables.keys():
            if found[name] != options.variables[name]:
                raise InvalidRequestError(
                    f"{options.thinking.param} and chat_template_kwargs.{name} disagree.",
                    remedy="Send one of them.",
                    param=options.thinking.param,
                )
        return found | dict(options.variables)


def _cut_behind(text: str, said: object) -> str:
    """`text` up to the end of the last `said` in it; spaces at the end of `said` count if the template kept them.

    Raises InvalidRequestError if it does not occur.
    """
    stripped = said.strip() if isinstance(said, str) else ""
    at = text.rfind(stripped) if stripped else -1
    if at < 0:
        raise InvalidRequestError(
            "continue_final_message needs a last message with text that the chat template writes as it is.",
            remedy="Leave continue_final_message out.",
            param="continue_final_message",
        )
    assert isinstance(said, str)
    whole = said.lstrip()
    return text[: at + len(whole if text.startswith(whole, at) else stripped)]


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
