"""Pacer: how many prompt tokens a step may take on while other sequences wait for their next token.

Knows the seconds that steps took, as the backend reported them; reads no clock.
"""

from __future__ import annotations

_BLEND = 0.125  # weight of the newest measurement
_LEAST_MEASURED = 8  # prompt tokens; fewer say nothing about the cost of one


class Pacer:
    """Learns what a prompt token costs and sizes chunks so that a step grows by about `stall_s`."""

    def __init__(self, stall_s: float, min_chunk: int) -> None:
        self._stall_s = stall_s
        self._min_chunk = min_chunk
        self._decode_s = 0.0
        self._token_s = 0.0

    def observe(self, decodes: int, prompt_tokens: int, seconds: float) -> None:
        """Learn from a finished step."""
        if prompt_tokens == 0:
            self._decode_s = _blend(self._decode_s, seconds)
        elif prompt_tokens >= _LEAST_MEASURED:
            rest = seconds - self._decode_s if decodes else seconds
            self._token_s = _blend(self._token_s, max(rest, 0.0) / prompt_tokens)

    def chunk(self, budget: int) -> int:
        """Prompt tokens for a step that also decodes, at most `budget`; all of it until a token's cost is known."""
        if self._token_s * budget <= self._stall_s:
            return budget
        return min(budget, max(self._min_chunk, int(self._stall_s / self._token_s)))


def _blend(old: float, new: float) -> float:
    return old + (new - old) * _BLEND if old else new
