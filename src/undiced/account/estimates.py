"""Estimates: how long an answer will be, as far as limits are concerned: the 90th percentile of the last ones of a key
and model.

A reservation of `max_tokens` would keep most of a limit unused: clients send thousands and need a hundred.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from sqlalchemy import select

from undiced.account.ledger_tables import REQUESTS

if TYPE_CHECKING:
    from undiced.account.database import Database

_LAST = 100
_LEAST = 10  # fewer answers say nothing
_PAIRS_MOST = 10_000
_COLD_TOKENS = 1000  # assumed until there are that many
_SHARE = 0.9


class _Lengths:
    """The last lengths, in order of time and of size."""

    def __init__(self) -> None:
        self.by_time: deque[int] = deque()
        self.by_size: list[int] = []

    def add(self, tokens: int) -> None:
        self.by_time.append(tokens)
        insort(self.by_size, tokens)
        if len(self.by_time) > _LAST:
            self.by_size.remove(self.by_time.popleft())


class Estimates:
    """See the file's head. Remembers; what it forgot, or never knew, is in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lengths: OrderedDict[tuple[str, str], _Lengths] = OrderedDict()

    def knows(self, key_id: str, model: str) -> bool:
        """Whether `expected` needs no `fetch` before."""
        return (key_id, model) in self._lengths

    def fetch(self, key_id: str, model: str) -> list[int]:
        """The last lengths in the database, oldest first.

        Raises:
            DatabaseAwayError: it does not answer.
        """
        here = (REQUESTS.c.key_id == key_id, REQUESTS.c.model == model, REQUESTS.c.state == "settled")
        query = select(REQUESTS.c.completion_tokens).where(*here).order_by(REQUESTS.c.created_ms.desc()).limit(_LAST)
        with self._database.read() as transaction:
            return [int(count) for count in transaction.connection.execute(query).scalars()][::-1]

    def keep(self, key_id: str, model: str, lengths: list[int]) -> None:
        """Remember what was fetched."""
        if not self.knows(key_id, model):
            found = self._lengths[key_id, model] = _Lengths()
            for tokens in lengths:
                found.add(tokens)
            while len(self._lengths) > _PAIRS_MOST:
                self._lengths.popitem(last=False)

    def learn(self, key_id: str, model: str, tokens: int) -> None:
        """An answer of so many tokens has ended."""
        if (found := self._lengths.get((key_id, model))) is not None:
            found.add(tokens)

    def expected(self, key_id: str, model: str, most: int) -> int:
        """Tokens of an answer that may have `most`, as it may well be."""
        found = self._lengths.get((key_id, model))
        if found is None or len(found.by_size) < _LEAST:
            return min(most, _COLD_TOKENS)
        return min(most, found.by_size[int(_SHARE * (len(found.by_size) - 1) + 0.5)])
