"""Token ids to text, one at a time, whole characters only. Its obvious twin is `Tokenizer.decode` of all the ids."""

from __future__ import annotations

from codecs import utf_8_decode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.text.logprobs import Spelling


class Detokenizer:
    """State of one text. Constant work per token.

    The pieces returned by `push` and a final `flush` add up to `tokenizer.decode(ids, continuation=continuation)`.

    Args:
        continuation: the text follows a prompt whose last character is text, so a leading space is kept.
        names: control tokens add their names to the text instead of nothing.
    """

    __slots__ = ("_pending", "_strip", "_tokenizer", "spell")

    def __init__(self, tokenizer: Spelling, *, continuation: bool = False, names: bool = False) -> None:
        self._tokenizer = tokenizer
        self.spell = self._named if names else tokenizer.token_bytes
        self._pending = b""
        self._strip = tokenizer.space_prefix and not continuation

    def push(self, token: int) -> str:
        """The characters that `token` completes; bytes of an unfinished character are held back."""
        data = self.spell(token)
        if self._pending:
            data = self._pending + data
        text, used = utf_8_decode(data, "replace", False)
        self._pending = data[used:]
        return self._stripped(text) if self._strip and text else text

    @property
    def clear(self) -> bool:
        """Whether the text of the next token is its own, if it is whole characters."""
        return not (self._pending or self._strip)

    def flush(self) -> str:
        """What an unfinished character decodes to (U+FFFD), or nothing."""
        text = self._pending.decode("utf-8", "replace")
        self._pending = b""
        return self._stripped(text) if self._strip and text else text

    def _stripped(self, text: str) -> str:
        self._strip = False
        return text.removeprefix(" ")

    def _named(self, token: int) -> bytes:
        tokenizer = self._tokenizer
        return (
            tokenizer.token_text(token).encode("utf-8", "replace")
            if token in tokenizer.control
            else tokenizer.token_bytes(token)
        )
