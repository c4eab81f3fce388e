"""Plan: one step as the scheduler wants it: which sequences, how many tokens of each.

No arrays; `StepBuffer` makes those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Scored:
    """Positions of a sequence's prompt that a step scores, and the first of their rows among the step's outputs."""

    sequence: Sequence
    positions: range
    row: int

    @property
    def rows(self) -> range:
        """Their rows among the step's outputs."""
        return range(self.row, self.row + len(self.positions))


class Plan:
    """A step. One object is reused for all steps.

    Attributes:
        number: counts steps, from 1.
        sequences, counts: who takes part and with how many tokens; those that decode come first, with one each.
        sampled: those of `sequences` that get a token, in the same order.
        scored: prompts that get scores. Their rows stand among those of `sampled`, in the order of `sequences`.
        opened: sequences that have just taken their slot.
        grown: decoding sequences that have got a page.
        decodes, prompt_tokens: how many tokens of the step belong to sequences that decode, and to prompts.
        steady: the same sequences as the step before, in the same order, all decoding: only tokens, positions and
            counters have moved.
        wants_logprobs: whether any of `sampled` asked for log-probabilities.
    """

    __slots__ = (
        "counts",
        "decodes",
        "grown",
        "number",
        "opened",
        "prompt_tokens",
        "sampled",
        "scored",
        "sequences",
        "steady",
        "wants_logprobs",
    )

    def __init__(self) -> None:
        self.number = 0
        self.sequences: list[Sequence] = []
        self.counts: list[int] = []
        self.sampled: list[Sequence] = []
        self.scored: list[Scored] = []
        self.opened: list[Sequence] = []
        self.grown: list[Sequence] = []
        self.decodes = 0
        self.prompt_tokens = 0
        self.steady = False
        self.wants_logprobs = False

    def begin(self) -> list[Sequence]:
        """Empty the plan for the next step; returns the sequences of the last one if all of them decoded."""
        before = [] if self.prompt_tokens else self.sequences
        self.number += 1
        self.sequences = []
        self.counts = []
        self.sampled = []
        self.scored = []
        self.opened = []
        self.grown = []
        self.prompt_tokens = 0
        self.wants_logprobs = False
        return before

    def add(self, sequence: Sequence, count: int) -> None:
        """Let `count` prompt tokens of a sequence take part."""
        self.sequences.append(sequence)
        self.counts.append(count)
        self.prompt_tokens += count
        sequence.planned = self.number
        if sequence.scoring and (positions := sequence.scores(sequence.computed, sequence.computed + count)):
            self.scored.append(Scored(sequence, positions, len(self.sampled) + self.scored_rows))
        if count == sequence.left and sequence.max_tokens:
            self.sampled.append(sequence)

    @property
    def scored_rows(self) -> int:
        """Rows of the step that score a prompt."""
        return sum(len(part.positions) for part in self.scored)

    def sampled_rows(self) -> list[int]:
        """For each of `sampled` its row among the step's outputs."""
        taken = {row for part in self.scored for row in part.rows}
        return [row for row in range(len(self.sampled) + len(taken)) if row not in taken]
