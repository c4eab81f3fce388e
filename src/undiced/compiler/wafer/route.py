"""Route: every collective gets its tree and its colors; conflicts are checked. Knows streams, not what they compute.

Until then a collective's color is the index of its kind of line. All collectives of similar payload on one kind of line
share a tree, because its routes stay painted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from undiced.compiler.wafer.builder import StreamBuilder
from undiced.compiler.wafer.reduce import Payloads, Tree, TreeFinder, tree_colors, tree_finder
from undiced.compiler.wafer.scheme import Scheme
from undiced.core.errors import CompileError
from undiced.machine.collective import AHEAD, ELEMENTS_PER_POSITION, repeats, slices_of, wavelets_of
from undiced.machine.cost import CostModel
from undiced.program import Instr, Op, Stream

BOUNDARY_COLORS = 2  # the hidden state entering and leaving a region
_Line = tuple[int, int]  # kind of line, span


@dataclass(frozen=True, slots=True)
class _Served:
    """A tree on a line: the largest payload it serves and its first color."""

    largest: int
    tree: Tree
    color: int


def route_streams(
    builders: tuple[StreamBuilder, ...],
    scheme: Scheme,
    model: CostModel,
    positions: int,
    available: int,
    runs: Mapping[str, float],
    *,
    deep: bool = True,
) -> tuple[tuple[Stream, ...], int] | None:
    """Streams with trees and colors, and the number of colors that a region takes: two trees per line if colors allow.

    None if one tree per line takes more colors than are available, which costs no search of trees.
    `runs`: how often a token runs a stream, once if not given; trees serve what runs often. `deep`: of four levels too.
    """
    written = tuple(builder.build() for builder in builders)
    if fewest_colors(written) > available:
        return None
    streams, colors = _route(written, scheme, model, positions, runs, split=True, deep=deep)
    if colors > available:
        streams, colors = _route(written, scheme, model, positions, runs, split=False, deep=deep)
    return streams, colors


def fewest_colors(streams: tuple[Stream, ...]) -> int:
    """The colors that streams take if every line has one tree."""
    return BOUNDARY_COLORS + sum(tree_colors(slices) for slices in _slices(streams).values())


def _slices(streams: tuple[Stream, ...]) -> dict[_Line, int]:
    """How many slices share a payload on each line."""
    slices: dict[_Line, int] = {}
    for instr in _choosing(streams):
        slices[_line(instr)] = max(slices.get(_line(instr), 1), slices_of(instr.p[5]))
    return slices


def _choosing(streams: tuple[Stream, ...]) -> list[Instr]:
    """The collectives that have a say in their tree; those that go ahead take a tree that others chose."""
    return [i for s in streams for i in s.instrs if _travels(i) and not i.p[5] & AHEAD]


def _route(
    streams: tuple[Stream, ...],
    scheme: Scheme,
    model: CostModel,
    positions: int,
    runs: Mapping[str, float],
    *,
    split: bool,
    deep: bool,
) -> tuple[tuple[Stream, ...], int]:
    payloads: dict[_Line, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    slices = _slices(streams)
    for stream in streams:
        for instr in _choosing((stream,)):
            payloads[_line(instr)][_wavelets(model, instr, positions)] += runs.get(stream.name, 1.0)
    finder = tree_finder(model)
    served: dict[_Line, list[_Served]] = {}
    color = BOUNDARY_COLORS
    for line in sorted(payloads):
        found = tuple(sorted(payloads[line].items()))
        served[line] = []
        for largest, tree in _trees(finder, line[1], found, scheme, slices[line], split, deep):
            served[line].append(_Served(largest, tree, color))
            color += tree_colors(slices[line])
    routed = tuple(
        Stream(s.name, tuple(_routed(model, i, served, positions) if _travels(i) else i for i in s.instrs))
        for s in streams
    )
    return routed, color


def _trees(
    finder: TreeFinder, span: int, payloads: Payloads, scheme: Scheme, slices: int, split: bool, deep: bool
) -> tuple[tuple[int, Tree], ...]:
    if not scheme.levels:
        return ((payloads[-1][0], finder.two_tree(span, payloads, not scheme.one_multicast)),)
    if slices > 1:
        shares = tuple((ceil(w / slices), often) for w, often in payloads)
        return ((payloads[-1][0], finder.levels(span, shares, slices, deep=deep)),)
    if split:
        return finder.classes(span, payloads, deep=deep)
    return ((payloads[-1][0], finder.levels(span, payloads, deep=deep)),)


def _travels(instr: Instr) -> bool:
    return instr.op in (Op.ALLREDUCE, Op.REDUCE)


def _line(instr: Instr) -> _Line:
    return instr.p[6], instr.p[3]


def _wavelets(model: CostModel, instr: Instr, positions: int) -> int:
    _, elements, element_bytes, _, _, modifier, _ = instr.p
    return wavelets_of(model, elements * repeats(modifier, positions), element_bytes)


def _routed(model: CostModel, instr: Instr, served: dict[_Line, list[_Served]], positions: int) -> Instr:
    payload = _wavelets(model, instr, positions)
    found = next(s for s in served[_line(instr)] if payload <= s.largest)
    axis, elements, element_bytes, span, _, modifier, _ = instr.p
    p = (axis, elements, element_bytes, span, found.tree.groups, found.tree.algorithm | modifier, found.color)
    return replace(instr, p=p)


def check_colors(streams: tuple[Stream, ...], available: int) -> None:
    """One route per color: collectives of one color must have the same axis, span, tree and slices.

    Raises:
        CompileError: two different routes on a color, or a color beyond those there are.
    """
    owners: dict[int, tuple[int, ...]] = {}
    for instr in (i for stream in streams for i in stream.instrs if _travels(i)):
        axis, _, _, span, groups, algorithm, first = instr.p
        slices = slices_of(algorithm)
        route = (axis, span, groups, algorithm & (ELEMENTS_PER_POSITION - 1), first)
        for color in range(first, first + tree_colors(slices)):
            if color >= available:
                raise CompileError(
                    f"{instr.note} takes color {color} of {available}.", remedy="Use fewer slices (or none)."
                )
            if owners.setdefault(color, route) != route:
                raise CompileError(
                    f"Two routes share color {color}: {instr.note}.", remedy="Compile the program again."
                )
