"""Paths: which ways wavelets pass a router on their line, as functions of its place. Never a list of cores.

Sums take two colors a slice. The last hop into a root comes on the first color from below and on the second from above;
along an arm colors alternate. In a star all members below the root share the first color and those above it the
second: each sends, then lets the farther ones pass. What roots send back has one color: a router hears those below it,
sends if it is a root, and then hears those above. Levels follow each other at every router in this order, so that a
switch goes through its positions and starts again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from undiced.program.wafer.tree import Level, Tree, root_place, roots


class Port(StrEnum):
    """Ways in and out of a router: its core, and its neighbors on the line at lower and at higher places."""

    CORE = "core"
    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True)
class Passage:
    """Wavelets of one level and color: where they come in and where they go.

    Attributes:
        color: of the slice's two, or 0 of a multicast's one.
    """

    level: int
    color: int
    source: Port
    targets: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups of one level: `size` members each, `reach` cores from one member's to the next."""

    tree: Tree
    which: int
    number: int
    reach: int
    members: int

    @property
    def size(self) -> int:
        return self.tree.levels[self.number].size

    def root(self, group: int) -> int:
        """Index of a group's root among all members of the level."""
        first = group * self.size
        count = min(self.size, self.members - first)
        return first + min(
            root_place(min(self.size, self.members), self.tree.slices, self.which, self.number), count - 1
        )

    def last(self, group: int) -> int:
        """Index of a group's last member."""
        return min((group + 1) * self.size, self.members) - 1


@lru_cache(maxsize=1024)
def _levels(tree: Tree, which: int) -> tuple[_Groups, ...]:
    out, reach, members = [], 1, tree.span
    for number, level in enumerate(tree.levels):
        out.append(_Groups(tree, which, number, reach, members))
        reach, members = reach * level.size, -(-members // level.size)
    return tuple(out)


def _place(levels: tuple[_Groups, ...], number: int, member: int) -> int:
    """Where on the line a member of a level is: it is the root of a group of the level before."""
    for groups in reversed(levels[:number]):
        member = groups.root(member)
    return member


def sum_path(tree: Tree, which: int, place: int) -> tuple[Passage, ...]:
    """What passes the router at a place of the line in the sum of slice `which`, in order."""
    levels = _levels(tree, which)
    out: list[Passage] = []
    for number, groups in enumerate(levels):
        member = place // groups.reach
        group = member // groups.size
        root, first, last = groups.root(group), group * groups.size, groups.last(group)
        at = _place(levels, number, member)
        way = _star if tree.levels[number].star else _chain
        out += (Passage(number, *each) for each in way(member, (place > at) - (place < at), root, first, last))
    return tuple(out)


_Way = tuple[int, Port, tuple[Port, ...]]
_UP, _DOWN = (Port.LOWER, (Port.HIGHER,)), (Port.HIGHER, (Port.LOWER,))


def _chain(member: int, side: int, root: int, first: int, last: int) -> list[_Way]:
    """One level of a chain at a router at (0), below (-1) or above (1) the member nearest to it."""
    if side:  # between two members, if there is one on that side
        low, high = (member, member + 1) if side > 0 else (member - 1, member)
        if low < first or high > last:
            return []
        return [((root - high) % 2, *_UP)] if high <= root else [((low - root + 1) % 2, *_DOWN)]
    out: list[_Way] = []
    if first < member <= root:
        out.append(((root - member) % 2, Port.LOWER, (Port.CORE,)))
    if root <= member < last:
        out.append(((member + 1 - root) % 2, Port.HIGHER, (Port.CORE,)))
    if member < root:
        out.append(((root - 1 - member) % 2, Port.CORE, (Port.HIGHER,)))
    if member > root:
        out.append(((member - root) % 2, Port.CORE, (Port.LOWER,)))
    return out


def _star(member: int, side: int, root: int, first: int, last: int) -> list[_Way]:
    """One level of a star, in the same terms: nearer members send before farther ones pass."""
    low, high = member - (side < 0), member + (side > 0)  # members at and beyond the router on both of its sides
    out: list[_Way] = []
    if not side and member == root:
        out += [(0, Port.LOWER, (Port.CORE,))] * (first < root) + [(1, Port.HIGHER, (Port.CORE,))] * (root < last)
    elif high <= root:
        out += [(0, Port.CORE, (Port.HIGHER,))] * (not side)
        out += [(0, *_UP)] * (low - (not side) >= first)
    elif low >= root:
        out += [(1, Port.CORE, (Port.LOWER,))] * (not side)
        out += [(1, *_DOWN)] * (high + (not side) <= last)
    return out


def shares_path(tree: Tree, place: int) -> tuple[Passage, ...]:
    """What passes the router at a place when the roots of all slices send to their line, the lowest root first."""
    return tuple(heard(root, tree.span, place) for root in dict.fromkeys(roots(tree)))


def heard(sender: int, span: int, place: int) -> Passage:
    """What passes the router at a place of a line of `span` cores when the core at `sender` sends to all of it."""
    up, down = (Port.HIGHER,) * (place < span - 1), (Port.LOWER,) * (place > 0)
    if place == sender:
        return Passage(0, 0, Port.CORE, (*down, *up))
    if place > sender:
        return Passage(0, 0, Port.LOWER, (Port.CORE, *up))
    return Passage(0, 0, Port.HIGHER, (Port.CORE, *down))


def positions(passages: tuple[Passage, ...]) -> int:
    """Switch positions that a router needs for the color of these passages that needs most."""
    found: dict[int, list[tuple[Port, tuple[Port, ...]]]] = {}
    for passage in passages:
        ways = found.setdefault(passage.color, [])
        if not ways or ways[-1] != (passage.source, passage.targets):
            ways.append((passage.source, passage.targets))
    return max(map(len, found.values()), default=0)


def positions_most(levels: tuple[Level, ...]) -> int:
    """The most switch positions that a router needs for a color of a tree of these levels; few trees need as many.

    A core is the root of its groups up to one level, where each color comes in from one side alone; there it receives
    or sends, in a star sends and lets others pass; then the levels above pass.
    """
    above = len(levels) - 1
    return max((min(n, 1) + 1 + level.star + above - n for n, level in enumerate(levels)), default=0)
