"""Reading: how far a draft model has read each sequence: which keys and values of its own it has.

It uses the pages of the target model, by their numbers, in a pool of its own: whoever shares a page there shares it
here, and what is given back there is free here. Positions and page numbers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.odds import Odds

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence


class Reading:
    """Of one sequence.

    Attributes:
        read: leading tokens that the model has read.
        ahead: its own guesses that it has read behind those, which may turn out right.
        odds: of its guesses.
        opened: whether the sequence's slot is open. failed: the model can't go on from what it has read.
    """

    __slots__ = ("ahead", "failed", "odds", "opened", "pages", "read")

    def __init__(self, of_all: Odds) -> None:
        self.odds = Odds(of_all)
        self.read = 0
        self.ahead: list[int] = []
        self.pages: list[int] | None = None
        self.opened = self.failed = False


class Readings:
    """Of all sequences, and what is in the pages.

    Args:
        page_tokens: positions of a page. context: positions that the draft model may reach.
    """

    def __init__(self, page_tokens: int, context: int) -> None:
        self._page_tokens, self._context = page_tokens, context
        self._held: dict[int, bytes] = {}  # by page: the digest of the tokens that it holds, if all of them

    def lag(self, sequence: Sequence) -> int:
        """Tokens that the model has to read before it can guess what comes next: at least the last one."""
        reading = sequence.reading
        assert reading is not None
        if reading.pages is not sequence.pages:  # it starts, or has lost its pages
            reading.pages, reading.read, reading.ahead, reading.opened = sequence.pages, 0, [], False
        tokens, begin = sequence.tokens, reading.read
        for guess in reading.ahead:
            if reading.read >= len(tokens) - 1 or tokens[reading.read] != guess:
                break
            reading.read += 1
        reading.ahead = []
        if reading.read > begin:
            self.told(sequence, begin, reading.read)
        self._share(sequence, reading)
        return len(tokens) - reading.read

    def room(self, sequence: Sequence) -> int:
        """Tokens that the model may guess before its own context ends."""
        return max(self._context - len(sequence.tokens) + 1, 0)

    def _share(self, sequence: Sequence, reading: Reading) -> None:
        """Whole pages that others have read are read."""
        size = self._page_tokens
        whole = (len(sequence.tokens) - 1) // size
        while reading.read < whole * size:
            index = reading.read // size
            if index >= len(sequence.pages) or self._held.get(sequence.pages[index]) != sequence.key(index)[0]:
                return
            reading.read = (index + 1) * size

    def write(self, sequence: Sequence, begin: int, end: int) -> None:
        """These positions are about to be read into the sequence's pages."""
        for page in self.touched(sequence, begin, end):
            self._held.pop(page, None)

    def touched(self, sequence: Sequence, begin: int, end: int) -> list[int]:
        """The pages of these positions."""
        return sequence.pages[begin // self._page_tokens : (end - 1) // self._page_tokens + 1]

    def told(self, sequence: Sequence, begin: int, end: int) -> None:
        """The sequence's tokens in these places have been read."""
        reading, size = sequence.reading, self._page_tokens
        assert reading is not None
        reading.read = end
        for index in range(begin // size, end // size):
            self._held[sequence.pages[index]] = sequence.key(index)[0]
