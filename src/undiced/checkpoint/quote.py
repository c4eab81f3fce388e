"""How names from foreign files appear in messages: short, quoted, and without control characters."""

from __future__ import annotations

SHOWN_CHARACTERS = 100


def quoted(name: object) -> str:
    """`repr` of a name, which escapes what could disturb a terminal or an encoder, cut to a readable length."""
    text = str(name)
    return repr(text) if len(text) <= SHOWN_CHARACTERS else repr(text[:SHOWN_CHARACTERS]) + "..."
