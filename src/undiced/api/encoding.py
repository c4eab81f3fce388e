"""Values to JSON for clients. Everything that a client reads as JSON goes through here; knows no shape of it."""

from __future__ import annotations

import re

import msgspec

_plain = msgspec.json.Encoder().encode
_LINE_ENDS = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
_ESCAPED = {b"\xc2\x85": rb"\u0085", b"\xe2\x80\xa8": rb"\u2028", b"\xe2\x80\xa9": rb"\u2029"}


def encode(value: object) -> bytes:
    """JSON in UTF-8. U+0085, U+2028 and U+2029 are escaped: many readers of event streams take them for line ends."""
    text = _plain(value)
    return text if text.isascii() else _LINE_ENDS.sub(_escaped, text)


def _escaped(found: re.Match[bytes]) -> bytes:
    return _ESCAPED[found[0]]
