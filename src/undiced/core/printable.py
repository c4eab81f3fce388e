"""Text out of models, files and requests, made safe to print. Knows characters; no terminal and no file."""

from __future__ import annotations

import re

# C0 and C1 controls and DEL, by which a text could drive a terminal, and lone surrogates, which no stream can encode;
# line feeds and tabs stay.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with its control characters spelled out: ESC becomes `\\x1b`. Lines may end in CR LF."""
    return _UNPRINTABLE.sub(_spelled, text.replace("\r\n", "\n"))


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
