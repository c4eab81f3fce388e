"""Tally: what a whole request used, made from the accounts of its sequences and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.serve import UsageEvent


@dataclass(slots=True)
class Tally:
    """What a whole request used, from one usage event per sequence.

    Sequences of one request run side by side, so their times are not summed: the longest counts. `joules` is NaN where
    those of one are not known.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    foretold_tokens: int = 0
    foretold_accepted: int = 0
    queue_s: float = 0.0
    prompt_s: float = 0.0
    completion_s: float = 0.0
    total_s: float = 0.0
    joules: float = 0.0
    events: list[UsageEvent] = field(default_factory=list)

    def add(self, event: UsageEvent, reasoning: int) -> None:
        """Count a sequence with so many tokens of thoughts; the prompt only once where several choices share it."""
        self.events.append(event)
        if not event.prompt_shared:
            self.prompt_tokens += event.prompt_tokens
            self.cached_tokens += event.cached_tokens
        self.completion_tokens += event.completion_tokens
        self.reasoning_tokens += reasoning
        self.foretold_tokens += event.foretold_tokens
        self.foretold_accepted += event.foretold_accepted
        self.queue_s = max(self.queue_s, event.queue_s)
        self.prompt_s = max(self.prompt_s, event.prompt_s)
        self.completion_s = max(self.completion_s, event.completion_s)
        self.total_s = max(self.total_s, event.total_s)
        self.joules += event.joules
