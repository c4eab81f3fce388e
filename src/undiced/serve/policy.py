"""Policy: the scheduler's settings. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may choose.

    Attributes:
        max_waiting: requests in the queue; one more is refused.
        turn_s: how long a step of prompts alone may last. min_turn: prompt tokens that it takes on all the same.
        stall_s: how much a prompt may lengthen a step while others decode. min_chunk: prompt tokens it gets all the
            same.
    """

    max_waiting: int = 256
    turn_s: float = 0.15
    min_turn: int = 64
    stall_s: float = 0.05
    min_chunk: int = 32
