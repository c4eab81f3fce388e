"""Speculation: how many tokens a step drafts for its sequences, and who guesses them: as many as pay.

A draft's rows are drawn like any others, each with the seed and counter of its place. A row counts only if the rows
before it drew what was drafted, so answers are token for token those of steps without drafts: a draft changes when
tokens come, never which. What rows and steps of a draft model cost is learned from steps (`Costs`), how often guesses
are right from the tokens that are drawn (`Drafter`, `Odds`). What a draft model may cost before it pays is bounded
(`Purse`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.choice import Choice, Line, Offer, choose
from undiced.serve.costs import Costs
from undiced.serve.drafter import Drafter, rates_of_all
from undiced.serve.guesser import Guessing, Task, Worth
from undiced.serve.odds import Odds
from undiced.serve.purse import Purse
from undiced.serve.reading import Reading, Readings

if TYPE_CHECKING:
    from undiced.engine.backend import Limits
    from undiced.serve.sequence import Sequence

_MOST_SEQUENCES = 16  # with more, rows fill the machine by themselves
_NEAR = 16  # so few tokens are read in passing
_HORIZON = 64  # tokens that a sequence is expected to go on for, at most
_TRIAL = 3  # guesses with which it is tried whether a draft model pays
_PAUSE, _LONGEST_PAUSE = 64, 4096  # steps between trials of one that did not pay; each pause is twice the last


class Speculation:
    """See the file's head.

    Args:
        most: tokens of a draft. spare: rows that a step can draw besides one of each sequence.
        draft: the draft model's limits, if there is one. stall_s: how long it may read before a step.
    """

    def __init__(self, most: int, spare: int, draft: Limits | None = None, stall_s: float = 0.0) -> None:
        self._most, self._spare = most, spare
        self._costs = Costs()
        self._rates = rates_of_all()
        self._draft = draft if most else None
        self._draft_costs = Costs()
        self._odds = Odds()
        self._purse = Purse()
        self._stall_s = stall_s
        self._waited, self._pause = 0, _PAUSE
        self.readings = None if draft is None else Readings(draft.page_tokens, draft.context)

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a step that drew so many rows and read no prompt."""
        if self._most:
            self._costs.observe(rows, seconds)
            self._waited += 1

    def observe_draft(self, tokens: int, seconds: float) -> None:
        """Learn from a step of the draft model, which must have been seen before it is asked for a guess."""
        self._draft_costs.observe(tokens, seconds)

    def earn(self, seconds: float) -> None:
        """A step has taken so long."""
        if self._draft is not None and self._costs.known:
            self._purse.earn(seconds / self._costs.seconds(1))

    def learn(self, guessing: Guessing, rows: int, accepted: int) -> None:
        """Learn from what a draft model guessed for a step of `rows` sequences, and how much of it was drawn."""
        for tokens, seconds in guessing.steps:
            self.observe_draft(tokens, seconds)
        for task in guessing.tasks:
            task.learn()
        one, (_, each) = self._costs.seconds(1), self._costs.line()
        kept = sum(task.kept for task in guessing.tasks)
        saved = accepted * self._costs.seconds(rows) / rows
        self._purse.settle((guessing.seconds + kept * each) / one, saved / one)

    def looks_at(self, count: int) -> bool:
        """Whether it may guess in steps of so many sequences at all."""
        return bool(0 < count <= _MOST_SEQUENCES and self._spare and self._most)

    def guesses(self, sequences: list[Sequence]) -> bool:
        """Whether anything is to be guessed in a step that decodes these sequences."""
        return self._choice(sequences) is not None

    def choose(self, sequences: list[Sequence]) -> Choice | None:
        """What to guess in a step that decodes these sequences; None for nothing."""
        choice = self._choice(sequences)
        if choice is not None and choice.trial:
            self._waited = 0
            if self._odds.known:
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        elif choice is not None and any(choice.modeled):
            self._pause = _PAUSE
        return choice

    def _choice(self, sequences: list[Sequence]) -> Choice | None:
        if not self.looks_at(len(sequences)):
            return None
        offers = [self._offer(sequence) for sequence in sequences]
        if not self._costs.known or not any(offer.looked_up or offer.modeled for offer in offers):
            return None
        target, draft = self._costs.seconds, (0.0, 0.0) if self._draft is None else self._draft_line()
        choice = choose(offers, target, draft, self._spare)
        if any(choice.modeled) and not self._affords(choice.draft_s):
            offers = [Offer(offer.looked_up) for offer in offers]
            choice = choose(offers, target, draft, self._spare)
        if not any(choice.modeled) and (trial := self._trial(sequences, offers, choice)) is not None:
            return trial
        return choice if any(choice.counts) else None

    def guessing(self, sequences: list[Sequence], choice: Choice, counts: list[int]) -> Guessing:
        """What the draft model has to do for a choice, with what there is room for."""
        target, (base, each) = self._costs.line(), self._draft_line()
        worth = Worth() if choice.trial else Worth(*(choice.speed * seconds for seconds in (target[1], base, each)))
        left = self._chunk()
        guessing = Guessing([], [], worth)
        for place, (sequence, count) in enumerate(zip(sequences, counts, strict=True)):
            if not choice.modeled[place] or not count or left <= 0:
                continue
            lag = self._lag(sequence)
            if lag > _NEAR and left < self._chunk():
                continue  # one that reads at a time
            odds = sequence.reading.odds  # type: ignore[union-attr]
            wanted = count if lag <= left else 0
            guessing.tasks.append(Task(sequence, min(lag, left), wanted, odds.typical(), odds.by_kind()))
            guessing.places.append(place)
            left -= min(lag, left)
        return guessing

    def _offer(self, sequence: Sequence) -> Offer:
        """What can be guessed for a sequence."""
        if sequence.guidance is not None:
            return Offer()
        if sequence.drafter is None:
            sequence.drafter = Drafter(sequence, self._rates)
        if not sequence.drafter.follow(sequence.tokens):
            return Offer()
        left = sequence.max_tokens - sequence.generated
        most = min(self._most, left - 1)
        looked_up = sequence.drafter.chances(most)
        if self._draft is None or self.readings is None or not self._costs.known:
            return Offer(looked_up)
        if sequence.reading is None:
            sequence.reading = Reading(self._odds)
        most = 0 if sequence.reading.failed else min(most, self.readings.room(sequence))
        lag, typical = self.readings.lag(sequence), sequence.reading.odds.typical()
        reading_s = self._reading_s(lag)
        if lag > _NEAR:
            reading_s *= 2 / max(min(left, _HORIZON), 2)
        return Offer(looked_up, [typical ** (place + 1) for place in range(most)], reading_s)

    def _trial(self, sequences: list[Sequence], offers: list[Offer], choice: Choice) -> Choice | None:
        """A few guesses of the draft model for one sequence, to see whether they pay; None if it isn't time, or that
        would cost more than may be lost.
        """
        if self._odds.known and self._waited < self._pause:
            return None
        able = [place for place, offer in enumerate(offers) if offer.modeled and not choice.counts[place]]
        if not able:
            return None
        place = min(able, key=lambda place: self._lag(sequences[place]))
        count = min(_TRIAL, len(offers[place].modeled), self._spare - sum(choice.counts))
        base, each = self._draft_line()
        seconds = self._reading_s(self._lag(sequences[place])) + count * (base + each + self._costs.line()[1])
        if count <= 0 or not self._affords(seconds):
            return None
        counts, modeled = choice.counts.copy(), choice.modeled.copy()
        counts[place], modeled[place] = count, True
        return Choice(counts, modeled, choice.speed, seconds, trial=True)

    def _affords(self, seconds: float) -> bool:
        return self._purse.steps * self._costs.seconds(1) >= seconds

    def _lag(self, sequence: Sequence) -> int:
        assert self.readings is not None
        return self.readings.lag(sequence)

    def _draft_line(self) -> Line:
        """What a step of the draft model takes besides its tokens, and for each."""
        return self._draft_costs.line()

    def _reading_s(self, lag: int) -> float:
        """What the draft model takes to read so many tokens, but the last, which comes with its first guess."""
        base, each = self._draft_line()
        return each * (lag - 1) + base * ((lag - 1) // self._chunk())

    def _chunk(self) -> int:
        """Tokens that the draft model may read before a step."""
        assert self._draft is not None
        _, each = self._draft_line()
        within = int(self._stall_s / each) if each > 0 else self._draft.max_tokens
        return min(max(within, 2 * _NEAR), self._draft.max_tokens)
