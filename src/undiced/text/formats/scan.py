"""Scan: a JSON value that comes in pieces, checked as it comes. Knows what may follow, not what it means.

A line end or another control character inside a string is no JSON, but models write it; it comes out escaped.
"""

from __future__ import annotations

import json
import re

MARKS = "".join(chr(0x1FFFE + (at >> 1) * 0x10000 + (at & 1)) for at in range(32))  # noncharacters, never text
_PLAIN = re.compile(f'[^"\\\\\x00-\x1f{MARKS}]+')
_BLANK = re.compile(r"[ \t\n\r]+")
_WORDS = ("true", "false", "null")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMERIC = re.compile(r"[-+0-9.eE]+")
_MOST_NESTED = 256


class NotJsonError(ValueError):
    """What comes is no JSON."""


class Scan:
    """State of one value.

    Attributes:
        done: the value is complete.
    """

    __slots__ = ("_escape", "_nest", "_state", "_word", "done")

    def __init__(self) -> None:
        self.done = False
        self._nest: list[str] = []  # the bracket that closes each open list or object
        self._state = (
            "value"  # value, first (or the end of an empty one), key, colon, after, string, escape, word, number
        )
        self._word = ""
        self._escape = ""

    def feed(self, text: str) -> tuple[str, int]:
        """The value's next text, as JSON has it, and how many characters of `text` that was; the rest is behind it.

        Raises:
            NotJsonError: a character that can't follow.
        """
        out: list[str] = []
        at = 0
        while at < len(text) and not self.done:
            at = self._step(text, at, out)
        return "".join(out), at

    def finish(self) -> None:
        """Nothing follows. Raises NotJsonError for a value that is not complete."""
        if self._state == "number" and not self._nest:
            self._end_number()
        if not self.done:
            raise NotJsonError

    def _step(self, text: str, at: int, out: list[str]) -> int:
        state = self._state
        if state in ("string", "name"):
            return self._string(text, at, out)
        if state == "escape":
            return self._escaped(text, at, out)
        if state == "word":
            return self._spelled(text, at, out)
        if state == "number":
            if found := _NUMERIC.match(text, at):
                self._word += found[0]
                out.append(found[0])
                return found.end()
            self._end_number()
            return at
        if found := _BLANK.match(text, at):
            out.append(found[0])
            return found.end()
        self._sign(text[at])
        out.append(text[at])
        return at + 1

    def _sign(self, char: str) -> None:
        """A character outside strings, words and numbers."""
        state = self._state
        if state == "colon" and char == ":":
            self._state = "value"
        elif state == "after" and char == ",":
            self._state = "key" if self._nest[-1] == "}" else "value"
        elif state in ("after", "first") and self._nest and char == self._nest[-1]:
            self._nest.pop()
            self._ended()
        elif char == '"' and (state == "key" or (state == "first" and self._nest[-1] == "}")):
            self._state = "name"
        elif state == "value" or (state == "first" and self._nest[-1] == "]"):
            self._begin(char)
        else:
            raise NotJsonError

    def _begin(self, char: str) -> None:
        if char in "{[":
            if len(self._nest) >= _MOST_NESTED:
                raise NotJsonError
            self._nest.append("}" if char == "{" else "]")
            self._state = "first"
        elif char == '"':
            self._state = "string"
        elif char in "tfn":
            self._word, self._state = char, "word"
        elif char in "-0123456789":
            self._word, self._state = char, "number"
        else:
            raise NotJsonError

    def _ended(self) -> None:
        self.done = not self._nest
        self._state = "after"

    def _end_number(self) -> None:
        if not _NUMBER.fullmatch(self._word):
            raise NotJsonError
        self._ended()

    def _string(self, text: str, at: int, out: list[str]) -> int:
        if found := _PLAIN.match(text, at):
            out.append(found[0])
            return found.end()
        char = text[at]
        if char in MARKS:
            raise NotJsonError
        if char == '"':
            if self._state == "name":
                self._state = "colon"
            else:
                self._ended()
        elif char == "\\":
            self._escape = self._state
            self._word, self._state = "", "escape"
        out.append(json.dumps(char)[1:-1] if char < " " else char)
        return at + 1

    def _escaped(self, text: str, at: int, out: list[str]) -> int:
        char, self._word = text[at], self._word + text[at]
        if self._word[0] == "u":
            if len(self._word) > 1 and char not in "0123456789abcdefABCDEF":
                raise NotJsonError
            done = len(self._word) == 5
        elif char in '"\\/bfnrt':
            done = True
        else:
            raise NotJsonError
        if done:
            self._state = self._escape
        out.append(char)
        return at + 1

    def _spelled(self, text: str, at: int, out: list[str]) -> int:
        self._word += text[at]
        if not any(word.startswith(self._word) for word in _WORDS):
            raise NotJsonError
        if self._word in _WORDS:
            self._ended()
        out.append(text[at])
        return at + 1
