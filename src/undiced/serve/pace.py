"""Pacer: what a step may take on, of prompt tokens and of masks, while others wait for their next token or their turn.

Knows the seconds that steps took, as the backend reported them; reads no clock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undiced.serve.policy import Policy
    from undiced.serve.sequence import Sequence

_BLEND = 0.125  # weight of the newest measurement
_LEAST_MEASURED = 8  # prompt tokens; fewer say nothing about the cost of one


class Pacer:
    """Learns what a prompt token costs, and sizes chunks by that."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
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
        return self._within(budget, self._policy.stall_s, self._policy.min_chunk)

    def turn(self, budget: int) -> int:
        """Prompt tokens for a step of prompts alone, at most `budget`: who comes during the step waits for its end."""
        return self._within(budget, self._policy.turn_s, self._policy.min_turn)

    def mask_share(self, running: Iterable[Sequence]) -> float:
        """Seconds that a step leaves the mask of each sequence that is held to a form, while others wait for their next
        token; no limit where all forms are dear, for then nobody is served by smaller steps.
        """
        costs = [None if one.guidance is None else one.guidance.cost_s for one in running]
        dear = [cost for cost in costs if cost is not None]
        share = max(self._policy.least_masks_s, self._decode_s * self._policy.masks_share) / max(1, len(dear))
        return share if None in costs or min(dear, default=0.0) <= share else math.inf

    def _within(self, budget: int, most_s: float, least: int) -> int:
        if self._token_s * budget <= most_s:
            return budget
        return min(budget, max(least, int(most_s / self._token_s)))


def _blend(old: float, new: float) -> float:
    return old + (new - old) * _BLEND if old else new
