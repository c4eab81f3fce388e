"""PrefixCache: which full pages of a sequence come from others, and which it offers to others.

Over the page pool, which knows neither tokens nor sequences. A page is published once the step that filled it has been
collected; until then it is only claimed, so that nobody computes it a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.serve.pages import NO_PAGE, PagePool

if TYPE_CHECKING:
    from undiced.serve.plan import Plan
    from undiced.serve.sequence import Sequence


class PrefixCache:
    """Pages shared by sequences that begin alike."""

    def __init__(self, pool: PagePool) -> None:
        self._pool = pool
        self._claims: set[bytes] = set()  # digests of pages that steps in flight compute

    def found(self, sequence: Sequence) -> list[int]:
        """The sequence's leading pages that are there."""
        pages: list[int] = []
        for index in range(sequence.shareable):
            page = self._pool.find(*sequence.key(index))
            if page == NO_PAGE:
                break
            pages.append(page)
        return pages

    def adopt(self, sequence: Sequence) -> int:
        """Take over the pages that follow, as far as they are there; returns how many tokens that saves.

        None while a step with tokens of the sequence is in flight.
        """
        size, before = self._pool.page_tokens, sequence.computed
        if sequence.flights:
            return 0
        while sequence.computed == sequence.room and len(sequence.pages) < sequence.shareable:
            page = self._pool.find(*sequence.key(len(sequence.pages)))
            if page == NO_PAGE:
                break
            self._pool.adopt(page)
            sequence.pages.append(page)
            sequence.adopted += 1
            sequence.computed += size
            sequence.room += size
        sequence.submitted = sequence.computed
        sequence.publish_at = max(sequence.publish_at, (sequence.computed // size + 1) * size)
        return sequence.computed - before

    def claimed(self, sequence: Sequence) -> bool:
        """Whether a step in flight computes the page that the sequence needs next."""
        index = len(sequence.pages)
        if not self._claims or sequence.submitted != sequence.room or index >= sequence.shareable:
            return False
        return sequence.key(index)[0] in self._claims

    def claim(self, plan: Plan, sequence: Sequence, count: int) -> None:
        """Let the plan compute the pages that the next `count` tokens of a sequence fill."""
        size, begin = self._pool.page_tokens, sequence.submitted
        for index in range(begin // size, (begin + count) // size):
            plan.claims.append(sequence.key(index)[0])
        self._claims.update(plan.claims)

    def settle(self, plan: Plan) -> None:
        """The plan's step has been collected: what it claimed is published, or free to be computed by others."""
        self._claims.difference_update(plan.claims)

    def abandon(self) -> None:
        """No step is in flight any more, and none of them will be collected."""
        self._claims.clear()

    def publish(self, sequence: Sequence) -> None:
        """Offer the pages that the sequence has filled since the last time."""
        size = self._pool.page_tokens
        for index in range(sequence.publish_at // size - 1, sequence.computed // size):
            self._pool.publish(sequence.pages[index], *sequence.key(index))
        sequence.publish_at = (sequence.computed // size + 1) * size
