"""Figures: what a scheduler's steps have produced and cost so far, and how fast. Counts; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from undiced.serve.delta import EngineStats
from undiced.serve.lengths import Lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.serve.roster import Roster

_RATE_WINDOW_S = 1.0
_RETRY_DEFAULT_S, _RETRY_LEAST_S, _RETRY_MOST_S = 1.0, 0.1, 60.0


class Figures(Struct):
    """Counters from the start.

    Attributes:
        rate: generated tokens per second, over about a second of work.
        lengths: of the answers that ended lately.
    """

    rate: float = 0.0
    lengths: Lengths = field(default_factory=Lengths)
    steps: int = 0
    ended: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    step_s: float = 0.0
    joules: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    modeled_tokens: int = 0
    modeled_accepted: int = 0
    draft_s: float = 0.0
    _busy_s: float = 0.0
    _updated_s: float = 0.0

    def begin(self, now: float) -> None:
        """Work begins after a rest, which is nobody's speed."""
        self._updated_s = now
        self._busy_s = 0.0

    def step(self, prompt_tokens: int, sampled: int, now: float, seconds: float, joules: float) -> None:
        """A step has been collected."""
        self.steps += 1
        self.step_s += seconds
        self.joules += joules
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += sampled
        elapsed = max(now - self._updated_s, seconds, 1e-9)  # several are collected at once
        self._busy_s += elapsed
        self.rate += (sampled / elapsed - self.rate) * min(elapsed / min(self._busy_s, _RATE_WINDOW_S), 1.0)
        self._updated_s += elapsed

    def end(self, generated: int, ran: bool) -> None:
        """A sequence has ended; one that `ran` leaves its place to another."""
        self.ended += 1
        if ran:
            self.lengths.add(generated)

    def retry_after_s(self, running: Sequence[tuple[int, int]], places: int = 1) -> float:
        """Seconds until so many places in a full queue are likely to be free: until the next of the running sequences
        ends, at the speed of late, as often. Of each (tokens so far, most that may follow).
        """
        if not running or self.rate <= 0.0:
            return _RETRY_DEFAULT_S
        wait_s = self.lengths.until_next(running) * len(running) / self.rate * places
        return min(max(wait_s, _RETRY_LEAST_S), _RETRY_MOST_S)

    def stats(self, roster: Roster, overhead_s: float, source: str) -> EngineStats:
        """All of them, and how the sequences and pages of a roster stand; `overhead_s` is the loop's own."""
        return EngineStats(
            running=len(roster.running),
            waiting=len(roster.waiting),
            preempted=len(roster.preempted),
            pages=roster.pool.pages,
            pages_used=roster.pool.held,
            pages_cached=roster.pool.cached,
            tokens_per_second=self.rate,
            steps=self.steps,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            preemptions=roster.preemptions,
            ended=self.ended,
            step_s=self.step_s,
            overhead_s=overhead_s,
            joules=self.joules,
            drafted_tokens=self.drafted_tokens,
            accepted_tokens=self.accepted_tokens,
            modeled_tokens=self.modeled_tokens,
            modeled_accepted=self.modeled_accepted,
            draft_s=self.draft_s,
            source=source,
        )
