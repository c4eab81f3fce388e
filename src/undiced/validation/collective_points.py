"""The points at which closed forms of collectives are judged: drawn by a seed, and those of compiled models.

Knows no cycles. Spans are 3 to 755 cores, payloads 1 to 512 elements, both drawn by their logarithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import exp, log
from random import Random

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import UnsupportedError
from undiced.machine import find_machine
from undiced.machine.fabric import fabric
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.paths import fits
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree, roots, separate
from undiced.sim.fabric.lower.courses import sum_course
from undiced.validation.collectives import Collective, Mover
from undiced.validation.lab import MACHINES

MODELS = ("llama-3.1-8b", "llama-3.3-70b", "qwen3-0.6b")
_SPAN, _ELEMENTS, _CONTEXT = (3, 755), (1, 512), 4096
_STAR_MAX = 32  # members: a longer one takes more cycles than anything else, and tells nothing more
_APART_MAX = 64  # cores between neighboring roots: what one control wavelet reaches
_BACK_TO_BACK: tuple[tuple[Mover, ...], ...] = (
    ("sum", "sum"), ("sum", "share"), ("sum", "share", "sum", "share"), ("sum", "sum", "share"), ("sum",) * 4,
)  # fmt: skip


def drawn(count: int, seed: int = 0, span: int = _SPAN[1]) -> Iterator[Collective]:
    """`count` points, kind by kind in turn, machine by machine, on lines of at most `span` cores."""
    r = Random(seed)
    kinds = tuple(_KINDS.items())
    for number in range(count):
        kind, make = kinds[number % len(kinds)]
        tree, movers = make(r, span)
        machine = MACHINES[number // len(kinds) % len(MACHINES)]
        yield Collective(kind, machine, tree, _between(r, *_ELEMENTS), r.choice(("f16", "f32")), movers)


def compiled(model: str, most: int) -> list[Collective]:
    """Sums of a compiled model that differ, and the multicasts that follow them; at most so many, evenly picked."""
    options = Options(Bounds(1, _CONTEXT))
    program = compile_graph(build_config(preset(model)), find_machine("wse3"), options)
    found = list(dict.fromkeys(sums(program)))
    return found[:: max(1, -(-len(found) // most))]


def sums(program: WaferProgram, tokens: int = 1) -> Iterator[Collective]:
    """A program's sums, and the multicasts that follow them; of so many tokens of a chunk but at the model's end."""
    kind = "compiled models" if tokens == 1 else f"chunks of {tokens} tokens"
    for stream in program.streams:
        shares = Shares(values_of(program, stream), program.trees, Step(context=_CONTEXT))
        for i in stream.instructions:
            if isinstance(i, isa.Reduce) and i.operation in ("sum", "max"):
                part = shares.roots(i.result)
                assert part is not None
                sent = any(isinstance(after, isa.Multicast) and after.a == i.result for after in stream.instructions)
                movers: tuple[Mover, ...] = ("sum", "share") if sent else ("sum",)
                elements = shares.size(i.result) if part.whole else shares.size(i.a)
                elements *= 1 if stream.last else tokens
                yield Collective(kind, program.machine, program.trees[part.tree], elements, i.wire, movers)


def _between(r: Random, low: int, high: int) -> int:
    return min(high, round(exp(r.uniform(log(low), log(high)))))


def _tree(r: Random, span_max: int, *, stars: bool, slices: int) -> Tree:
    """A tree that routers can hold: of one to four levels, all chains, or at least one of them a star."""
    positions = int(fabric(find_machine("wse2")).positions)
    while True:
        span = _between(r, max(_SPAN[0], 2 * slices), span_max)
        sizes = tuple(_sizes(r, span, r.randint(1, 4)))
        levels = tuple(Level(size, stars and size <= _STAR_MAX and r.random() < 0.6) for size in sizes)
        tree = Tree(span, levels, slices)
        if any(level.star for level in levels) is stars and fits(tree, positions) and _held(tree):
            return tree


def _sizes(r: Random, span: int, count: int) -> Iterator[int]:
    """Members of each level: about as many in each as leave so many levels."""
    left = span
    for level in range(count, 0, -1):
        if left <= 1:
            return
        even = left ** (1 / level)
        size = left if level == 1 else min(left, max(2, round(even * r.uniform(0.6, 1.6))))
        yield size
        left = -(-left // size)


def _held(tree: Tree) -> bool:
    ends = roots(tree)
    apart = max((b - a for a, b in pairwise(ends)), default=0)
    return separate(tree) and list(ends) == sorted(ends) and apart < _APART_MAX and _lowered(tree)


def _lowered(tree: Tree) -> bool:
    """Whether control wavelets hold all that its sums tell the routers."""
    positions = int(fabric(find_machine("wse2")).positions)
    try:
        for which in range(tree.slices):
            sum_course(tree, which, positions)
    except UnsupportedError:
        return False
    return True


_Made = tuple[Tree, tuple[Mover, ...]]


def _sum(r: Random, span: int, *, stars: bool, sliced: bool) -> _Made:
    return _tree(r, span, stars=stars, slices=r.randint(2, 4) if sliced else 1), ("sum",)


def _root(r: Random, span: int) -> _Made:
    return _tree(r, span, stars=False, slices=1), (r.choice(("share", "share", "apart")),)


def _roots(r: Random, span: int) -> _Made:
    return _tree(r, span, stars=False, slices=r.randint(2, 4)), ("share",)


def _owner(r: Random, span: int) -> _Made:
    return _tree(r, span, stars=False, slices=1), ("owner",)


def _back_to_back(r: Random, span: int) -> _Made:
    return _tree(r, span, stars=r.random() < 0.3, slices=r.randint(1, 3)), r.choice(_BACK_TO_BACK)


_KINDS: dict[str, Callable[[Random, int], _Made]] = {
    "sums by chains": lambda r, span: _sum(r, span, stars=False, sliced=False),
    "sums by chains, slices": lambda r, span: _sum(r, span, stars=False, sliced=True),
    "sums with stars": lambda r, span: _sum(r, span, stars=True, sliced=False),
    "sums with stars, slices": lambda r, span: _sum(r, span, stars=True, sliced=True),
    "multicasts of a root": _root,
    "multicasts of roots of slices": _roots,
    "multicasts of an owner": _owner,
    "several on one tree": _back_to_back,
}
