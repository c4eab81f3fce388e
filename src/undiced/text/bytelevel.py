"""The byte alphabet of byte-level BPE: each of the 256 bytes has a printable character. Published with GPT-2."""

from __future__ import annotations


def _alphabet() -> dict[str, int]:
    """Printable Latin-1 characters stand for themselves; the other bytes, in order, for those from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (b for b in range(256) if b not in set(plain))
    return {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(others)}


BYTE_OF: dict[str, int] = _alphabet()


def piece_bytes(piece: str) -> bytes:
    """The bytes a token spells; a token with any character outside the alphabet spells its own UTF-8."""
    try:
        return bytes([BYTE_OF[c] for c in piece])
    except KeyError:
        return piece.encode("utf-8", "replace")
