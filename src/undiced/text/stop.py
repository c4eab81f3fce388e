"""Stop strings in streamed text: which text is safe to send, and whether it ends. Knows no token.

Each stop string is followed by its own Knuth-Morris-Pratt automaton, so the work is linear in the text.
"""

from __future__ import annotations

from undiced.core.errors import InvalidRequestError


class StopMatcher:
    """Ends a text at the first completed stop string; of several completed by one character, the longest.

    Attributes:
        stop: the stop string that was completed, or None.
    """

    __slots__ = ("_automata", "_first", "_held", "_include", "stop")

    def __init__(self, stops: tuple[str, ...], *, include: bool = False) -> None:
        """Empty stop strings are refused.

        include: the text sent ends with the stop string instead of before it.
        """
        if "" in stops:
            raise InvalidRequestError("A stop string is empty.", param="stop", remedy="Leave it out.")
        self._automata = [_Automaton(stop) for stop in dict.fromkeys(stops)]
        self._first = frozenset(stop[0] for stop in stops)
        self._include = include
        self._held = ""
        self.stop: str | None = None

    def flush(self) -> str:
        """Everything held back, at the end of a text without a stop string. What is fed later is another text."""
        held, self._held = self._held, ""
        for automaton in self._automata:
            automaton.state = 0
        return held

    def feed(self, text: str) -> str:
        """The text that is safe to send, now that `text` has come. `stop` tells whether it ends here; nothing may be
        fed after that.
        """
        if not self._held and self._first.isdisjoint(text):
            return text
        data = self._held + text
        longest = 0
        for position in range(len(self._held), len(data)):
            longest = self._step(data[position])
            if self.stop is not None:
                end = position + 1
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
