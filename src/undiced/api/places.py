"""Places: what a member of a chat request is called in the body that it was translated from, so that errors name what
the client sent. Knows no body.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from undiced.core.errors import UndicedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[a-z_]+(?:\[\d+\])?(?:\.[a-z_]+(?:\[\d+\])?)*")
_INNER = re.compile(r"[.\[_]")  # no word of a sentence has one


class Places:
    """See the file's head.

    Args:
        names: places in a chat request, and what they are called here; what lies below one goes with it, unless it has
            a row of its own.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)

    def own(self, place: str) -> str:
        """The name of a place here."""
        at = len(place)
        while at > 0:
            if (found := self._names.get(place[:at])) is not None:
                return found + place[at:]
            at = max(place.rfind(".", 0, at), place.rfind("[", 0, at))
        return place

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """While it lasts, errors name places as they are called here."""
        try:
            yield
        except UndicedError as error:
            self.rename(error)
            raise

    def rename(self, error: UndicedError) -> None:
        """Name places as they are called here, in the member that has the place and in sentences."""
        place = error.param or ""
        if place and re.match(re.escape(place) + r"(?![\w.\[])", error.message):
            error.message = self.own(place) + self._told(error.message[len(place) :])
        else:
            error.message = self._told(error.message)
        error.param, error.remedy = self.own(place) or None, self._told(error.remedy)
        error.args = (error.message,)

    def _told(self, text: str) -> str:
        return _NAME.sub(lambda found: self.own(found[0]) if _INNER.search(found[0]) else found[0], text)
