"""Sequence: a request while it is alive: its tokens, its pages and how far it has got.

State only; the scheduler decides.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import TYPE_CHECKING

from undiced.serve.pages import chain_digest, pack_tokens, root_digest
from undiced.serve.usage import FinishReason, UsageEvent

if TYPE_CHECKING:
    from undiced.serve.drafter import Drafter
    from undiced.serve.guide import Guidance
    from undiced.serve.reading import Reading
    from undiced.serve.request import Request
    from undiced.serve.shares import Share

NO_SLOT = -1
# By priority: a class waits as if it had arrived that much later, so that no class waits forever.
_HEAD_START_S = (0.0, 5.0, 60.0)


class State(Enum):
    """Where a sequence stands. PREEMPTED ones keep their slot, and with it the counts that penalties need."""

    WAITING = auto()
    RUNNING = auto()
    PREEMPTED = auto()
    ENDED = auto()


class Source(Enum):
    """Where a draft comes from: the sequence's own text, one that its client expects, or a draft model."""

    LOOKUP = auto()
    EXPECTED = auto()
    MODEL = auto()


class Sequence:
    """One sequence.

    Attributes:
        order: what it is served by: (arrival and head start in seconds, serial number); first in, first out within a
            class.
        hoped: tokens that may come from the prefix cache, as of when it was last looked up; 0 once it has started.
        tokens: the prompt, then what was generated.
        computed: tokens whose keys and values are in its pages.
        submitted: those, and the tokens that steps in flight compute; the others still have to go through the model.
        share: whose it is.
        paid: leading tokens of the prompt that its account has been charged for, whoever computed them.
        held: its reader is behind; it shall make no more tokens meanwhile.
        flights: steps in flight that it takes part in. Until they are collected it keeps its slot and its pages.
        pages, room: its pages in order, and the positions they hold.
        tabled: pages that its row of the page table already shows.
        adopted: leading pages that came from the prefix cache.
        cached: prompt tokens that were found in the prefix cache.
        scored: positions of the prompt that need no score any more, if scores are wanted.
        scoring: its prompt still needs scores, or no token at its end: it is not like others with one token left.
        guidance: what it has to look like from here on, or None.
        drawn: tokens up to the last one that was drawn, if others were given since; else 0.
        untold, uncounted: tokens that it was given without a draw, which nobody has been told of, and which its slot
            has not counted.
        publish_at: the value of `computed` at which its next page is full.
        drafter: guesses what comes next; None until a step could draft for it.
        source: where its latest draft came from.
        drafted, taken: tokens that were drafted, and those of them that were drawn.
        foretold, foretold_taken: those of both that came from the text that its client expects.
        modeled, modeled_taken: those that a draft model guessed.
        reading: what a draft model has read of it; None until it could guess.
    """

    __slots__ = (
        "admitted_s", "adopted", "arrival_s", "cached", "computed", "drafted", "drafter", "drawn", "first_s",
        "flights", "foretold", "foretold_taken", "generated", "guidance", "held", "hoped", "id", "joules",
        "keys", "max_tokens", "min_tokens", "modeled", "modeled_taken", "order", "page_tokens", "pages", "paid",
        "preemptions", "publish_at", "reading", "request", "room", "scored", "scoring", "share", "slot", "source",
        "state", "stops", "submitted", "tabled", "taken", "tokens", "uncounted", "untold", "wants_logprobs",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        arrival_s: float,
        order_s: float,
        serial: int,
        page_tokens: int,
        share: Share,
        guidance: Guidance | None = None,
    ) -> None:
        self.id = request.id
        self.request = request
        self.share = share
        self.arrival_s = arrival_s
        self.order = (order_s + _HEAD_START_S[request.priority], serial)
        self.tokens = list(request.prompt)
        self.max_tokens = request.max_tokens
        guided = request.guide is not None and request.guide.grammar  # it alone says when the answer is complete
        self.min_tokens = 0 if guided else request.sampling.min_tokens
        self.stops = request.stops
        self.wants_logprobs = request.sampling.logprobs >= 0
        self.page_tokens = page_tokens
        self.state = State.WAITING
        self.slot = NO_SLOT
        self.scored = 0 if request.prompt_logprobs >= 0 else len(request.prompt)
        self.scoring = (request.prompt_logprobs >= 0 and len(request.prompt) > 1) or not request.max_tokens
        self.generated = 0
        self.hoped = 0
        self.cached = 0
        self.paid = 0
        self.preemptions = 0
        self.flights = 0
        self.held = False
        self.joules = 0.0
        self.admitted_s: float | None = None
        self.first_s: float | None = None
        self.keys: list[tuple[bytes, bytes]] = []
        self.guidance = guidance
        self.drafter: Drafter | None = None
        self.reading: Reading | None = None
        self.source = Source.LOOKUP
        self.drafted = self.taken = self.foretold = self.foretold_taken = self.modeled = self.modeled_taken = 0
        self.drawn = 0
        self.untold: list[int] = []
        self.uncounted: list[int] = []
        if guidance is not None and self.max_tokens:
            self.untold = self.give(guidance.begin(self.max_tokens - 1))  # the last token is always drawn
        self.reset()

    def give(self, tokens: list[int]) -> list[int]:
        """Go on by tokens that nobody drew; returns them."""
        self.drawn = len(self.tokens) if tokens else 0
        self.tokens += tokens
        self.generated += len(tokens)
        if self.request.sampling.penalizes:
            self.uncounted += tokens
        return tokens

    def lose_slot(self) -> None:
        """Its next slot has to count again what was generated, if penalties need that."""
        self.slot = NO_SLOT
        if self.request.sampling.penalizes:
            self.uncounted = self.tokens[len(self.request.prompt) :]

    def reset(self) -> None:
        """Forget pages and progress; the tokens stay."""
        self.pages: list[int] = []
        self.adopted = 0
        self.computed = 0
        self.submitted = 0
        self.room = 0
        self.tabled = 0
        self.publish_at = self.page_tokens

    @property
    def left(self) -> int:
        """Tokens that still have to be submitted before the next one can be sampled; at most 0 while one is awaited."""
        return len(self.tokens) - self.submitted

    @property
    def awaits(self) -> int:
        """Tokens that steps in flight draw for it, if all its tokens are submitted."""
        return self.submitted - len(self.tokens) + 1

    @property
    def reads(self) -> bool:
        """Whether it is not like others that decode: it has more than one token left, or its prompt is scored."""
        return self.left > (not self.scoring)

    @property
    def follows(self) -> bool:
        """Whether what is left are tokens that were given to it, behind one that was drawn."""
        return self.drawn > 0 and self.submitted >= self.drawn - 1

    @property
    def made(self) -> int:
        """Tokens that were generated, those too that do not count because its reader found an end before them."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def size(self) -> tuple[int, int, tuple[float, int]]:
        """What prompts are compared by: class, tokens that have to be computed, and `order` between equals."""
        return self.request.priority, len(self.tokens) - self.submitted - self.hoped, self.order

    @property
    def shareable(self) -> int:
        """Leading pages that may come from the cache: full ones, without the last token, which is always computed, nor
        those whose scores are wanted.
        """
        most = len(self.tokens) - 1
        return (min(most, self.scored) if self.scoring else most) // self.page_tokens

    def scores(self, begin: int, end: int) -> range:
        """The positions in [begin, end) whose next token's log-probability is wanted: the prompt's, but the last."""
        return range(max(begin, self.scored), min(end, len(self.request.prompt) - 1))

    def within(self, rows: int) -> int:
        """The next tokens that have at most so many positions to score."""
        wanted = self.scores(self.submitted, len(self.tokens))
        return self.left if len(wanted) <= rows else wanted.start + rows - self.submitted

    def draft(self, count: int) -> list[int]:
        """Tokens that are guessed to come next, at most so many."""
        if not count or self.drafter is None:
            return []
        tokens = self.drafter.draft(count)
        self.source = Source.EXPECTED if self.drafter.foretold else Source.LOOKUP
        self.drafted += len(tokens)
        self.foretold += len(tokens) if self.drafter.foretold else 0
        return tokens

    def guess(self, tokens: list[int]) -> list[int]:
        """What a draft model guesses comes next; returns it."""
        self.source = Source.MODEL
        self.drafted += len(tokens)
        self.modeled += len(tokens)
        return tokens

    def take(self) -> None:
        """The next token of its draft is what was drawn, so that its row counts."""
        self.submitted += 1
        self.computed += 1
        self.taken += 1
        self.foretold_taken += self.source is Source.EXPECTED
        self.modeled_taken += self.source is Source.MODEL

    def told(self, positions: range) -> None:
        """The scores of these positions are told."""
        self.scored = positions.stop
        self.scoring = self.scored < len(self.request.prompt) - 1 or not self.max_tokens

    def key(self, index: int) -> tuple[bytes, bytes]:
        """Digest and packed tokens of the full page `index`; found once, then remembered."""
        keys, size = self.keys, self.page_tokens
        while len(keys) <= index:
            start = len(keys) * size
            packed = pack_tokens(self.tokens[start : start + size])
            keys.append((chain_digest(keys[-1][0] if keys else root_digest(self.request.cache_salt), packed), packed))
        return keys[index]

    def usage(self, reason: FinishReason, now: float, source: str) -> UsageEvent:
        """The account of the sequence if it ends `now`."""
        admitted = now if self.admitted_s is None else self.admitted_s
        first = now if self.first_s is None else self.first_s
        return UsageEvent(
            request_id=self.id,
            finish_reason=reason,
            prompt_tokens=len(self.request.prompt),
            cached_tokens=self.cached,
            completion_tokens=self.generated,
            queue_s=max(admitted - self.arrival_s, 0.0),
            prompt_s=max(first - admitted, 0.0),
            completion_s=max(now - first, 0.0),
            joules=self.joules or math.nan,
            source=source,
            prompt_shared=self.request.prompt_shared,
            tag=self.request.tag,
            drafted_tokens=self.drafted,
            accepted_tokens=self.taken,
            foretold_tokens=self.foretold,
            foretold_accepted=self.foretold_taken,
            modeled_tokens=self.modeled,
            modeled_accepted=self.modeled_taken,
        )
