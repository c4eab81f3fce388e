"""Figures: what a scheduler's steps have produced and cost so far, and how fast. Counts; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

_RATE_WINDOW_S = 1.0
_BLEND = 0.25  # weight of the newest pause between two ends
_RETRY_DEFAULT_S, _RETRY_LEAST_S, _RETRY_MOST_S = 1.0, 0.1, 60.0


@dataclass(slots=True)
class Figures:
    """Counters from the start.

    Attributes:
        rate: generated tokens per second, over about a second of work.
        pause_s: seconds from one end of a sequence to the next, lately; 0 if not known.
    """

    rate: float = 0.0
    pause_s: float = 0.0
    steps: int = 0
    ended: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    step_s: float = 0.0
    joules: float = 0.0
    _busy_s: float = 0.0
    _updated_s: float = 0.0
    _ended_s: float = 0.0

    def begin(self, now: float) -> None:
        """Work begins after a rest, which is nobody's speed."""
        self._updated_s = self._ended_s = now
        self._busy_s = 0.0

    def step(self, prompt_tokens: int, sampled: int, now: float, seconds: float, joules: float) -> None:
        """A step has been collected."""
        self.steps += 1
        self.step_s += seconds
        self.joules += joules
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += sampled
        elapsed = max(now - self._updated_s, seconds, 1e-9)
        self._busy_s += elapsed
        self.rate += (sampled / elapsed - self.rate) * min(elapsed / min(self._busy_s, _RATE_WINDOW_S), 1.0)
        self._updated_s = now

    def end(self, now: float, ran: bool) -> None:
        """A sequence has ended; one that `ran` leaves its place to another."""
        self.ended += 1
        if ran:
            pause_s = max(now - self._ended_s, 0.0)
            self.pause_s += (pause_s - self.pause_s) * _BLEND if self.pause_s else pause_s
            self._ended_s = now

    def retry_after_s(self, running: int, left: int) -> float:
        """Seconds until a place in a full queue is free: as long as lately from one end to the next, or, if that is
        sooner or nothing has ended yet, until one of `running` sequences has generated `left` more tokens.
        """
        guesses = [left * running / self.rate] if running and self.rate > 0.0 else []
        if self.pause_s:
            guesses.append(self.pause_s)
        return min(max(min(guesses, default=_RETRY_DEFAULT_S), _RETRY_LEAST_S), _RETRY_MOST_S)
