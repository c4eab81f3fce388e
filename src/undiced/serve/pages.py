"""PagePool: reference-counted KV pages that sequences with equal prefixes share.

Page numbers only; holds no keys, no values and no policy. Only whole pages are shared, so nothing is ever copied: a
page is written by one sequence, published when full, and read-only from then on. A published page is found by the
digest of its tokens and of all tokens before them; the tokens are compared too. Free pages keep what was published in
them until they are needed again, the one released longest ago first. Memory grows with the pages ever used, so pages
that were never used are left alone once enough free ones keep a prefix.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING

from undiced.core.digest import blake2b
from undiced.core.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DIGEST_BYTES = 16
_KEPT_SHARE, _KEPT_LEAST = 8, 64  # free pages kept for their prefixes before new ones are used: an eighth of all, or 64
NO_PAGE = -1


def root_digest(salt: str) -> bytes:
    """Where a chain of pages begins; sequences of different salts never share."""
    return blake2b(salt.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, person=b"undiced-root").digest()


def chain_digest(previous: bytes, tokens: bytes) -> bytes:
    """The digest of a full page: over its packed tokens and the digest of the page before it."""
    return blake2b(tokens, key=previous, digest_size=_DIGEST_BYTES).digest()


def pack_tokens(tokens: Sequence[int]) -> bytes:
    """Token ids as they are hashed and compared: 32 bits each."""
    return array("i", tokens).tobytes()


class PagePool:
    """Which pages are held, by how many sequences, and what is published in them.

    Every page is in exactly one place: held (references > 0), cached (free, published) or blank (free, unpublished).
    """

    def __init__(self, pages: int, page_tokens: int) -> None:
        if pages < 1 or page_tokens < 1:
            raise ValueError(f"a pool needs pages and positions in them, got {pages} pages of {page_tokens}")
        self.pages = pages
        self.page_tokens = page_tokens
        self._references = [0] * pages
        self._blank = list(range(pages - 1, -1, -1))  # used ones last, so that they are taken first
        self._used = 0  # pages below this number have been given out before
        self._kept = max(pages // _KEPT_SHARE, _KEPT_LEAST)
        self._cached: OrderedDict[int, None] = OrderedDict()  # oldest release first
        self._found: dict[bytes, int] = {}  # digest -> page
        self._published: dict[int, tuple[bytes, bytes]] = {}  # page -> digest, packed tokens

    @property
    def available(self) -> int:
        """Pages that `allocate` can still give out."""
        return len(self._blank) + len(self._cached)

    @property
    def cached(self) -> int:
        """Free pages that still hold a reusable prefix."""
        return len(self._cached)

    @property
    def held(self) -> int:
        """Pages in use by at least one sequence."""
        return self.pages - self.available

    def allocate(self) -> int:
        """A page of the caller's own, or NO_PAGE if all are held.

        Blank ones first, those that were used before others; then what was released longest ago. A page that was never
        used comes last if enough prefixes are kept.
        """
        if self._blank and (self._blank[-1] < self._used or len(self._cached) < self._kept):
            page = self._blank.pop()
            self._used = max(self._used, page + 1)
        elif self._cached:
            page, _ = self._cached.popitem(last=False)
            self._forget(page)
        else:
            return NO_PAGE
        self._references[page] = 1
        return page

    def find(self, digest: bytes, tokens: bytes) -> int:
        """The page published under `digest` with exactly these packed tokens, or NO_PAGE. Takes no reference."""
        page = self._found.get(digest, NO_PAGE)
        if page != NO_PAGE and self._published[page][1] != tokens:
            return NO_PAGE
        return page

    def adopt(self, page: int) -> None:
        """Take a reference to a page that `find` returned."""
        if self._references[page] == 0:
            del self._cached[page]
        self._references[page] += 1

    def idle(self, page: int) -> bool:
        """Whether no sequence holds the page; adopting it makes one page fewer available."""
        return self._references[page] == 0

    def sole(self, page: int) -> bool:
        """Whether one sequence alone holds the page; releasing it makes one page more available."""
        return self._references[page] == 1

    def publish(self, page: int, digest: bytes, tokens: bytes) -> None:
        """Offer a full page that the caller holds for sharing.

        The first page published under a digest stays the one found.
        """
        if digest not in self._found and page not in self._published:
            self._found[digest] = page
            self._published[page] = (digest, tokens)

    def retract(self, pages: Sequence[int]) -> None:
        """Offer pages no longer that the caller holds: what is in them is of no use."""
        for page in pages:
            if page in self._published:
                self._forget(page)

    def release(self, pages: Sequence[int]) -> None:
        """Give back one reference to each of a sequence's pages, in the sequence's order; its last pages are
        forgotten first.
        """
        for page in reversed(pages):
            self._references[page] -= 1
            if self._references[page] == 0:
                if page in self._published:
                    self._cached[page] = None
                else:
                    self._blank.append(page)

    def clear(self) -> None:
        """Forget every published page that no sequence holds."""
        while self._cached:
            page, _ = self._cached.popitem()
            self._forget(page)
            self._blank.append(page)

    def _forget(self, page: int) -> None:
        digest, _ = self._published.pop(page)
        del self._found[digest]

    def check(self, held: Iterable[Sequence[int]]) -> None:
        """Check the books: references are exactly the pages `held` by all sequences, and each page is in one place.

        Raises:
            EngineError: they are not: a page is lost, doubled, or would be shared by mistake.
        """
        counts = [0] * self.pages
        for pages in held:
            for page in pages:
                counts[page] += 1
        free = {*self._blank, *self._cached}
        _must(counts == self._references, "pages are held by nobody, or by too many")
        _must(len(free) == self.available == counts.count(0), "a free page is lost or doubled")
        _must(not any(counts[page] for page in free), "a page is free and held")
        _must(self._published.keys().isdisjoint(self._blank), "a blank page is published")
        _must(self._published.keys() >= self._cached.keys(), "a cached page is not published")
        index = {digest: page for page, (digest, _) in self._published.items()}
        _must(index == self._found, "the index disagrees with the pages")


def _must(true: bool, otherwise: str) -> None:
    if not true:
        raise EngineError(f"The page pool is damaged: {otherwise}.", remedy="This is a bug; please report it.")
