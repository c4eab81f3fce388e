"""Policy: the scheduler's settings. Data only."""

from __future__ import annotations

from msgspec import Struct


class Policy(Struct, frozen=True):
    """What an operator may choose.

    Attributes:
        max_waiting: requests in the queue; one more is refused.
        turn_s: how long a step of prompts alone may last, or a little longer where that saves one. min_turn: prompt
            tokens that it takes on all the same.
        stall_s: how much a prompt may lengthen a step while others decode. min_chunk: prompt tokens it gets all the
            same. prompt_share: where all is one account's, prompts may take so many times what the decoding takes, if
            that is more, as long as the step takes no more than turn_s.
        masks_share: how much of a step's time the masks of dear forms may add to it while others decode; in seconds it
            is never less than least_masks_s.
        ahead_s: a step is planned while the one before it is computed where it takes no longer than that: who comes
            meanwhile waits for both. More than two are in flight where all of them take no longer.
        speculate: whether tokens are drafted. That changes when tokens come, never which.
    """

    max_waiting: int = 256
    turn_s: float = 0.15
    min_turn: int = 64
    stall_s: float = 0.05
    min_chunk: int = 32
    prompt_share: float = 3.0
    masks_share: float = 0.5
    least_masks_s: float = 0.001
    ahead_s: float = 0.02
    speculate: bool = True
