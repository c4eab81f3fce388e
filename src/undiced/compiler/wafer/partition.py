"""Partition: contiguous blocks over equal regions, within memory, the slowest as fast as possible. Knows no streams.

Blocks (embedding, attention and feed-forward of each layer, head) come in order; a region takes consecutive ones.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import inf

from msgspec import Struct

_BISECTIONS = 40


class Block(Struct, frozen=True, gc=False):
    """One indivisible piece of a model.

    Attributes:
        kind: a stream's name. layer: -1 outside layers.
        bytes_per_core: weights and KV on the fullest core that holds heads; cycles: one run.
        free_bytes: the same on a core without heads, if it differs.
    """

    kind: str
    layer: int
    bytes_per_core: int
    cycles: float
    free_bytes: int | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes on a core with heads and on one without."""
        return self.bytes_per_core, self.bytes_per_core if self.free_bytes is None else self.free_bytes


def fill(blocks: tuple[Block, ...], capacity: int, cycles: float = inf) -> tuple[int, ...] | None:
    """Ends of regions filled in order up to `capacity` bytes per core and `cycles`; None if a block is larger."""
    ends: list[int] = []
    used, free, work = 0, 0, 0.0
    for index, block in enumerate(blocks):
        more, spare = block.sizes
        if more > capacity or spare > capacity or block.cycles > cycles:
            return None
        if index and (used + more > capacity or free + spare > capacity or work + block.cycles > cycles):
            ends.append(index)
            used, free, work = 0, 0, 0.0
        used, free, work = used + more, free + spare, work + block.cycles
    return (*ends, len(blocks))


def fastest_fill(blocks: tuple[Block, ...], capacity: int, regions: int) -> tuple[int, ...] | None:
    """As `partition`, by bisection on the slowest region's cycles: for ranking shapes."""
    low, high = 0.0, sum(block.cycles for block in blocks)
    best = fill(blocks, capacity)
    if best is None or len(best) > regions:
        return None
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        ends = fill(blocks, capacity, middle)
        if ends is not None and len(ends) <= regions:
            best, high = ends, middle
        else:
            low = middle
    return best


def cheapest_cuts(
    blocks: tuple[Block, ...], capacity: int, regions: int, price: tuple[float, ...]
) -> tuple[int, ...] | None:
    """End indices of exactly `regions` regions whose cuts cost least; None if memory does not allow them.

    `price`: cycles of a cut before each block. An exact programme over the positions that leave room on both sides.
    """
    sums = tuple(tuple(accumulate((b.sizes[i] for b in blocks), initial=0)) for i in range(2))
    last = len(blocks)
    latest = _reach(sums, capacity, regions)
    mirrored = tuple(tuple(total[-1] - at for at in reversed(total)) for total in sums)
    earliest = [last - at for at in _reach(mirrored, capacity, regions)]  # what the regions after a cut still hold
    if latest[-1] < last:
        return None
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for number in range(1, regions + 1):
        found: dict[int, tuple[float, tuple[int, ...]]] = {}
        low, high = earliest[regions - number - 1] if number < regions else last, latest[number - 1]
        for end in range(max(low, number), min(high, last) + 1):
            starts = [s for s in best if s < end and all(t[end] - t[s] <= capacity for t in sums)]
            if starts:
                start = min(starts, key=lambda s: best[s][0])
                found[end] = best[start][0] + (price[end] if end < last else 0.0), (*best[start][1], end)
        best = found
    return best[last][1] if last in best else None


def _reach(sums: tuple[tuple[int, ...], ...], capacity: int, regions: int) -> list[int]:
    """The furthest index that 1, 2, ... regions reach when filled in order."""
    at, out = 0, []
    for _ in range(regions):
        at = min(bisect_right(total, total[at] + capacity) - 1 for total in sums)
        out.append(at)
    return out


def partition(blocks: tuple[Block, ...], capacity: int, regions: int) -> tuple[int, ...] | None:
    """End indices of each region's blocks: the slowest of at most `regions` regions as fast as possible, exactly.

    A dynamic programme over prefixes, one region more each round; None if memory does not allow any.
    """
    sizes = tuple(tuple(accumulate((b.sizes[i] for b in blocks), initial=0)) for i in range(2))
    work = tuple(accumulate((b.cycles for b in blocks), initial=0.0))
    last = len(blocks)
    longest = max(block.cycles for block in blocks)
    lows = [max(bisect_right(size, size[j] - capacity - 1) for size in sizes) for j in range(last + 1)]
    best = [0.0] + [inf] * last  # slowest region of the first j blocks
    cuts: list[list[int]] = []
    for _ in range(min(regions, last)):
        best, cut = _round(best, lows, work)
        cuts.append(cut)
        if best[last] <= longest:
            break  # no cut makes it faster than its longest block
    if best[last] == inf:
        return None
    ends, j = [], last
    for cut in reversed(cuts):
        if j == 0:
            break
        ends.append(j)
        j = cut[j]
    return tuple(reversed(ends))


def _round(best: list[float], lows: list[int], work: tuple[float, ...]) -> tuple[list[float], list[int]]:
    """The slowest region of every prefix with a region more, and where that region's first block is.

    `best` grows with the cut, the region's work falls: they meet at the optimum, which moves up as the prefix grows.

    Args:
        lows: the first block that the last region of each prefix has room for.
    """
    last = len(lows) - 1
    row, cut, at = [0.0] + [inf] * last, [0] * (last + 1), 0
    for j in range(1, last + 1):
        low = lows[j]
        if low >= j:
            continue
        at, all_work = max(at, low), work[j]
        while at < j - 1 and best[at] < all_work - work[at]:
            at += 1
        row[j], cut[j] = max(best[at], all_work - work[at]), at
        if at > low:
            before = max(best[at - 1], all_work - work[at - 1])
            if before <= row[j]:
                row[j], cut[j] = before, at - 1
    return row, cut
