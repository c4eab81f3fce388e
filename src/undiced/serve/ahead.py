"""Ahead: the step after one that is still being computed, which reads the tokens that that one draws.

So the next step begins as soon as one ends, and what is to be done for it, and with the tokens of the last one, is done
meanwhile. Only where nothing depends on the tokens: where all that is alive decodes freely and nobody is guessed for,
waits or rests. Who ends by a token that this step does not know yet takes part in it for nobody. Changes what a roster
holds, and nothing else; reads no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.plan import Plan

if TYPE_CHECKING:
    from collections import deque

    from undiced.engine.backend import Limits
    from undiced.serve.pace import Pacer
    from undiced.serve.roster import Roster
    from undiced.serve.sequence import Sequence
    from undiced.serve.speculation import Speculation


_GUESSED = 10  # one of so many tokens of a sequence that was guessed right: more guesses are worth waiting for
_SELDOM = 50  # less than one of so many: guesses are not worth looking at after each token
_TRIED = 64  # tokens of a sequence after which that is known


class Ahead:
    """Makes plans; see the file's head. Args as of `Planner`."""

    def __init__(self, limits: Limits, roster: Roster, pacer: Pacer, speculation: Speculation) -> None:
        self._limits, self._roster, self._pacer, self._speculation = limits, roster, pacer, speculation

    def plan(self, planned: deque[Plan]) -> Plan | None:
        """The step after those in flight, of which there is one at least; None if one has to be collected first."""
        roster, before, flights = self._roster, planned[-1], len(planned)
        if flights > 1 and (planned[0].prompt_tokens or not self._guesses_may_be_late()):
            return None  # many are collected together, and a first token is waited for
        if before.drafts or before.guided or before.embeds or before.scored or roster.held or roster.preempted:
            return None
        if len(roster.waiting) or not self._pacer.brief(len(before.sampled), flights):
            return None
        rows = {sequence: row for row, sequence in enumerate(before.sampled)}
        running = roster.running
        if not all(sequence in rows and sequence.awaits == flights for sequence in running):
            return None
        sequences = [sequence for sequence in running if self._goes_on(sequence)]
        grown = [sequence for sequence in sequences if sequence.submitted == sequence.room]
        if not sequences or len(grown) > roster.pool.available or self._guessing(sequences):
            return None
        for sequence in grown:
            roster.grow(sequence)
        for sequence in sequences:
            sequence.submitted += 1
            sequence.flights += 1
        return Plan(
            sequences,
            [1] * len(sequences),
            sequences.copy(),
            grown=grown,
            decodes=len(sequences),
            wants_logprobs=any(sequence.wants_logprobs for sequence in sequences),
            free=True,
            follows=[rows[sequence] for sequence in sequences],
        )

    def _guessing(self, sequences: list[Sequence]) -> bool:
        """Whether the next step may draft for one of them, once its tokens are known."""
        worth = any(sequence.taken * _GUESSED > sequence.generated for sequence in sequences)
        return worth or self._speculation.guesses(sequences)

    def _guesses_may_be_late(self) -> bool:
        """Whether a guess that comes several tokens late is no loss."""
        running = self._roster.running
        return not self._speculation.looks_at(len(running)) or all(
            sequence.generated >= _TRIED and sequence.taken * _SELDOM <= sequence.generated for sequence in running
        )

    def _goes_on(self, sequence: Sequence) -> bool:
        """Whether it has not ended with the tokens that it awaits, whatever those are."""
        awaits = sequence.awaits
        return (
            sequence.generated + awaits < sequence.max_tokens and len(sequence.tokens) + awaits < self._limits.context
        )
