"""Plan: one step as the scheduler wants it: which sequences, how many tokens of each.

No arrays; `StepBuffer` makes those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.serve.sequence import Sequence


class Plan:
    """A step. One object is reused for all steps.

    Attributes:
        number: counts steps, from 1.
        sequences, counts: who takes part and with how many tokens; those that decode come first, with one each.
        sampled: those of `sequences` that get a token, in the same order.
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
        "sequences",
        "steady",
        "wants_logprobs",
    )

    def __init__(self) -> None:
        self.number = 0
        self.sequences: list[Sequence] = []
        self.counts: list[int] = []
        self.sampled: list[Sequence] = []
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
        if count == sequence.left:
            self.sampled.append(sequence)
