"""Guard: finds names of control tokens in what users write, so that none of it becomes a control token.

A name inside a message is broken up before rendering: its first character is replaced by a marker, a Unicode
noncharacter. The rendered text is cut at the markers, each piece is encoded alone, and no piece holds the name. The
beginning of a name at a text's end is broken up too: templates join texts. Templates that print an object or write
ASCII alone write a marker as its escape, which is read as the marker; escapes in what users write are broken up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_FIRST_MARKER = 0xFDD0  # 32 noncharacters, then two private planes: never assigned, so never part of a written text
_SPARE_MARKER = 0xF0000
_ESCAPE = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")


class Guard:
    """Finds names of control tokens in text, at every position and in one pass."""

    def __init__(self, names: Sequence[str]) -> None:
        firsts = {name[0] for name in names} | ({"\\"} if names else set())
        self._marker = {first: _marker(i) for i, first in enumerate(sorted(firsts))}
        self._first = {marker: first for first, marker in self._marker.items()}
        self._escaped = {escape: marker for marker in self._first for escape in _escapes(marker)}
        self._names = frozenset([*names, *self._escaped])
        lengths: dict[str, set[int]] = {}
        for name in self._names:
            lengths.setdefault(name[0], set()).add(len(name))
        self._lengths = {first: sorted(found) for first, found in lengths.items()}
        self._beginnings = {name[:end] for name in names for end in range(1, len(name))}
        self._longest = max(map(len, names), default=0)
        self._starts = _any_of(self._marker)
        self._markers = _any_of(self._first)

    def value(self, value: object) -> object:
        """A copy with every string in it, however deep, guarded."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value

    def text(self, text: str) -> str:
        """`text` with a marker at the start of each control token's name; markers of the user become U+FFFD."""
        if self._markers.search(text):
            text = self._markers.sub("\ufffd", text)
        end = len(text.rstrip())
        return self._starts.sub(lambda match: self._guarded(text, match.start(), end), text)

    def _guarded(self, text: str, start: int, end: int) -> str:
        first = text[start]
        found = any(text[start : start + length] in self._names for length in self._lengths[first])
        found = found or (end - start < self._longest and text[start:end] in self._beginnings)
        return self._marker[first] if found else first

    def unescaped(self, text: str) -> str:
        """A rendered text in which markers that were written as escapes are markers."""
        return _ESCAPE.sub(lambda match: self._escaped.get(match[0], match[0]), text) if "\\" in text else text

    def plain(self, text: str) -> str:
        """The text as it was before it was guarded."""
        return self._markers.sub(lambda match: self._first[match[0]], self.unescaped(text))

    def pieces(self, text: str) -> list[str]:
        """The text cut behind each marker, with the markers turned back into the characters they stand for."""
        cuts = [match.end() for match in self._markers.finditer(text)]
        ends = [*cuts, len(text)]
        return [self._plain_end(text[start:end]) for start, end in zip([0, *cuts], ends, strict=True)]

    def _plain_end(self, piece: str) -> str:
        return piece[:-1] + self._first[piece[-1]] if piece and piece[-1] in self._first else piece


def _marker(index: int) -> str:
    return chr(_FIRST_MARKER + index) if index < 32 else chr(_SPARE_MARKER + index)


def _escapes(marker: str) -> set[str]:
    """As printed objects and JSON in ASCII write it."""
    return {repr(marker)[1:-1], json.dumps(marker)[1:-1]}


def _any_of(characters: Mapping[str, object]) -> re.Pattern[str]:
    return re.compile("[" + "".join(map(re.escape, characters)) + "]" if characters else "(?!)")
