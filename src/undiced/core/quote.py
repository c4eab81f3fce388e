"""How names from foreign files appear in messages: short, and without control characters."""

from __future__ import annotations

from pathlib import Path

SHOWN_CHARACTERS = 100


def quoted(name: object) -> str:
    """`repr` of a name, which escapes what could disturb a terminal or an encoder, cut to a readable length."""
    text = str(name)
    return repr(text) if len(text) <= SHOWN_CHARACTERS else repr(text[:SHOWN_CHARACTERS]) + "..."


def stem(path: Path) -> str:
    """The last part of a path without its ending, as models are called by their files."""
    return file_name(Path(path.stem))


def file_name(path: Path) -> str:
    """The last part of a path: messages may reach clients, who must not learn where models lie."""
    name = path.name or path.resolve().name or "/"
    return name if name.isprintable() and len(name) <= SHOWN_CHARACTERS else quoted(name)
