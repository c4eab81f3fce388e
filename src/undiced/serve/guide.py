"""Guide: what an answer has to look like, as a request says it; Guidance: how far a sequence has got with that.

An answer may open with a thought, which ends by itself or, when its budget is used up, by force; what follows obeys a
grammar, if there is one. Knows token ids and a matcher; neither text nor grammars.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray

NO_BUDGET = -1
_WORD = 32  # tokens of a word of a mask


class Guide(Struct, frozen=True):
    """What an answer has to look like.

    Attributes:
        grammar: what it obeys after its thought, as `Grammars` reads it; empty: nothing.
        thinking: the prompt has begun a thought.
        think_start: tokens that begin one, if the answer begins with the first of them.
        think_end: tokens that end one, whoever says them; empty: the answer has no thoughts.
        then: tokens that must follow those.
        budget: most tokens of a thought; then its end is forced. -1: no limit.
    """

    grammar: str = ""
    thinking: bool = False
    think_start: tuple[int, ...] = ()
    think_end: tuple[int, ...] = ()
    then: tuple[int, ...] = ()
    budget: int = NO_BUDGET


class Matcher(Protocol):
    """Where a sequence stands in its grammar."""

    def fill(self, row: NDArray[np.int32]) -> bool:
        """Set the bits of the tokens that may come next: bit b of word w is token 32 w + b. False if it failed."""

    def accept(self, tokens: list[int]) -> bool:
        """Go on by these tokens; False if the grammar has failed, for good."""

    def forced(self) -> list[int]:
        """The tokens that alone can come next, as far as there is no choice."""

    @property
    def finished(self) -> bool:
        """Whether nothing can follow."""

    @property
    def cost_s(self) -> float:
        """Seconds that `fill` takes, as it lately took."""


class Grammars(Protocol):
    """Makes matchers; `undiced.grammar.LlGrammars` is one."""

    def matcher(self, grammar: str) -> Matcher:
        """One that stands at the beginning. Fast if the grammar is known; any thread may call.

        Raises:
            InvalidRequestError: it is no grammar, or too large.
        """

    def known(self, grammar: str) -> Matcher | None:
        """The same if it is compiled; else None, at once."""

    def prepare(self, grammar: str) -> None:
        """Compile a grammar that is not known. Raises as `matcher`."""


class Phase(Enum):
    """Where an answer stands: before a thought that it may begin with, in it, or in what the grammar is about."""

    OPENING = auto()
    THINKING = auto()
    CONTENT = auto()


class Guidance:
    """State of one sequence.

    Args:
        matcher: of the guide's grammar, if there is one.
        stops: tokens that end the sequence; no thought is cut short by one if a grammar still has to be obeyed.
        forcing: whether tokens without a choice are skipped. Their log-probabilities would not be known.

    Attributes:
        finished: nothing can follow.
        stop: the token that ended the sequence, if it was one that nobody drew.
        failed: the matcher has given up.
    """

    __slots__ = (
        "_forcing", "_free", "_guide", "_left", "_matcher", "_over", "_saved_s", "_stops", "_tail", "failed",
        "finished", "phase", "stop",
    )  # fmt: skip

    def __init__(self, guide: Guide, matcher: Matcher | None, stops: Collection[int], *, forcing: bool) -> None:
        self._guide = guide
        self._matcher = matcher
        self._stops = stops
        self._forcing = forcing
        self._left = guide.budget  # tokens that the thought may still take
        self._over = False  # somebody wants no more of it
        self._tail: deque[int] = deque(maxlen=max(1, len(guide.think_end)))
        self._free: NDArray[np.int32] | None = None
        self._saved_s = 0.0  # what it may take for masks and did not
        self.finished = False
        self.failed = False
        self.stop: int | None = None
        if guide.thinking:
            self.phase = Phase.THINKING
        else:
            self.phase = Phase.OPENING if guide.think_start and guide.think_end else Phase.CONTENT

    def begin(self, room: int) -> list[int]:
        """The tokens that the answer has to begin with, `room` of them at most."""
        if self.phase is Phase.THINKING:
            return self._cut(room)
        return self._forced(room) if self.phase is Phase.CONTENT else []

    def end_thought(self) -> bool:
        """Whatever the budget, the thought shall end with its next token; returns whether there is one."""
        self._over = self.phase is not Phase.CONTENT
        return self._over

    @property
    def cost_s(self) -> float:
        """Seconds that its next mask is likely to take."""
        return 0.0 if self._matcher is None or self.phase is Phase.THINKING else self._matcher.cost_s

    def rests(self, share_s: float) -> bool:
        """Whether the sequence sits a step out, because its mask takes longer than the steps since its last one have
        left it. share_s: what each leaves it.
        """
        self._saved_s += share_s
        if self._saved_s < self.cost_s:
            return True
        self._saved_s = 0.0
        return False

    def fill(self, row: NDArray[np.int32]) -> bool:
        """Set the bits of the tokens that may be drawn next; False, and nothing set, if any may."""
        if self._matcher is None or self.finished:
            return False
        if self.phase is Phase.THINKING:
            if self._free is None:
                self._free = _all_but(len(row), self._stops)
            row[:] = self._free
            return True
        if not self._matcher.fill(row):
            self.failed = True
            row[:] = 0
        elif self.phase is Phase.OPENING:
            first = self._guide.think_start[0]
            row.view("u4")[first // _WORD] |= 1 << first % _WORD
        return True

    def take(self, token: int, room: int) -> list[int]:
        """Go on by a token that was drawn and did not end the sequence; returns what must follow, `room` at most."""
        if self.phase is Phase.OPENING:
            if token == self._guide.think_start[0]:
                self.phase = Phase.THINKING
                more = list(self._guide.think_start[1 : 1 + room])
                return more + self._cut(room - len(more))
            self.phase = Phase.CONTENT
        if self.phase is Phase.THINKING:
            return self._think(token, room)
        if self._matcher is None:
            return []
        self._accept([token])
        return self._forced(room)

    def _think(self, token: int, room: int) -> list[int]:
        guide = self._guide
        self._tail.append(token)
        self._left -= 1
        if tuple(self._tail) == guide.think_end:
            return self._speak(guide.then, room)
        return self._cut(room)

    def _cut(self, room: int) -> list[int]:
        """The end of the thought, if it has to end now."""
        guide = self._guide
        spent = guide.budget != NO_BUDGET and self._left <= 0
        if not guide.think_end or not (spent or self._over):
            return []
        return self._speak(guide.think_end + guide.then, room)

    def _speak(self, said: tuple[int, ...], room: int) -> list[int]:
        """The thought is over, with these words."""
        self.phase = Phase.CONTENT
        words = list(said[:room])
        return words + self._forced(room - len(words))

    def _forced(self, room: int) -> list[int]:
        """Go on as far as there is no choice, and room."""
        if self._matcher is None or not self._forcing:
            return []
        forced: list[int] = []
        while not self.finished and len(forced) < room and (more := self._matcher.forced()[: room - len(forced)]):
            end = next((at for at, token in enumerate(more, 1) if token in self._stops), 0)
            forced += more[:end] if end else more
            self._accept(more[:end] if end else more)
            if end:
                self.finished, self.stop = True, forced[-1]
        return forced

    def _accept(self, tokens: list[int]) -> None:
        assert self._matcher is not None
        self.failed = not self._matcher.accept(tokens)
        self.finished = self.failed or self._matcher.finished


def _all_but(words: int, stops: Collection[int]) -> NDArray[np.int32]:
    import numpy as np

    row = np.full(words, -1, np.int32)
    bits = row.view(np.uint32)
    for token in stops:
        if token // _WORD < words:
            bits[token // _WORD] &= ~np.uint32(1 << token % _WORD)
    return row
