"""A prompt among running decodes on one program: what each makes the other wait. Knows ways through places, no program.

Every place that regions lie on serves one token or one chunk at a time, in the order of arrival. A chunk comes to the
first place when the one before it has left that, each user's next token when the last one has left them all.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from undiced.core.errors import CompileError
from undiced.sim.prompt import Way

_TOKEN, _CHUNK = 0, 1  # of two that come at once the token goes first
_Turn = tuple[float, int, int, int, Way, int]  # when, a token or a chunk, a number, whose, its way, and where on it
_BEFORE = 2  # tokens of each user before the prompt comes


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A prompt, and users who decode meanwhile.

    Attributes:
        first_token_cycles: of the prompt, from its arrival.
        alone_cycles: between two tokens of a user without the prompt, beside the other users.
        mean_cycles, longest_cycles: between tokens of a user that came while the prompt was under way.
    """

    users: int
    first_token_cycles: float
    alone_cycles: float
    mean_cycles: float
    longest_cycles: float


def interleave(chunks: Sequence[Way], token: Way, users: int) -> Interleaved:
    """`chunks`: of a prompt, in order; `token`: of every user.

    Raises:
        CompileError: nobody decodes.
    """
    if users < 1:
        raise CompileError("Nobody decodes beside the prompt.", remedy="Use at least one user.")
    calm = _Queues(token, users).run([], until=_BEFORE + 1)
    alone = max(between for each in calm.came for between in _gaps(each[1:]))
    busy = _Queues(token, users)
    busy.run([], until=_BEFORE)
    began = busy.now
    busy.run(list(chunks), until=0)
    end = busy.now
    busy.run([], until=max(len(each) for each in busy.came) + 1)
    gaps = [b - a for each in busy.came for a, b in pairwise(each) if b > began and a < end]
    return Interleaved(users, end - began, alone, sum(gaps) / len(gaps), max(gaps))


def _gaps(times: Sequence[float]) -> list[float]:
    return [b - a for a, b in pairwise(times)]


@dataclass(slots=True)
class _Queues:
    """Places with who waits for them.

    Attributes:
        came: when each user's tokens were there.
    """

    token: Way
    users: int
    now: float = 0.0
    came: list[list[float]] = field(default_factory=list)
    _busy: dict[int, bool] = field(default_factory=dict)
    _waiting: dict[int, list[_Turn]] = field(default_factory=dict)
    _events: list[_Turn] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.came = [[] for _ in range(self.users)]
        for user in range(self.users):
            self._arrive(_TOKEN, user, self.token, 0)

    def run(self, chunks: list[Way], until: int) -> _Queues:
        """Until every user has so many tokens, or the last of the chunks has left."""
        if chunks:
            self._arrive(_CHUNK, 0, chunks[0], 0)
        left = len(chunks)
        while left or min(map(len, self.came)) < until:
            self.now, kind, _, who, way, at = heapq.heappop(self._events)
            place = way[at][0]
            self._busy[place] = False
            if kind == _CHUNK and at == 0 and who + 1 < len(chunks):
                self._arrive(_CHUNK, who + 1, chunks[who + 1], 0)
            if at + 1 < len(way):
                self._arrive(kind, who, way, at + 1)
            elif kind == _TOKEN:
                self.came[who].append(self.now)
                self._arrive(_TOKEN, who, self.token, 0)
            else:
                left -= 1
            self._next(place)
        return self

    def _arrive(self, kind: int, who: int, way: Way, at: int) -> None:
        self._count += 1
        heapq.heappush(self._waiting.setdefault(way[at][0], []), (self.now, kind, self._count, who, way, at))
        self._next(way[at][0])

    def _next(self, place: int) -> None:
        waiting = self._waiting.get(place)
        if not waiting or self._busy.get(place):
            return
        _, kind, count, who, way, at = heapq.heappop(waiting)
        self._busy[place] = True
        heapq.heappush(self._events, (self.now + way[at][1], kind, count, who, way, at))
