"""Chooses reduction trees: few structures for each kind of line, because routes are static and colors are few.

A tree takes two colors (neighbors alternate), switched from level to level. The multicast takes one more, also of
several trees with neighboring roots: each root frees it for the next by a control wavelet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil, inf

from undiced.machine.collective import TWO_TREE, TWO_TREE_DUAL, Level, level_cycles, pack_levels, two_tree
from undiced.machine.cost import CostModel

_LEVEL_LIMIT = 1024  # a level's size is packed into ten bits,
_DEEP_LIMIT = 128  # of four levels those after the first into seven
_SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32)
_DEEP_SIZES = (2, 3, 4, 5, 6, 8)
_WORTH_COLORS = 0.98  # a second tree on a line must save this much

Payloads = tuple[
    tuple[int, float], ...
]  # wavelets of the collectives that travel a line, ascending, and how often each does


def tree_colors(slices: int) -> int:
    """Colors of `slices` trees that share a payload (0 or 1: one tree)."""
    return 2 * max(1, slices) + 1


@dataclass(frozen=True, slots=True)
class Tree:
    """A structure as the `groups` and `algorithm` parameters of an instruction."""

    groups: int
    algorithm: int


class TreeFinder:
    """Searches trees for one cost model, and remembers them."""

    def __init__(self, model: CostModel) -> None:
        self._model = model
        self._found: dict[tuple[int, Payloads, int, bool], tuple[float, Tree]] = {}
        self._levels: dict[tuple[int, int, Payloads, int], tuple[float, bool]] = {}

    def levels(self, span: int, payloads: Payloads, slices: int = 1, *, deep: bool = False) -> Tree:
        """The level tree with the fewest cycles over all `payloads`, of each of `slices` beside each other; of four
        levels too if `deep`."""
        return self._search(span, payloads, slices, deep)[1]

    def classes(self, span: int, payloads: Payloads, *, deep: bool = False) -> tuple[tuple[int, Tree], ...]:
        """One or two trees for the payloads of a line: (largest payload served, tree), smallest first."""
        cost, one = self._search(span, payloads, 1, deep)
        best: tuple[tuple[int, Tree], ...] = ((payloads[-1][0], one),)
        for cut in range(1, len(payloads)):
            (small, first), (large, second) = (
                self._search(span, part, 1, deep) for part in (payloads[:cut], payloads[cut:])
            )
            if small + large < cost * _WORTH_COLORS:
                cost, best = small + large, ((payloads[cut - 1][0], first), (payloads[-1][0], second))
        return best

    def two_tree(self, span: int, payloads: Payloads, dual: bool) -> Tree:
        """The published structure with the best group count that divides the line."""
        divisors = [g for g in range(1, span + 1) if span % g == 0]
        groups = min(
            divisors, key=lambda g: sum(n * two_tree(self._model, span, g, w, dual).cycles for w, n in payloads)
        )
        return Tree(groups, TWO_TREE_DUAL if dual else TWO_TREE)

    def _search(self, span: int, payloads: Payloads, slices: int = 1, deep: bool = False) -> tuple[float, Tree]:
        """Once their sizes are fixed levels cost independently, so each takes the better of chain and star."""
        key = span, payloads, slices, deep
        if key not in self._found:
            best = inf
            chosen: tuple[Level, ...] = (Level(span),)
            for sizes in (*_splits(span), *(_deep_splits(span) if deep else ())):
                total, hops, levels = 0.0, 1, []
                for size in sizes:
                    cycles, star = self._level(size, hops, payloads, slices)
                    total, hops = total + cycles, hops * size
                    levels.append(Level(size, star))
                    if total >= best:
                        break
                else:
                    best, chosen = total, tuple(levels)
            self._found[key] = best, Tree(*pack_levels(chosen))
        return self._found[key]

    def _level(self, size: int, hops: int, payloads: Payloads, slices: int) -> tuple[float, bool]:
        key = size, hops, payloads, slices
        if key not in self._levels:
            chain, star = (
                sum(n * level_cycles(self._model, size, kind, hops, w, slices) for w, n in payloads)
                for kind in (False, True)
            )
            self._levels[key] = min((chain, False), (star, True))
        return self._levels[key]


@lru_cache(maxsize=8)
def tree_finder(model: CostModel) -> TreeFinder:
    """The finder of a cost model."""
    return TreeFinder(model)


@lru_cache(maxsize=2048)
def _splits(span: int) -> tuple[tuple[int, ...], ...]:
    """Sizes of one to three levels that join `span` cores."""
    out: list[tuple[int, ...]] = [(span,)] if span < _LEVEL_LIMIT else []
    for size in _SIZES:
        rest = ceil(span / size)
        if size >= span or rest >= _LEVEL_LIMIT:
            continue
        out.append((size, rest))
        out += [(size, middle, ceil(rest / middle)) for middle in _SIZES if middle < rest]
    return tuple(out)


@lru_cache(maxsize=2048)
def _deep_splits(span: int) -> tuple[tuple[int, ...], ...]:
    """Sizes of four levels that join `span` cores."""
    out = []
    for sizes in product(_DEEP_SIZES, repeat=3):
        rest = span
        for size in sizes:
            rest = ceil(rest / size)
        if 1 < rest < _DEEP_LIMIT:
            out.append((*sizes, rest))
    return tuple(out)
