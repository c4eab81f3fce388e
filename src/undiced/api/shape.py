"""The shape of a JSON text before it is decoded: how many strings, lists, objects and values it has. Knows no meaning.

Decoding holds the interpreter until it is done, so what it may cost has to be known before. Each step here is short.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.core.errors import InvalidRequestError

MAX_STRINGS = 1 << 17
MAX_NESTS = 1 << 15  # lists and objects
MAX_VALUES = 1 << 18
_VALUE_BYTES = 48  # of a decoded value beside its text
_WIDE = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4", b"\\ud", b"\\uD")  # begin characters beyond 16 bits


@dataclass(frozen=True, slots=True)
class Shape:
    """Counts of one JSON text.

    Attributes:
        strings: names of members are strings too.
        nests: lists and objects.
        values: in lists and objects, at most.
        text_bytes: that its longest string may take once decoded.
    """

    strings: int
    nests: int
    values: int
    text_bytes: int

    @property
    def decoded_bytes(self) -> int:
        """Memory for all of it, at most about so much."""
        return self.text_bytes + _VALUE_BYTES * (self.strings + self.nests + self.values)


def measure(text: bytes) -> Shape:
    """The shape of a text. What is no JSON is counted somehow, but what stands before its first error exactly.

    Raises:
        InvalidRequestError: more of something than can be decoded in a few hundredths of a second.
    """
    quotes = len(text) - len(text.translate(None, b'"'))
    if b"\\" in text:
        quotes -= text.count(b'\\"')  # of each string, one or two quotes are left
    _limit("strings", quotes // 2, MAX_STRINGS)
    text_bytes = len(text) * _width(text)
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    parts = text.split(b'"')
    outside = b"".join(parts[::2])
    flat = outside.translate(None, b"[{")
    nests, commas = len(outside) - len(flat), len(flat) - len(flat.translate(None, b","))
    shape = Shape(len(parts) // 2, nests, nests + commas, text_bytes)
    _limit("strings", shape.strings, MAX_STRINGS)
    _limit("nested lists and objects", shape.nests, MAX_NESTS)
    _limit("values", shape.values, MAX_VALUES)
    return shape


def _width(text: bytes) -> int:
    """Bytes of a character in a string of such a text."""
    if any(mark in text for mark in _WIDE):
        return 4
    return 1 if text.isascii() and b"\\u" not in text else 2


def _limit(what: str, count: int, most: int) -> None:
    if count > most:
        raise InvalidRequestError(f"The request body holds over {most} {what}.", remedy="Send a smaller request.")
