"""A target and a draft as chains of places, through which tokens pass one event after the other: what closed forms of
speculation are held against.
"""

import heapq


class Chain:
    """Places in a row, each with one token at a time, first come, first served. Times are the caller's."""

    def __init__(self, places):
        self.places, self.free = places, [0.0] * len(places)

    def pass_(self, at):
        """A token that comes at a time: (when it leaves the first place, when it leaves the last)."""
        left = []
        for number, cycles in enumerate(self.places):
            at = self.free[number] = max(at, self.free[number]) + cycles
            left.append(at)
        return left[0], left[-1]


class Pair:
    """Rounds of both, one after the other; each begins when nothing of those before is in any token's way.

    No places of a draft: its guesses are there at once. `way`: from one to the other.
    """

    def __init__(self, target, draft, way):
        self.target, self.draft, self.way = target, draft, way

    def known(self, right, length):
        """When the token of a round's last right row is drawn."""
        return self._run(length)[0][right]

    def round(self, right, length):
        """(cycles until the next may begin, rows of the target, tokens of the draft) where so many are right."""
        known, entered, drafted = self._run(length)
        end = known[right]
        rows = sum(when <= end for when in entered)
        taken = sum(when <= end + self.way for when in drafted)
        return max(end, self._clear(entered, end), self._drafted(drafted, end)), rows, taken

    def _run(self, length):
        """(when rows are done, when they entered, when the draft took tokens) if all guesses are right."""
        target, draft = Chain(self.target), Chain(self.draft)
        known = [target.pass_(0.0)[1]]
        events, arrived = [], []
        if not self.draft:
            events = [(2.0 * self.way, number) for number in range(1, length + 1)]
        at = float(self.way)  # when the draft is told
        drafted = []
        for number in range(1, length + 2 if self.draft and length else 0):
            drafted.append(at)
            at = draft.pass_(at)[1]
            if number <= length:
                heapq.heappush(events, (at + self.way, number))
        # rows are let in as far apart as the slowest place takes, so that none waits on its way
        entered = [0.0]
        while events and len(entered) <= length:
            there, number = heapq.heappop(events)
            entered.append(max(there, entered[-1] + max(self.target)))
            known.append(target.pass_(entered[-1])[1])
            arrived.append(number)
        assert arrived == sorted(arrived)
        return known, entered, drafted

    def _clear(self, entered, end):
        """The earliest entry of a token that meets none of the rows that were let in by then."""
        vain = Chain(self.target)
        for when in entered:
            if when <= end:
                vain.pass_(when)
        return _earliest(self.target, vain.free, end)

    def _drafted(self, drafted, end):
        """The same in the draft, which is told a way later; seen from the target."""
        vain = Chain(self.draft)
        for when in drafted:
            if when <= end + self.way:
                vain.pass_(when)
        return _earliest(self.draft, vain.free, end + self.way) - self.way if drafted else 0.0


def _earliest(places, free, at):
    """When a token may enter so that each place is free once it comes."""
    passed = 0.0
    for cycles, until in zip(places, free, strict=True):
        at = max(at, until - passed)
        passed += cycles
    return at
