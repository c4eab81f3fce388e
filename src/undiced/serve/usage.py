"""UsageEvent: what a sequence consumed, emitted exactly once when it ends, for whatever reason.

Answers, metrics and ledger rows are all made from it, so they cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FinishReason = Literal["stop", "length", "cancelled", "error"]


class UsageEvent(Struct, frozen=True):
    """The account of one sequence.

    Attributes:
        request_id: the request's id.
        finish_reason: stop (a stop token, or a stop string found by the front end), length, cancelled or error.
        prompt_tokens: length of the prompt, of which `cached_tokens` were found in the prefix cache.
        completion_tokens: generated tokens that count, a stop token included.
        queue_s: from arrival to the first step; prompt_s: from there to the first token; completion_s: from there to
            the end.
        joules: the sequence's share of the energy of its steps, by tokens; NaN, never 0, where the backend does not
            know.
        source: whose seconds and joules these are: "host" or a machine's name.
        prompt_shared: another sequence of the same request accounts for the prompt.
        tag: the request's, unread.
        drafted_tokens: tokens that were guessed, of which `accepted_tokens` were drawn; foretold_tokens and
            foretold_accepted: those of both that came from the text that the request expects; modeled_tokens and
            modeled_accepted: those that a draft model guessed.
    """

    request_id: str
    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_s: float
    prompt_s: float
    completion_s: float
    joules: float
    source: str
    prompt_shared: bool = False
    tag: str = ""
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    foretold_tokens: int = 0
    foretold_accepted: int = 0
    modeled_tokens: int = 0
    modeled_accepted: int = 0

    @property
    def total_s(self) -> float:
        """Seconds from arrival to the end."""
        return self.queue_s + self.prompt_s + self.completion_s

    def cut(self, at_token: int, reason: FinishReason) -> UsageEvent:
        """The same sequence, ended after `at_token` generated tokens; later ones are not counted."""
        kept = min(max(at_token, 0), self.completion_tokens)
        return replace(self, completion_tokens=kept, finish_reason=reason)


def tell(observers: Iterable[Callable[[UsageEvent], None]], event: UsageEvent) -> None:
    """Hand an account to all who keep accounts. One that fails is logged; the others and the caller don't notice."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            import logging

            logging.getLogger("undiced.serve").exception(
                "an observer of usage failed at the account of %s", event.request_id
            )
