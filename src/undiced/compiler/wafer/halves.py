"""In which half of the banks each value of a program begins, so that vectors that are read together don't meet.

What lasts begins in the first half in every run, which costs no memory; states and activations have room for both.
Pairs are joined into groups whose values are held to each other, those that read most first. A pair within a group
keeps apart if its values happen to; all pairs of a program do if any choice of halves lets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from undiced.program.wafer.banks import Banks
from undiced.program.wafer.memory import LASTING
from undiced.program.wafer.pairs import pairs
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Kind, Value

Place = tuple[int, str]  # the stream, or -1 for states, which are everywhere; and the value
FIRST: Place = (-1, "")  # the first half


@dataclass(frozen=True, slots=True)
class Bond:
    """Two places that should begin in one half (0) or in both (1), and how much is read of them."""

    a: Place
    b: Place
    relation: int
    elements: int


@dataclass(slots=True)
class Groups:
    """Places held to each other: each to another, in the same half or not, until one that is held to none."""

    held: dict[Place, tuple[Place, int]] = field(default_factory=dict)

    def half(self, place: Place) -> tuple[Place, int]:
        """The last of a place's group, and whether the place begins in its half (0) or not (1)."""
        half = 0
        while place in self.held:
            place, differs = self.held[place]
            half ^= differs
        return place, half

    def join(self, bond: Bond) -> None:
        """Hold two groups to each other, unless they are one."""
        (a, first), (b, second) = self.half(bond.a), self.half(bond.b)
        if a == FIRST:
            a, b = b, a
        if a != b:
            self.held[a] = b, first ^ second ^ bond.relation


def halves(streams: Sequence[Stream], trees: tuple[Tree, ...], banks: Banks) -> tuple[dict[str, int], ...]:
    """Half 0 or 1 of each value with memory of its own, for each stream; 0 where it makes no difference."""
    states = {v.name: v for s in streams for v in s.values if v.kind is Kind.STATE}
    groups = Groups()
    bonds = [bond for n, stream in enumerate(streams) for bond in _bonds(n, stream, states, trees, banks)]
    for bond in sorted(bonds, key=lambda bond: -bond.elements):
        groups.join(bond)
    return tuple(
        {v.name: groups.half(_place(n, v))[1] for v in stream.values if v.view is None}
        for n, stream in enumerate(streams)
    )


def _place(stream: int, value: Value) -> Place:
    if value.kind in LASTING:
        return FIRST
    return -1 if value.kind is Kind.STATE else stream, value.name


def _bonds(
    number: int, stream: Stream, states: dict[str, Value], trees: tuple[Tree, ...], banks: Banks
) -> Iterable[Bond]:
    values = states | {value.name: value for value in stream.values}
    for pair in pairs(stream, Shares(values, trees), banks):
        relation = banks.relation(pair.starts, pair.loops)
        if relation is not None and pair.values[0] != pair.values[1]:
            a, b = (_place(number, values[name]) for name in pair.values)
            yield Bond(a, b, relation, pair.elements)
