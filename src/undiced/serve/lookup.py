"""Lookup: what followed the same tokens before: in a sequence's own text, or in one that its client expects.

The text is indexed by pairs of tokens as it grows. A cursor stands where the text goes on as the sequence is expected
to; while it is right it moves along, so that a token costs a comparison. Otherwise the latest places with the same
two tokens are compared, and the one that agrees for longest is followed; where no two tokens agree, the latest place
with the same one.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 32  # tokens that are compared, at most
_NOWHERE = -1
_BORDER = -1  # between the expected text and the sequence's own: no token
_PLACES = 8  # of the same pair that are compared
_TRUSTED = 8  # what is expected counts from its first token as if so many had agreed
_PAIR = 32  # bits of a token


class Lookup:
    """See the file's head.

    Args:
        expected: token ids that the client expects as the answer; may be empty.

    Attributes:
        agreed: tokens before the cursor that agree with the text's end, at most about `LONGEST`; 0 without a cursor.
    """

    def __init__(self, expected: Sequence[int] = ()) -> None:
        self._text: list[int] = []
        self._latest: dict[int, int] = {}  # by pair: the place behind its latest occurrence
        self._behind: dict[int, int] = {}  # by token: the place behind its latest occurrence, if a token is there
        self._earlier = array("i")  # by place: the one behind the pair's occurrence before that
        self._at = _NOWHERE
        self.agreed = 0
        for token in expected:
            self._append(token)
        self._own = 0  # where the sequence's own text begins
        if expected:
            self._append(_BORDER)
            self._own = len(self._text)

    def __len__(self) -> int:
        """Tokens of the sequence that are indexed."""
        return len(self._text) - self._own

    @property
    def guess(self) -> int:
        """The token that is expected next; -1 for none."""
        return self._text[self._at] if self._at != _NOWHERE else _BORDER

    @property
    def foretold(self) -> bool:
        """Whether the guess comes from the expected text."""
        return _NOWHERE < self._at < self._own

    def read(self, prompt: Sequence[int]) -> None:
        """The sequence's text goes on by tokens that need no guesses."""
        for token in prompt:
            self._append(token)
        self._search()

    def begin(self) -> None:
        """The answer begins here, with the expected text's first token if there is one."""
        if self._own:
            self._at, self.agreed = 0, _TRUSTED

    def follow(self, token: int) -> None:
        """The sequence goes on by a token."""
        hit = self.guess == token
        self._append(token)
        if hit:
            self._at += 1
            self.agreed = min(self.agreed + 1, LONGEST)
            if self._text[self._at] == _BORDER:
                self._search()
        else:
            self._search()

    def draft(self, most: int) -> list[int]:
        """The tokens that are expected next, at most so many. A text that repeats itself goes on doing so."""
        if self._at == _NOWHERE:
            return []
        found = self._text[self._at : self._at + most]
        if _BORDER in found:
            return found[: found.index(_BORDER)]
        period = len(found)
        while len(found) < most:
            found.append(found[len(found) - period])
        return found

    def _append(self, token: int) -> None:
        text = self._text
        before = text[-1] if text else _BORDER
        text.append(token)
        if before < 0 or token < 0:  # nothing is expected over a border
            self._earlier.append(_NOWHERE)
            return
        self._behind[before] = len(text) - 1
        pair = before << _PAIR | token
        self._earlier.append(self._latest.get(pair, _NOWHERE))
        self._latest[pair] = len(text)

    def _search(self) -> None:
        """Put the cursor behind the place that agrees with the text's end for longest, the latest of equals."""
        text, earlier = self._text, self._earlier
        end = len(text)
        self._at, self.agreed = _NOWHERE, 0
        place = earlier[end - 1] if end else _NOWHERE
        for _ in range(_PLACES):
            if place == _NOWHERE:
                break
            agreed = 2
            while agreed < LONGEST and agreed < place and text[place - 1 - agreed] == text[end - 1 - agreed] >= 0:
                agreed += 1
            if agreed > self.agreed and text[place] != _BORDER:
                self._at, self.agreed = place, agreed
            place = earlier[place - 1]
        if self._at == _NOWHERE and end:
            self._at = self._behind.get(text[end - 1], _NOWHERE)
            self.agreed = int(self._at != _NOWHERE)
