"""Tokens with their log-probabilities, as readers see them: text, exact bytes, rivals, place. Knows no wire format."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

LOGPROB_MIN = -9999.0  # the least that is told; stands for minus infinity, which JSON can't say


class Spelling(Protocol):
    """What a tokenizer tells of single tokens; `Tokenizer` is one."""

    @property
    def control(self) -> frozenset[int]:
        """Ids that are no text but have a name."""

    @property
    def space_prefix(self) -> bool:
        """Whether encoding puts a space before a text and decoding takes it away."""

    def token_bytes(self, token: int) -> bytes:
        """What a token adds to a text; may be part of a character."""

    def token_text(self, token: int) -> str:
        """The token for display."""


class TokenLogprob(Struct, frozen=True):
    """One token and its log-probability.

    Attributes:
        text: for display. spelled: exact, may be part of a character.
        logprob: None for a text's first token, which nothing comes before.
        rivals: the likeliest tokens in its place.
        offset: characters of the text before it; before the character that it is a part of, if it is one.
    """

    text: str
    spelled: bytes
    logprob: float | None
    rivals: tuple[TokenLogprob, ...] = ()
    offset: int = 0


class Rows:
    """Makes the rows of one text, token after token.

    Args:
        spell: the bytes that a token adds to the text.
        start: characters of the text before its first token.
    """

    def __init__(self, tokenizer: Spelling, spell: Callable[[int], bytes], start: int = 0) -> None:
        self._text_of = tokenizer.token_text
        self._spell = spell
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._chars = start

    def row(self, token: int, logprob: float, top: Sequence[tuple[int, float]]) -> TokenLogprob:
        """The next token; `top`: the likeliest in its place, with their log-probabilities."""
        text_of, spell, offset = self._text_of, self._spell, self._chars
        spelled = spell(token)
        self._chars += len(self._decoder.decode(spelled))
        rivals = tuple([TokenLogprob(text_of(id_), spell(id_), max(LOGPROB_MIN, value)) for id_, value in top])
        return TokenLogprob(text_of(token), spelled, max(LOGPROB_MIN, logprob), rivals, offset)


class PromptRows:
    """Makes the rows of a prompt, whose text is given: it may have names of control tokens, or leave them out."""

    def __init__(self, tokenizer: Spelling, prompt: Sequence[int], text: str) -> None:
        self._tokenizer = tokenizer
        self._tokens = iter(prompt)
        self._text = text
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._chars = 0
        self._begun = False

    def rows(self, logprobs: Sequence[float], top: Sequence[Sequence[tuple[int, float]]]) -> list[TokenLogprob]:
        """The next tokens; before the first of them the prompt's first token, which has no log-probability."""
        first = [] if self._begun else [self._row(None, ())]
        self._begun = True
        return first + [self._row(value, top[at] if top else ()) for at, value in enumerate(logprobs)]

    def _row(self, logprob: float | None, top: Sequence[tuple[int, float]]) -> TokenLogprob:
        token, offset, tokenizer = next(self._tokens), self._chars, self._tokenizer
        spelled, name = tokenizer.token_bytes(token), tokenizer.token_text(token)
        shown = spelled
        if token in tokenizer.control and self._text.startswith(name, offset):
            shown = name.encode("utf-8", "replace")
        elif not offset and spelled.startswith(b" ") and not self._text.startswith(" "):
            shown = spelled[1:]  # the space that encoding put before the text
        self._chars += len(self._decoder.decode(shown))
        rivals = tuple(
            TokenLogprob(tokenizer.token_text(id_), tokenizer.token_bytes(id_), max(LOGPROB_MIN, value))
            for id_, value in top
        )
        return TokenLogprob(name, spelled, None if logprob is None else max(LOGPROB_MIN, logprob), rivals, offset)
