"""Roster: where every sequence stands, and which slot and pages it holds there. Who can start, and who makes room.

Pages are handed out as tokens arrive; when they run out a running sequence gives its pages back. That is the youngest;
with several accounts see `serve.way`. Knows neither steps nor outcomes.
"""

from __future__ import annotations

from bisect import insort
from contextlib import closing
from typing import TYPE_CHECKING

from undiced.serve.pages import NO_PAGE, PagePool
from undiced.serve.prefix import PrefixCache
from undiced.serve.queue import WaitingQueue
from undiced.serve.sequence import NO_SLOT, Sequence, State
from undiced.serve.shares import Account, Share, Shares
from undiced.serve.way import Way, yields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undiced.serve.request import Request


class Roster:
    """All sequences that are alive, and those that have ended but take part in a step in flight.

    Attributes:
        alive: by request id.
        waiting: have neither slot nor pages. running: have both; oldest first.
        preempted: have a slot, with the counts that penalties need; oldest first.
        leaving: have ended, and keep slot and pages until the last of their steps has been collected.
        slots: free ones.
        shares: what the accounts have been served.
        held: how many sequences are.
        preemptions: how often one was stopped.
        pool: of pages.
        changes: grows whenever somebody comes, starts, stops or ends.
    """

    def __init__(self, slots: int, pool: PagePool) -> None:
        self.prefix = PrefixCache(pool)
        self.alive: dict[str, Sequence] = {}
        self.waiting = WaitingQueue()
        self.running: list[Sequence] = []
        self.preempted: list[Sequence] = []
        self.leaving: list[Sequence] = []
        self.slots = list(range(slots - 1, -1, -1))
        self.shares = Shares()
        self.held = 0
        self.preemptions = 0
        self.changes = 0
        self._blocked = -1  # `changes` when nobody's place was enough for those who have too few
        self.pool = pool
        self._opened: list[Sequence] = []  # have got a slot that the backend has not been told of

    @property
    def short(self) -> bool:
        """Whether the one that would give way waits for a page: only the end of another one can bring it."""
        if self.pool.available or not self.running:
            return False
        youngest = self._yielding()
        return youngest.left > 0 and youngest.submitted == youngest.room and not youngest.held

    def share(self, request: Request) -> Share:
        """The share of a request that is about to enter."""
        name, priority = request.account, request.priority
        wanting = {one.share for one in (*self.running, *self.preempted) if one.state is State.PREEMPTED or one.reads}
        own, least = self.shares.find(name, priority), self.waiting.least(priority)
        if own is not None and own in self.waiting:
            wanting.add(own)
        if least is not None:
            wanting.add(least)
        return self.shares.enter(name, priority, wanting)

    def enter(self, sequence: Sequence) -> None:
        """A new sequence waits."""
        self.changes += 1
        self.alive[sequence.id] = sequence
        self._wait(sequence)

    def hold(self, sequence: Sequence, *, held: bool) -> None:
        """Whether the sequence shall rest."""
        self.held += held - sequence.held
        sequence.held = held

    def take_opened(self) -> list[Sequence]:
        """Those whose slots have to be opened before the next step."""
        opened, self._opened = self._opened, []
        return opened

    def end(self, sequence: Sequence) -> None:
        """The sequence has ended, wherever it stood."""
        del self.alive[sequence.id]
        self.changes += 1
        self.held -= sequence.held
        if sequence.state is State.RUNNING:
            self.running.remove(sequence)
        elif sequence.state is State.PREEMPTED:
            self.preempted.remove(sequence)
        else:
            self.waiting.remove(sequence)
        if sequence in self._opened:
            self._opened.remove(sequence)
        sequence.share.account.slots -= sequence.slot != NO_SLOT
        self.shares.leave(sequence.share)
        if sequence.flights:
            self.leaving.append(sequence)
        else:
            self._release(sequence)
        sequence.state = State.ENDED

    def land(self, sequence: Sequence) -> bool:
        """One of the sequence's steps has been collected; returns whether it is still alive."""
        sequence.flights -= 1
        if sequence.state is not State.ENDED:
            return True
        if not sequence.flights:
            self.leaving.remove(sequence)
            self._release(sequence)
        return False

    def abandon(self) -> None:
        """No step in flight will ever be collected."""
        for sequence in (*self.running, *self.leaving):
            sequence.flights = 0
        while self.leaving:
            self._release(self.leaving.pop())
        self.prefix.abandon()

    def grow(self, sequence: Sequence) -> bool:
        """One more page, if need be from who gives way; False if that is this one or in flight."""
        while (page := self.pool.allocate()) == NO_PAGE:
            youngest = self._yielding()
            if youngest is sequence or youngest.flights:
                return False
            self._preempt(youngest)
        sequence.pages.append(page)
        sequence.room += self.pool.page_tokens
        return True

    def _yielding(self) -> Sequence:
        """Who gives pages back when there are none."""
        if len(self.running) > 1 and self.shares.several:
            return max(self.running[1:], key=yields)
        return self.running[-1]

    def in_turn(self) -> list[Sequence]:
        """Those that run, oldest first; who gives way later if pages are short and there are several accounts."""
        if self.shares.several and self.pool.available < len(self.running):
            return self.running[:1] + sorted(self.running[1:], key=yields)
        return self.running

    def _preempt(self, youngest: Sequence) -> None:
        self.running.remove(youngest)
        self._stop(youngest)
        youngest.state = State.PREEMPTED
        insort(self.preempted, youngest, key=_order)

    def _put_back(self, sequence: Sequence) -> None:
        """Back into the queue, with what has been read or made; its full pages stay in the cache for now."""
        if sequence.state is State.RUNNING:
            self.running.remove(sequence)
            self._stop(sequence)
        else:
            self.preempted.remove(sequence)
        if sequence in self._opened:
            self._opened.remove(sequence)
        self.slots.append(sequence.slot)
        sequence.share.account.slots -= 1
        sequence.lose_slot()
        sequence.state = State.WAITING
        self._wait(sequence)

    def _stop(self, sequence: Sequence) -> None:
        self.pool.release(sequence.pages)
        sequence.reset()
        sequence.preemptions += 1
        self.preemptions += 1
        self.changes += 1

    def weigh(self, sequence: Sequence) -> bool:
        """Look up again what one that waits may find in the prefix cache, where pages have come and gone since; returns
        whether its size has changed, and with it its place in the queue.
        """
        if sequence.state is not State.WAITING or self._hope(sequence) == sequence.hoped:
            return False
        self.waiting.remove(sequence)
        self._wait(sequence)
        return True

    def start(self, sequence: Sequence, eldest: Sequence | None, now: float) -> bool:
        """Start a sequence, new or preempted, if there is a slot, and pages for all its tokens."""
        if sequence.state is State.PREEMPTED:
            if not self._fits(sequence):
                return False
            self.preempted.remove(sequence)
        else:
            if not ((self.slots and self._fits(sequence)) or self._make_room(sequence, eldest)):
                return False
            self.waiting.remove(sequence)
            sequence.slot = self.slots.pop()
            sequence.share.account.slots += 1
            sequence.hoped = 0
            sequence.admitted_s = now if sequence.admitted_s is None else sequence.admitted_s
            self._opened.append(sequence)
        sequence.state = State.RUNNING
        insort(self.running, sequence, key=_order)
        self.changes += 1
        return True

    def make_way(self, now: float, spared: Sequence | None) -> Iterator[Sequence]:
        """Start what waits of accounts with too few slots, if need be in the place of those with more; see `serve.way`.
        Who has started takes over what is cached before it goes on.

        Args:
            spared: never put back.
        """
        while self.changes != self._blocked:
            way = Way(self.running, self.preempted, spared)
            found = self._claim(way)
            if found is None:
                return
            sequence, victims = found
            for victim in victims:
                self._put_back(victim)
            if self.start(sequence, None, now):
                yield sequence

    def _claim(self, way: Way) -> tuple[Sequence, list[Sequence]] | None:
        """Who starts next in whose place; None if nobody does."""
        tried: set[Account] = set()
        with closing(way.claimants(self.waiting)) as claimants:
            for share in claimants:
                if share.account in tried:
                    continue  # its higher class waits for pages
                tried.add(share.account)
                sequence = self.waiting.smallest(share)
                while self.weigh(sequence):
                    sequence = self.waiting.smallest(share)
                if (victims := self._victims(way, sequence)) is not None:
                    return sequence, victims
        self._blocked = self.changes if tried else self._blocked
        return None

    def _victims(self, way: Way, sequence: Sequence) -> list[Sequence] | None:
        """Who has to give way to a sequence: nobody if there is room; None if it can't start all the same."""
        victims: list[Sequence] = []
        while not ((self.slots or victims) and self._fits(sequence, self._gain(sequence, victims))):
            victim = way.victim(sequence.share, victims, seat=not (self.slots or victims))
            if victim is None:
                return None
            victims.append(victim)
        return victims

    def charge(self, sequence: Sequence, count: int) -> None:
        """The next `count` tokens of a sequence are being computed; its account pays for those of the prompt, once."""
        end = min(sequence.submitted + count, len(sequence.request.prompt))
        begin = max(sequence.submitted, sequence.paid)
        if end > begin:
            self.shares.charge(sequence.share, end - begin)
            sequence.paid = end

    def _make_room(self, sequence: Sequence, eldest: Sequence | None) -> bool:
        """Put larger prompts under way back into the queue, the largest first, until the sequence has a slot and pages;
        not the eldest, of other accounts only those of a lower class, and only if that helps.
        """
        larger = [
            other
            for other in self.running
            if not (other is eldest or other.flights or other.generated)
            and other.size > sequence.size
            and (other.share.account is sequence.share.account or other.share.priority > sequence.share.priority)
        ]
        if not (self.slots or larger) or not self._fits(sequence, self._gain(sequence, larger)):
            return False
        larger.sort(key=lambda other: other.size)
        while larger and not (self.slots and self._fits(sequence)):
            self._put_back(larger.pop())
        return bool(self.slots) and self._fits(sequence)

    def _gain(self, sequence: Sequence, larger: list[Sequence]) -> int:
        """Pages that one of the larger ones alone holds, but for those that the sequence would take over."""
        found = set(self.prefix.found(sequence))
        return sum(self.pool.sole(page) and page not in found for other in larger for page in other.pages)

    def _fits(self, sequence: Sequence, gain: int = 0) -> bool:
        """Whether free pages, and `gain` more, suffice for its tokens, for the prompts under way that are not larger,
        and for one more page of every running sequence. A preempted sequence leaves enough for larger ones too.
        """
        found = self.prefix.found(sequence)
        idle = sum(map(self.pool.idle, found))
        promised, yields = 0, sequence.state is State.PREEMPTED
        for other in self.running:
            if yields or other.left < 2 or other.size < sequence.size:
                promised += max(self._pages(len(other.tokens)) - len(other.pages), 1)
        return self._pages(len(sequence.tokens)) - len(found) + promised <= self.pool.available + gain - idle

    def _pages(self, tokens: int) -> int:
        return -(-tokens // self.pool.page_tokens)

    def _wait(self, sequence: Sequence) -> None:
        sequence.hoped = self._hope(sequence)
        self.waiting.push(sequence)

    def _hope(self, sequence: Sequence) -> int:
        return len(self.prefix.found(sequence)) * self.pool.page_tokens

    def _release(self, sequence: Sequence) -> None:
        """Give back the pages and the slot of a sequence that has ended."""
        self.pool.release(sequence.pages)
        if sequence.slot != NO_SLOT:
            self.slots.append(sequence.slot)

    def check(self) -> None:
        """Check that every page is where it should be; see `PagePool.check`."""
        self.pool.check([sequence.pages for sequence in (*self.running, *self.leaving)])


def _order(sequence: Sequence) -> tuple[float, int]:
    return sequence.order
