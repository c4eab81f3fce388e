"""The text in the arguments of a custom tool's call, `{"input": "..."}`, as it comes. Arguments of another form are the
text themselves: nothing that a model says is lost.
"""

from __future__ import annotations

import json
import re

from undiced.api.responses.offered import INPUT

_HEAD = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
_CERTAIN = re.compile(r'(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_HALF = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")  # of a character that takes two escapes


class InputText:
    """See the file's head."""

    __slots__ = ("_begun", "_held", "_over")

    def __init__(self) -> None:
        self._held = ""
        self._begun = self._over = False

    def push(self, text: str) -> str:
        """What a piece of the arguments makes certain."""
        if self._over:
            return ""
        self._held += text
        if not self._begun:
            head = _HEAD.match(self._held)
            if head is None:
                return ""
            self._begun, self._held = True, self._held[head.end() :]
        found = _CERTAIN.match(self._held)
        certain = "" if found is None else found[0]
        rest = self._held[len(certain) :]
        half = None if rest.startswith('"') else _HALF.search(certain)
        if half is not None:
            certain, rest = certain[: half.start()], half[0] + rest
        self._held, self._over = rest, rest.startswith('"')
        return _plain(certain)

    def flush(self) -> str:
        """The end: what was held back."""
        held, self._held = "" if self._over else self._held, ""
        return held


def _plain(escaped: str) -> str:
    text: str = json.loads(f'"{escaped}"', strict=False)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
