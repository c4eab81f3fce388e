"""Chooses reduction trees: one for each kind of line, the fastest over all that travels it. Knows no value's meaning.

Routes are static and colors few, so that all collectives on one kind of line share a tree.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import product
from math import ceil, inf

from undiced.machine import lines
from undiced.machine.core import Core
from undiced.machine.link import Link
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.workload import work

_SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32)
_DEEP_SIZES = (2, 3, 4, 5, 6, 8)

Payloads = tuple[tuple[int, float], ...]  # wavelets of a slice, and how often a token sends them


def chosen_trees(
    streams: tuple[Stream, ...], asked: tuple[Tree, ...], runs: tuple[float, ...], wafer: Wafer, step: Step
) -> tuple[Tree, ...]:
    """The trees of a program, by number; `runs`: how often a token runs each stream."""
    found: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for stream, often in zip(streams, runs, strict=True):
        shares = Shares({v.name: v for v in stream.values}, asked, step)
        for i in stream.instructions:
            if isinstance(i, isa.Reduce):
                part, haul = shares.roots(i.result), work(i, shares).haul
                assert part is not None and haul is not None
                found[part.tree][lines.wavelets(wafer.link, haul.pieces[0])] += max(often, 1e-3)
    return tuple(
        best_tree(wafer.core, wafer.link, tree.span, tree.slices, tuple(sorted(found[number].items())))
        for number, tree in enumerate(asked)
    )


@lru_cache(maxsize=4096)
def best_tree(core: Core, link: Link, span: int, slices: int, payloads: Payloads) -> Tree:
    """The levels with the fewest cycles over all payloads, up to four of them, chains or stars."""
    best, chosen = inf, Tree(span, (Level(span),), slices)
    for sizes in _splits(span):
        tree = Tree(span, _levels(core, link, span, sizes, slices, payloads), slices)
        cycles = _cycles(core, link, tree, payloads)
        if cycles < best and sizes[0] >= min(slices, span):
            best, chosen = cycles, tree
    return chosen


def _cycles(core: Core, link: Link, tree: Tree, payloads: Payloads) -> float:
    return sum(often * lines.slice_cost(core, link, tree, 0, count).cycles for count, often in payloads)


def _levels(
    core: Core, link: Link, span: int, sizes: tuple[int, ...], slices: int, payloads: Payloads
) -> tuple[Level, ...]:
    """Once their sizes are fixed levels cost independently, so each takes the better of chain and star."""
    out, hops, members = [], 1, span
    for number, size in enumerate(sizes):
        out.append(Level(size, _star_is_faster(core, link, min(size, members), hops, slices, number > 0, payloads)))
        hops, members = hops * size, ceil(members / size)
    return tuple(out)


@lru_cache(maxsize=1 << 16)
def _star_is_faster(
    core: Core, link: Link, size: int, hops: int, slices: int, later: bool, payloads: Payloads
) -> bool:
    chain, star = (
        sum(often * lines.level_cost(core, link, Level(size, kind), hops, slices, later, count).cycles
            for count, often in payloads)
        for kind in (False, True)
    )  # fmt: skip
    return star < chain


@lru_cache(maxsize=2048)
def _splits(span: int) -> tuple[tuple[int, ...], ...]:
    """Sizes of one to four levels that join `span` cores."""
    out: list[tuple[int, ...]] = [(span,)]
    for size in _SIZES:
        rest = ceil(span / size)
        if size >= span:
            continue
        out.append((size, rest))
        out += [(size, middle, ceil(rest / middle)) for middle in _SIZES if middle < rest]
    for sizes in product(_DEEP_SIZES, repeat=3):
        rest = span
        for size in sizes:
            rest = ceil(rest / size)
        if rest > 1:
            out.append((*sizes, rest))
    return tuple(out)
