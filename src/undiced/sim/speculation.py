"""Speculative decoding on wafers: a draft model runs ahead, the target verifies. Pure arithmetic over two reports.

The target's regions form a pipeline, so drafted tokens follow each other through it at its interval instead of waiting
for one another; each is sent as soon as it is drafted. Acceptance is an input and is stated with every result.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.core.errors import CompileError
from undiced.sim.clock import Timing

_LENGTH_MAX = 32


@dataclass(frozen=True, slots=True)
class Speculation:
    """One choice of draft length.

    Attributes:
        acceptance: probability that a drafted token is accepted, each by itself.
        length: tokens drafted each round; tokens: expected tokens per round, the target's own included.
        cycles: of a round.
    """

    acceptance: float
    length: int
    tokens: float
    cycles: float
    clock_hz: float

    @property
    def tokens_per_second(self) -> float:
        """Of one user."""
        return self.tokens * self.clock_hz / self.cycles


def speculate(target: Timing, draft: Timing, acceptance: float) -> Speculation:
    """The draft length with the most tokens per second.

    Raises:
        CompileError: an acceptance that is no probability, or reports at different clocks.
    """
    if not 0 <= acceptance < 1:
        raise CompileError(f"An acceptance of {acceptance:g} is no probability below 1.", remedy="Use 0 to 0.99.")
    if target.clock_hz != draft.clock_hz:
        raise CompileError("Target and draft run at different clocks.", remedy="Give both the same clock.")
    choices = (_round(target, draft, acceptance, length) for length in range(1, _LENGTH_MAX + 1))
    return max(choices, key=lambda choice: choice.tokens_per_second)


def _round(target: Timing, draft: Timing, acceptance: float, length: int) -> Speculation:
    """The last drafted token enters when it is drafted and the pipeline took those before it."""
    entered = max(draft.token_cycles * length, draft.token_cycles + (length - 1) * target.initiation_interval_cycles)
    cycles = entered + target.token_cycles
    tokens = sum(acceptance**i for i in range(length + 1))
    return Speculation(acceptance, length, tokens, cycles, target.clock_hz)
