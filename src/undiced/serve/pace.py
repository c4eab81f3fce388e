"""Pacer: what a step may take on, of prompt tokens and of masks, while others wait for their next token or their turn.

Knows the seconds that steps took, as the backend reported them; reads no clock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from undiced.serve.strides import Strides

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undiced.serve.policy import Policy
    from undiced.serve.sequence import Sequence

_BLEND = 0.125  # weight of the newest measurement
_LONGER = 8  # a turn may last an eighth longer for one step less
_SEVERAL = 0.5  # of a turn: a step with several accounts, where many decode


class Pacer:
    """Learns what tokens cost, and sizes chunks by that."""

    def __init__(self, policy: Policy, multiple: int = 1) -> None:
        self._policy, self._multiple = policy, multiple
        self._decode_s = 0.0
        self._strides = Strides()

    def observe(self, decodes: int, prompt_tokens: int, seconds: float) -> None:
        """Learn from a finished step."""
        if prompt_tokens == 0:
            self._decode_s = _blend(self._decode_s, seconds)
        self._strides.observe(decodes, prompt_tokens, seconds)

    def chunk(self, budget: int, decodes: int, *, several: bool) -> int:
        """Prompt tokens for a step that also decodes so many, at most `budget`; all of it until costs are known.

        Prompts may take a multiple of what the decoding takes, so that many that come together are not read in crumbs
        between long steps, but the step not longer than one of prompts alone. With `several` accounts it is
        shorter instead where many decode: who has few sequences waits for such steps.
        """
        policy, decode_s = self._policy, self._strides.seconds(decodes, 0)
        if several:
            most_s = min(policy.stall_s, max(_SEVERAL * policy.turn_s - decode_s, 0.0))
        else:
            most_s = max(policy.stall_s, min(policy.prompt_share * decode_s, policy.turn_s - decode_s))
        return self._within(budget, most_s, policy.min_chunk)

    def turn(self, budget: int, left: int = 0) -> int:
        """Prompt tokens for a step of prompts alone, at most `budget`: who comes during the step waits for its end.

        left: tokens of the only prompt that there is; 0: there are several. Few tokens that would be left over at its
        end cost a step of their own, so it is read in even pieces that are a little longer, or in multiples of what
        the backend reads fastest.
        """
        found = self._within(budget, self._policy.turn_s, self._policy.min_turn)
        most, multiple = min(budget, found + found // _LONGER), self._multiple
        if 1 < multiple <= most < left:
            whole = most - most % multiple
            return whole - multiple if left - whole < multiple // 2 and whole > multiple else whole
        fewest = -(-left // most)
        return -(-left // fewest) if fewest * found < left else found

    def brief(self, decodes: int, flights: int) -> bool:
        """Whether a step that decodes so many is short enough to be planned ahead, behind so many in flight."""
        step_s = self._strides.roughly(decodes, 0)
        if flights > 1:  # more than two: only where steps of late were as short
            step_s = (flights + 1) * max(step_s, self._decode_s) if self._decode_s else math.inf
        return 0 < step_s <= self._policy.ahead_s

    def mask_share(self, running: Iterable[Sequence]) -> float:
        """Seconds that a step leaves the mask of each sequence that is held to a form, while others wait for their next
        token; no limit where all forms are dear, for then nobody is served by smaller steps.
        """
        costs = [None if one.guidance is None else one.guidance.cost_s for one in running]
        dear = [cost for cost in costs if cost is not None]
        share = max(self._policy.least_masks_s, self._decode_s * self._policy.masks_share) / max(1, len(dear))
        return share if None in costs or min(dear, default=0.0) <= share else math.inf

    def _within(self, budget: int, most_s: float, least: int) -> int:
        token_s = self._strides.prompt_token_s
        if token_s * budget <= most_s:
            return budget
        return min(budget, max(least, int(most_s / token_s)))


def _blend(old: float, new: float) -> float:
    return old + (new - old) * _BLEND if old else new
