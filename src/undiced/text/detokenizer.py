"""Token ids to text, one at a time, whole characters only. Its obvious twin is `Tokenizer.decode` of all the ids."""

from __future__ import annotations

from codecs import utf_8_decode

from undiced.text.tokenizer import Tokenizer


class Detokenizer:
    """State of one text. Constant work a token.

    The pieces returned by `push` and a final `flush` add up to `tokenizer.decode(ids, continuation=continuation)`.
    continuation: the text follows a prompt whose last character is text, so a leading space is kept.
    """

    __slots__ = ("_bytes_of", "_pending", "_strip")

    def __init__(self, tokenizer: Tokenizer, *, continuation: bool = False) -> None:
        self._bytes_of = tokenizer.token_bytes
        self._pending = b""
        self._strip = tokenizer.space_prefix and not continuation

    def push(self, token: int) -> str:
        """The characters that `token` completes; bytes of an unfinished character are held back."""
        data = self._bytes_of(token)
        if self._pending:
            data = self._pending + data
        text, used = utf_8_decode(data, "replace", False)
        self._pending = data[used:]
        return self._stripped(text) if self._strip and text else text

    def flush(self) -> str:
        """What an unfinished character decodes to (U+FFFD), or nothing."""
        text = self._pending.decode("utf-8", "replace")
        self._pending = b""
        return self._stripped(text) if self._strip and text else text

    def _stripped(self, text: str) -> str:
        self._strip = False
        return text.removeprefix(" ")
