"""The characters of byte-level BPE, by byte: what tests write vocabularies with."""

from __future__ import annotations

from undiced.text.bytelevel import BYTE_OF

CHAR_OF = [char for _, char in sorted((byte, char) for char, byte in BYTE_OF.items())]
