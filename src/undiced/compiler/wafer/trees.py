"""Chooses reduction trees: one for each kind of line, the fastest over all that travels it. Knows no value's meaning.

Routes are static and colors few, so that all collectives on one kind of line share a tree.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import product
from math import ceil, inf

import numpy as np

from undiced.compiler.wafer.splits import Floats, arms_of, splits_of
from undiced.machine import lines
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.paths import fits
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree, separate
from undiced.program.wafer.workload import work

_RARELY = 1e-3  # of a stream that no whole layer runs

Payloads = tuple[tuple[int, float], ...]  # wavelets of a slice, and how often a token sends them


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

    def best(self, span: int, slices: int, payloads: Payloads) -> Tree:
        """The levels with the fewest cycles over all payloads (wavelets of a slice, and how often they travel)."""
        key = span, slices, payloads
        if key not in self._found:
            self._found[key] = self._search(span, slices, payloads)
        return self._found[key]

    def _search(self, span: int, slices: int, payloads: Payloads) -> Tree:
        """Once sizes are fixed levels cost independently, so each takes the better of chain and star."""
        splits = splits_of(span)
        chain = star = np.zeros(splits.members.shape)
        for count, often in payloads:
            chained, starred = self.level_cycles(span, slices, count)
            chain, star = chain + often * chained, star + often * starred
        cost = np.minimum(chain, star)
        total = cost[:, 0] + cost[:, 1] + cost[:, 2] + cost[:, 3]
        total[splits.sizes[:, 0] < min(slices, span)] = inf
        for way in np.argsort(total, kind="stable"):
            if total[way] == inf:
                break
            sizes = splits.sizes[way, : splits.levels[way]]
            kinds = (star < chain)[way]
            levels = tuple(Level(int(size), bool(kind)) for size, kind in zip(sizes, kinds, strict=False))
            tree = Tree(span, levels, slices)
            if separate(tree) and fits(tree, self._positions):
                return tree
        return Tree(span, (Level(span),), slices)

    def level_cycles(self, span: int, slices: int, count: int) -> tuple[Floats, Floats]:
        """`lines.level_costs` of the first slice of every split's levels in plain arithmetic, as chains and as stars; a
        test holds them equal."""
        splits, arms = splits_of(span), arms_of(span, slices)
        size, hops, later, first, second = splits.members, splits.hops, splits.later, arms.first, arms.second
        wire, step = count / self._rate, self._step + hops * self._hop
        always = 1 + wire * (splits.last + int(slices > 1))
        before = np.where(later, wire, ceil(count / 2) + self._software)
        farthest = np.maximum(first, second)
        lone = np.maximum(before * later, step * farthest)
        both = np.maximum(np.maximum(before, step * first) + wire, step * second)
        chained = always + np.where(np.minimum(first, second) > 0, both, lone)
        one = wire + (0.0 if count == 1 else self._setup)
        members = one * (size - 2) + np.maximum(before, step)
        beside = wire * (arms.crossings - 1) + step
        starred = always + np.maximum(np.maximum(members, self._step + farthest * hops * self._hop), beside)
        joins = (size > 1).astype(np.float64)
        return np.multiply(chained, joins), np.multiply(starred, joins)
