"""Chooses reduction trees: one for each kind of line, the fastest over all that travels it. Knows no value's meaning.

Routes are static and colors few, so that all collectives on one kind of line share a tree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import product
from math import ceil, inf

from undiced.machine import lines
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.paths import fits
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree, root_place, separate
from undiced.program.wafer.workload import work

_SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32)
_DEEP_SIZES = (2, 3, 4, 5, 6, 8)

_RARELY = 1e-3  # of a stream that no whole layer runs

Payloads = tuple[tuple[int, float], ...]  # wavelets of a slice, and how often a token sends them
# Of a level its members, the hops between them, 0 for the first level and 1 for others, whether its root hears from
# above first, and whether it is the last level
_Group = tuple[int, int, int, bool, bool]


def chosen_trees(
    streams: tuple[Stream, ...], asked: tuple[Tree, ...], runs: tuple[float, ...], wafer: Wafer, steps: tuple[Step, ...]
) -> tuple[Tree, ...]:
    """The trees of a program, by number; `runs`: how often a step runs each stream. Of several steps each is as
    frequent as the others."""
    found: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for step, (stream, often) in product(steps, zip(streams, runs, strict=True)):
        shares = Shares({v.name: v for v in stream.values}, asked, step.ending if stream.last else step)
        for i in stream.instructions:
            if isinstance(i, isa.Reduce):
                part, haul = shares.roots(i.result), work(i, shares).haul
                assert part is not None and haul is not None
                found[part.tree][lines.wavelets(wafer.link, haul.pieces[0])] += max(often, _RARELY)
    finder = tree_finder(wafer)
    return tuple(finder.best(tree.span, tree.slices, tuple(sorted(found[n].items()))) for n, tree in enumerate(asked))


@lru_cache(maxsize=8)
def tree_finder(wafer: Wafer) -> TreeFinder:
    """The finder of a machine, which remembers what it found."""
    return TreeFinder(wafer)


class TreeFinder:
    """Searches trees of up to four levels, chains or stars, for one machine."""

    def __init__(self, wafer: Wafer) -> None:
        link = wafer.link
        self._rate, self._hop = link.wavelets_per_cycle.value, link.hop_cycles.value
        self._software, self._setup = link.step_software_cycles.value, link.star_member_cycles.value
        self._positions = int(wafer.mesh.switch_positions.value)
        self._step = 2 * link.ramp_cycles.value + 1 + self._software
        self._found: dict[tuple[int, int, Payloads], Tree] = {}
        self._levels: dict[tuple[int, int], dict[_Group, tuple[float, float]]] = defaultdict(dict)

    def best(self, span: int, slices: int, payloads: Payloads) -> Tree:
        """The levels with the fewest cycles over all payloads (wavelets of a slice, and how often they travel)."""
        key = span, slices, payloads
        if key not in self._found:
            self._found[key] = self._search(span, slices, payloads)
        return self._found[key]

    def _search(self, span: int, slices: int, payloads: Payloads) -> Tree:
        best, chosen = inf, tuple[Level, ...]((Level(span),))
        known: dict[_Group, tuple[float, bool]] = {}
        least = min(slices, span)
        for sizes, groups in _splits(span):
            if sizes[0] < least:
                continue
            total = 0.0
            for group in groups:
                if group not in known:
                    known[group] = self._cheaper(group, slices, payloads)
                total += known[group][0]
                if total >= best:
                    break
            else:
                levels = tuple(Level(size, known[group][1]) for size, group in zip(sizes, groups, strict=True))
                tree = Tree(span, levels, slices)
                if separate(tree) and fits(tree, self._positions):
                    best, chosen = total, levels
        return Tree(span, chosen, slices)

    def _cheaper(self, group: _Group, slices: int, payloads: Payloads) -> tuple[float, bool]:
        """Once sizes are fixed levels cost independently, so each takes the better of chain and star."""
        chain = star = 0.0
        for count, often in payloads:
            known = self._levels[slices, count]
            if group not in known:
                size, hops, number, turned, last = group
                chained, starred = (
                    self.level_cycles(Level(size, way), hops, slices, number, count, turned, last)
                    for way in (False, True)
                )
                known[group] = chained, starred
            once = known[group]
            chain, star = chain + often * once[0], star + often * once[1]
        return min((chain, False), (star, True))

    def level_cycles(
        self, level: Level, hops: int, slices: int, number: int, count: int, turned: bool = False, last: bool = True
    ) -> float:
        """`lines.level_costs` in plain arithmetic, `turned` where roots hear from above first; a test holds them
        equal."""
        size = level.size
        if size <= 1:
            return 0.0
        place = root_place(size, slices, 0, number)
        first, second = (size - 1 - place, place) if turned else (place, size - 1 - place)
        wire, step = count / self._rate, self._step + hops * self._hop
        always = 1 + wire * (last + (slices > 1))
        before = wire if number else ceil(count / 2) + self._software
        if level.star:
            one = wire + (0.0 if count == 1 else self._setup)
            members = one * (size - 2) + max(before, step)
            beside = wire * (lines.crossings(size, hops, slices) - 1) + step
            return always + max(members, self._step + max(first, second) * hops * self._hop, beside)
        if not (first and second):
            return always + max(before if number else 0.0, step * max(first, second))
        return always + max(max(before, step * first) + wire, step * second)


@cache
def _turned(following: int) -> bool:
    """Whether groups whose roots are joined in groups of `following` hear from above first, where it counts."""
    return lines.in_turn(2, 0, (following, root_place(following, 1, 0, 1)))[0] == 1


@lru_cache(maxsize=2048)
def _splits(span: int) -> tuple[tuple[tuple[int, ...], tuple[_Group, ...]], ...]:
    """Sizes of one to four levels that join `span` cores, and a full group of each level."""
    return tuple((sizes, tuple(_groups(span, sizes))) for sizes in _sizes(span))


def _sizes(span: int) -> Iterator[tuple[int, ...]]:
    yield (span,)
    for size in _SIZES:
        rest = ceil(span / size)
        if size >= span:
            continue
        yield size, rest
        yield from ((size, middle, ceil(rest / middle)) for middle in _SIZES if middle < rest)
    for sizes in product(_DEEP_SIZES, repeat=3):
        rest = span
        for size in sizes:
            rest = ceil(rest / size)
        if rest > 1:
            yield *sizes, rest


def _groups(span: int, sizes: tuple[int, ...]) -> Iterator[_Group]:
    hops, members = 1, span
    for number, size in enumerate(sizes):
        left = ceil(members / size)
        turned = left > 1 and _turned(min(sizes[min(number + 1, len(sizes) - 1)], left))
        yield min(size, members), hops, min(number, 1), turned, left <= 1
        hops, members = hops * size, left
