"""The page pool against an obvious twin, and its rules one by one."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from undiced.core.errors import EngineError
from undiced.serve.pages import NO_PAGE, PagePool, chain_digest, pack_tokens, root_digest

SIZE = 2


def key(*pages: tuple[int, ...], salt: str = "") -> tuple[bytes, bytes]:
    """Digest and packed tokens of the last of a chain of pages."""
    digest = root_digest(salt)
    for tokens in pages:
        packed = pack_tokens(tokens)
        digest = chain_digest(digest, packed)
    return digest, packed


def test_published_pages_are_found_again_after_release() -> None:
    pool = PagePool(4, SIZE)
    page = pool.allocate()
    pool.publish(page, *key((1, 2)))
    pool.release([page])
    assert pool.available == 4
    assert pool.cached == 1
    assert pool.find(*key((1, 2))) == page
    pool.adopt(page)
    assert (pool.available, pool.held, pool.idle(page)) == (3, 1, False)
    pool.check([[page]])


def test_a_prefix_tells_equal_pages_apart() -> None:
    pool = PagePool(4, SIZE)
    page = pool.allocate()
    pool.publish(page, *key((1, 2), (5, 6)))
    assert pool.find(*key((1, 2), (5, 6))) == page
    assert pool.find(*key((3, 4), (5, 6))) == NO_PAGE
    assert pool.find(*key((5, 6))) == NO_PAGE
    assert pool.find(*key((1, 2), (5, 6), salt="other")) == NO_PAGE


def test_equal_digests_of_different_tokens_do_not_share() -> None:
    pool = PagePool(4, SIZE)
    page = pool.allocate()
    digest, packed = key((1, 2))
    pool.publish(page, digest, packed)
    assert pool.find(digest, packed) == page
    assert pool.find(digest, pack_tokens((3, 4))) == NO_PAGE


def test_blank_pages_go_before_cached_ones_and_the_longest_released_first() -> None:
    pool = PagePool(3, SIZE)
    first, second = pool.allocate(), pool.allocate()
    pool.publish(first, *key((1, 1)))
    pool.publish(second, *key((1, 1), (2, 2)))
    pool.release([first, second])
    third = pool.allocate()
    assert third not in (first, second)
    assert pool.allocate() == second  # the end of a prefix is forgotten before its beginning
    assert pool.find(*key((1, 1))) == first
    assert pool.find(*key((1, 1), (2, 2))) == NO_PAGE
    assert pool.allocate() == first
    assert pool.allocate() == NO_PAGE
    pool.check([[first, second, third]])


def test_memory_stays_small_while_few_pages_are_held() -> None:
    pool = PagePool(8000, SIZE)
    used = set()
    for turn in range(20_000):
        pages = [pool.allocate() for _ in range(3)]
        used.update(pages)
        for index, page in enumerate(pages[:2]):
            pool.publish(page, *key((turn, index)))
        pool.release(pages)
    assert len(used) <= 1000 + 3  # an eighth of the pool is kept for prefixes
    assert pool.find(*key((19_600, 0))) != NO_PAGE
    assert pool.find(*key((19_000, 0))) == NO_PAGE
    everything = [pool.allocate() for _ in range(8000)]
    assert sorted(everything) == list(range(8000))


def test_clear_forgets_free_pages_only() -> None:
    pool = PagePool(2, SIZE)
    kept, freed = pool.allocate(), pool.allocate()
    pool.publish(kept, *key((1, 1)))
    pool.publish(freed, *key((2, 2)))
    pool.release([freed])
    pool.clear()
    assert pool.find(*key((1, 1))) == kept
    assert pool.find(*key((2, 2))) == NO_PAGE
    pool.check([[kept]])


def test_check_sees_a_lost_and_a_doubled_page() -> None:
    pool = PagePool(2, SIZE)
    page = pool.allocate()
    with pytest.raises(EngineError, match="held by nobody"):
        pool.check([])
    with pytest.raises(EngineError):
        pool.check([[page], [page]])
    pool.check([[page]])


@pytest.mark.parametrize(("pages", "size"), [(0, 1), (1, 0), (-1, 4)])
def test_a_pool_needs_pages(pages: int, size: int) -> None:
    with pytest.raises(ValueError, match="needs pages"):
        PagePool(pages, size)


class PoolMachine(RuleBasedStateMachine):
    """Sequences that take, publish, share and give back pages; the twin knows each page's whole prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(5, SIZE)
        self.held: list[list[int]] = []
        self.chains: list[list[tuple[int, ...]]] = []
        self.content: dict[int, tuple[tuple[int, ...], ...]] = {}

    tokens = st.tuples(st.integers(0, 1), st.integers(0, 1))

    @rule()
    def open(self) -> None:
        self.held.append([])
        self.chains.append([])

    @precondition(lambda self: self.held)
    @rule(data=st.data(), tokens=tokens)
    def extend(self, data: st.DataObject, tokens: tuple[int, ...]) -> None:
        index = data.draw(st.integers(0, len(self.held) - 1))
        chain = (*self.chains[index], tokens)
        page = self.pool.find(*key(*chain))
        if page != NO_PAGE:
            assert self.content[page] == chain, "a page of another prefix was found"
            self.pool.adopt(page)
        else:
            available = self.pool.available
            page = self.pool.allocate()
            assert (page == NO_PAGE) == (available == 0)
            if page == NO_PAGE:
                return
            assert all(page not in pages for pages in self.held), "a held page was given out"
            self.content[page] = chain
            self.pool.publish(page, *key(*chain))
        self.held[index].append(page)
        self.chains[index].append(tokens)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.held) - 1))
        self.pool.release(self.held.pop(index))
        self.chains.pop(index)

    @invariant()
    def conserved(self) -> None:
        self.pool.check(self.held)
        assert self.pool.held == len({page for pages in self.held for page in pages})


TestPool = PoolMachine.TestCase
