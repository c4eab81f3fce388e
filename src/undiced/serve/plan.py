"""Plan: one step as the scheduler wants it: which sequences, how many tokens of each.

A fresh object for each step, so that several can be in flight. No arrays; `StepBuffer` makes those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from undiced.serve.guesser import Guessing
    from undiced.serve.sequence import Sequence


class Scored(Struct, frozen=True):
    """Positions of a sequence's prompt that a step scores, and the first of their rows among the step's outputs."""

    sequence: Sequence
    positions: range
    row: int

    @property
    def rows(self) -> range:
        """Their rows among the step's outputs."""
        return range(self.row, self.row + len(self.positions))


class Plan(Struct, eq=False):
    """A step.

    Attributes:
        sequences, counts: who takes part and with how many tokens; those that decode come first, with one each.
        sampled: those of `sequences` that get a token, in the same order; with drafts one for each row.
        drafts: for each of `sequences` the tokens that are guessed to come next; empty unless all of them decode.
        guessing: what a draft model has to do before the step: its guesses are put into `drafts`; None for nothing.
        scored: prompts that get scores. Their rows stand among those of `sampled`, in the order of `sequences`.
        opened: sequences whose slots have to be opened before the step.
        grown: decoding sequences that have got a page.
        claims: digests of the full pages that the step computes.
        decodes, prompt_tokens: how many tokens of the step belong to sequences that decode, and to prompts.
        free: whether any of the sequences that decode may draw whatever it likes.
        embeds: rows of `sampled` whose hidden state is wanted instead of a token.
        guided: whether any of `sampled` has to look like something.
        given: slots, and tokens that they have to count because nobody drew them.
        wants_logprobs: whether any of `sampled` asked for log-probabilities.
        follows: for each of `sequences` the row of the step before that draws the token which it reads; empty where
            tokens are known.
    """

    sequences: list[Sequence] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    sampled: list[Sequence] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    opened: list[Sequence] = field(default_factory=list)
    grown: list[Sequence] = field(default_factory=list)
    claims: list[bytes] = field(default_factory=list)
    decodes: int = 0
    prompt_tokens: int = 0
    wants_logprobs: bool = False
    free: bool = False
    guided: bool = False
    embeds: list[int] = field(default_factory=list)
    given: list[tuple[int, list[int]]] = field(default_factory=list)
    drafts: list[list[int]] = field(default_factory=list)
    follows: list[int] = field(default_factory=list)
    guessing: Guessing | None = None

    def add(self, sequence: Sequence, count: int) -> None:
        """Let `count` prompt tokens of a sequence take part."""
        self.sequences.append(sequence)
        self.counts.append(count)
        self.prompt_tokens += count
        begin = sequence.submitted
        if sequence.scoring and (positions := sequence.scores(begin, begin + count)):
            self.scored.append(Scored(sequence, positions, len(self.sampled) + self.scored_rows))
        if count == sequence.left and sequence.max_tokens:
            if sequence.request.embeds:
                self.embeds.append(len(self.sampled))
            self.sampled.append(sequence)
            self.wants_logprobs = self.wants_logprobs or sequence.wants_logprobs
            self.guided = self.guided or sequence.guidance is not None
        if sequence.uncounted:
            self.give(sequence)
        sequence.submitted += count
        sequence.flights += 1

    def draft(self, drafts: list[list[int]]) -> None:
        """Let these tokens take part, for each of the sequences, which all decode."""
        self.drafts = drafts
        rows = zip(self.sequences, drafts, strict=True)
        self.sampled = [sequence for sequence, draft in rows for _ in range(1 + len(draft))]

    @property
    def tokens(self) -> int:
        """All tokens of the step."""
        return self.prompt_tokens + (len(self.sampled) if self.drafts else self.decodes)

    def give(self, sequence: Sequence) -> None:
        """Let a sequence's slot count what it has not counted yet."""
        self.given.append((sequence.slot, sequence.uncounted))
        sequence.uncounted = []

    @property
    def scored_rows(self) -> int:
        """Rows of the step that score a prompt."""
        return sum(len(part.positions) for part in self.scored)

    def sampled_rows(self) -> list[int]:
        """For each of `sampled` its row among the step's outputs."""
        taken = {row for part in self.scored for row in part.rows}
        return [row for row in range(len(self.sampled) + len(taken)) if row not in taken]
