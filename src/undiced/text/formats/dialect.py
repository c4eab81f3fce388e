"""Dialect: how one model writes thoughts and calls, found from its chat template and its control tokens, or named.

Each format is a file with the same five names; see `Format`. To add one, write its file and a line in `FORMATS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from undiced.core.errors import InvalidRequestError
from undiced.text.formats import deepseek, dsml, gemma, harmony, hermes, llama, mistral, pythonic, qwen_coder
from undiced.text.formats.tape import Reader, Spelling, Step, Tape, TapeOptions, Thoughts, spelled

if TYPE_CHECKING:
    from undiced.text.formats.calls import Tool, Tools

_TOKENS = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")  # of the marks of thoughts
NONE = "none"  # the name of no format
Has = Callable[[str], bool]  # whether a vocabulary has a token of that name
Encode = Callable[[str], Sequence[int]]  # a text with marks to token ids
Spell = Callable[[str], str]  # a mark as grammars spell it: a token's id, or a text


class Format(Protocol):
    """How a family of models writes calls; a module is one.

    Attributes:
        MARKS: names of its marks; those that are control tokens are known by their ids.
        TRIGGER: the mark behind which a call begins, or nothing where the call begins the answer.
        BARE: the character with which such an answer begins, or nothing.
    """

    @property
    def MARKS(self) -> tuple[str, ...]: ...
    @property
    def BARE(self) -> str: ...
    @property
    def TRIGGER(self) -> str: ...

    def fits(self, source: str, has: Has) -> bool:
        """Whether a model with this chat template and these tokens writes so."""

    def read(self, tape: Tape, tools: Tools) -> Step[None]:
        """Read a whole answer. tools: those that the model was told of."""

    def grammar(self, tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
        """Rules in llguidance's Lark: `tail` is what follows the trigger up to the end of a call of one of the tools,
        or of several calls; `f0`, `f1` and so on are the tools'.
        """


class Vocabulary(Protocol):
    """What a tokenizer tells of its tokens."""

    @property
    def control(self) -> frozenset[int]:
        """Ids that are no text."""

    def id_of(self, name: str) -> int | None:
        """The id of a token by its exact name."""


FORMATS: Mapping[str, Format] = {  # in the order in which they are tried
    "harmony": harmony,
    "dsml": dsml,
    "deepseek": deepseek,
    "mistral": mistral,
    "gemma": gemma,
    "qwen-coder": qwen_coder,
    "hermes": hermes,
    "pythonic": pythonic,
    "llama": llama,
}
THOUGHTS: Mapping[str, Thoughts] = {
    row.name: row
    for row in (
        Thoughts("think", "<think>", "</think>", "\n\n"),
        Thoughts("bracket", "[THINK]", "[/THINK]"),
        Thoughts("seed", "<seed:think>", "</seed:think>"),
        Thoughts("channel", "<|channel>thought\n", "<channel|>"),
    )
}


@dataclass(frozen=True, slots=True)
class Thinks:
    """How an answer may think, in tokens.

    Attributes:
        opened: its prompt has begun a thought.
        start, end: what begins and ends one; then: what comes behind it, and also before a content that has no calls
            beside it.
    """

    opened: bool
    start: tuple[int, ...]
    end: tuple[int, ...]
    then: tuple[int, ...]
    also: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dialect:
    """See the file's head.

    Attributes:
        name: of the format of calls; empty where the model can't call.
        format: of calls, or None. thoughts: the marks of thoughts, or None.
        spelling: which of all marks are control tokens. ids: those tokens, by name.
        raw: thoughts stay in the content unless a request says otherwise.
    """

    name: str = ""
    format: Format | None = None
    thoughts: Thoughts | None = None
    spelling: Spelling = field(default_factory=Spelling)
    ids: Mapping[str, int] = field(default_factory=dict)
    raw: bool = False

    @property
    def thinks(self) -> bool:
        """Whether thoughts can be told apart."""
        return self.thoughts is not None or self.thinks_by_format

    @property
    def thinks_by_format(self) -> bool:
        """Whether the format of calls is that of thoughts too."""
        return self.format is harmony

    def without_calls(self) -> Dialect:
        """The same of a model that can't call."""
        return replace(self, name="", format=None)

    def opens(self, prompt: str, said: str = "") -> bool:
        """Whether the answer to a prompt begins inside a thought. said: of an answer that is to be continued."""
        thoughts = self.thoughts
        if thoughts is None:
            return False
        begun = said.rfind(thoughts.start) > said.rfind(thoughts.end)
        return begun or prompt.rstrip().endswith(thoughts.start.rstrip())

    def channels(self, tools: Tools, options: TapeOptions) -> Callable[[], Reader] | None:
        """Makes what tells the channels of an answer apart; None where all of it is content. options: thoughts and
        spelling are filled in.
        """
        format_ = self.format if tools or self.thinks_by_format else None
        if format_ is None and self.thoughts is None:
            return None
        options = replace(options, spelling=self.spelling, thoughts=self.thoughts)
        if format_ is None:
            return lambda: Reader(_content_alone, options)
        found = format_
        return lambda: Reader(lambda tape: found.read(tape, tools), options)

    def thinks_in(self, encode: Encode, prompt: str, said: str = "") -> Thinks | None:
        """How the answer to a prompt may think; None where it can't, or shall not. Arguments as of `opens`."""
        if self.thinks_by_format:
            marks = harmony.THOUGHT
        elif self.thoughts is not None:
            marks = (self.thoughts.start, self.thoughts.end, self.thoughts.behind, "")
        else:
            return None
        opened = self.opens(prompt, said)
        ended = self.thoughts is not None and not opened and prompt.rstrip().endswith(self.thoughts.end)
        return None if ended else Thinks(opened, *(tuple(encode(text)) if text else () for text in marks))

    def grammar(self, tools: Sequence[Tool], *, forced: bool, many: bool, content: str | None) -> str:
        """A grammar in llguidance's Lark of an answer behind its thoughts: calls of these tools, or content.

        Args:
            forced: there must be a call. many: there may be several.
            content: the name of the content's grammar; None where it is free, or there must be a call.
        """
        format_ = self.format
        assert format_ is not None
        trigger = format_.TRIGGER
        tail = f"{self.spell(trigger)} tail" if trigger else "tail"
        said, free = "", "/(.|\n)*/"
        if self.thinks_by_format:
            head = f'{self.spell(trigger)} ("final" | "commentary") {self.spell(harmony.MESSAGE)}'
            said = f"{head} {content or free}"
            if content is None and not forced:
                tail = f"preamble? {tail}"
        elif content is not None:
            said = content
        elif not trigger:
            said = f"/[^{re.escape(format_.BARE)}\\s](.|\n)*/"
        rules = [format_.grammar(tools, self.spell, many=many)]
        if self.thinks_by_format:
            rules.append(harmony.preamble(self.spell))
        if forced:
            return "\n".join([f"start: {tail}", *rules])
        if said:
            return "\n".join([f"start: {tail} | {said}", *rules])
        token = next((mark for mark in self.ids if trigger.endswith(mark)), "")  # text ends where it comes
        lead = f"lead: TEXT {self.spell(token)}" if token else f"lead[lazy]: TEXT {self.spell(trigger)}"
        return "\n".join(["start: TEXT | lead tail", lead, f"TEXT: {free}", *rules])

    def spell(self, mark: str) -> str:
        """See `Spell`."""
        parts = re.split(f"({'|'.join(map(re.escape, self.ids)) or '(?!)'})", mark)
        return " ".join(
            f"<[{self.ids[part]}]>" if part in self.ids else json.dumps(part, ensure_ascii=False)
            for part in parts
            if part
        )


def _content_alone(tape: Tape) -> Step[None]:
    yield from tape.content()


def dialect_of(
    source: str, vocabulary: Vocabulary, *, tools: str = "", thoughts: str = "", raw: bool = False
) -> Dialect:
    """The dialect of a model with this chat template.

    Args:
        tools, thoughts: names of formats; `none` is none, an empty one is found out.

    Raises InvalidRequestError as `check_names`.
    """
    check_names(tools, thoughts)

    def has(name: str) -> bool:
        return vocabulary.id_of(name) is not None

    name = tools or next((name for name, format_ in FORMATS.items() if format_.fits(source, has)), NONE)
    thought = thoughts or next((row.name for row in THOUGHTS.values() if row.end in source), NONE)
    format_ = FORMATS.get(name)
    row = None if format_ is harmony else THOUGHTS.get(thought)
    marks = (*(format_.MARKS if format_ else ()), *(_TOKENS.findall(row.start + row.end) if row else ()))
    found = {mark: token for mark in marks if (token := vocabulary.id_of(mark)) in vocabulary.control}
    ids = {mark: token for mark, token in found.items() if token is not None}
    return Dialect("" if format_ is None else name, format_, row, spelled(marks, ids), ids, raw)


def check_names(tools: str, thoughts: str) -> None:
    """Refuse formats that there are not.

    Args:
        tools, thoughts: names of formats; `none` is none, an empty one is found out.

    Raises:
        InvalidRequestError: tells which there are.
    """
    _check("tool format", tools or NONE, FORMATS)
    _check("thinking format", thoughts or NONE, THOUGHTS)


def _check(what: str, name: str, known: Mapping[str, object]) -> None:
    if name != NONE and name not in known:
        raise InvalidRequestError(f"There is no {what} '{name[:40]}'.", remedy=f"Use {', '.join(known)}, or {NONE}.")
