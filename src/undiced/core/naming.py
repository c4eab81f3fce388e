"""Names as people write them: case and separators do not tell models apart, so that gemma3-270m is gemma-3-270m."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(r"[\w .-]{1,200}")  # a path is no name


def same(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` means: itself, or the one that differs in case and separators alone."""
    if not _NAME.fullmatch(name):
        return None
    wanted = _bare(name)
    return next((each for each in known if _bare(each) == wanted), None)


def _bare(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
