"""Stop strings in streamed text: which text is safe to send, and at which token the text ended. Knows no tokenizer.

Each stop string is followed by its own Knuth-Morris-Pratt automaton, so the work is linear in the text.
"""

from __future__ import annotations

from undiced.core.errors import InvalidRequestError
from undiced.text.detokenizer import Detokenizer


class StopMatcher:
    """Ends a text at the first completed stop string; of several completed by one character, the longest.

    Attributes:
        stopped: a stop string was completed.
        stop: that string, or None.
        tokens: tokens pushed up to and including the one that completed it (all pushed, if none did).
    """

    __slots__ = (
        "_after",
        "_automata",
        "_detokenizer",
        "_first",
        "_held",
        "_include",
        "_stops",
        "stop",
        "stopped",
        "tokens",
    )

    def __init__(
        self, stops: tuple[str, ...], detokenizer: Detokenizer, *, include: bool = False, after: int = 0
    ) -> None:
        """Empty stop strings are refused.

        include: the text sent ends with the stop string instead of before it.
        after: in the text of that many tokens nothing stops, nor begins to.
        """
        if "" in stops:
            raise InvalidRequestError("A stop string is empty.", param="stop", remedy="Leave it out.")
        self._stops = tuple(dict.fromkeys(stops))
        self._automata = [_Automaton(stop) for stop in self._stops]
        self._first = frozenset(stop[0] for stop in self._stops)
        self._detokenizer = detokenizer
        self._include = include
        self._after = after
        self._held = ""
        self.stopped = False
        self.stop: str | None = None
        self.tokens = 0

    def push(self, token: int) -> tuple[str, bool]:
        """Text that is safe to send now, and whether a stop string is complete. After that, pushes change nothing."""
        if self.stopped:
            return "", True
        self.tokens += 1
        text = self._detokenizer.push(token)
        if self.tokens <= self._after:
            return text, False
        return self._feed(text) if text else "", self.stopped

    def flush(self) -> str:
        """The end of a text without a stop string: everything held back. Empty after a stop."""
        if self.stopped:
            return ""
        text = self._feed(self._detokenizer.flush())
        held, self._held = self._held, ""
        return text if self.stopped else text + held

    def _feed(self, text: str) -> str:
        if not self._held and self._first.isdisjoint(text):
            return text
        data = self._held + text
        longest = 0
        for position in range(len(self._held), len(data)):
            longest = self._step(data[position])
            if self.stop is not None:
                end = position + 1
                self.stopped = True
                self._held = ""
                return data[: end if self._include else end - len(self.stop)]
        keep = len(data) - longest
        self._held = data[keep:]
        return data[:keep]

    def _step(self, char: str) -> int:
        """Advances all automata; returns the longest partial match and notes the longest finished one."""
        longest = 0
        for automaton in self._automata:
            state = automaton.step(char)
            if state == len(automaton.stop):
                if self.stop is None or state > len(self.stop):
                    self.stop = automaton.stop
            elif state > longest:
                longest = state
        return longest


class _Automaton:
    """state: length of the longest prefix of `stop` that ends the text read so far."""

    __slots__ = ("_fallback", "state", "stop")

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self.state = 0
        self._fallback = [0] * len(stop)
        for i in range(1, len(stop)):
            self._fallback[i] = self._next(self._fallback[i - 1], stop[i])

    def step(self, char: str) -> int:
        self.state = self._next(self.state, char)
        return self.state

    def _next(self, state: int, char: str) -> int:
        while state and self.stop[state] != char:
            state = self._fallback[state - 1]
        return state + 1 if self.stop[state] == char else 0
