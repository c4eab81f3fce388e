"""Paths: which ways wavelets pass a router on their line, as functions of its place. Never a list of cores.

Sums take two colors a slice: neighbors in a group alternate, so that a core hears all that it hears of a slice on one
color and sends on the other. What comes on one color is in order, whoever is late: a router lets one after the other
pass. A root hears those below it before those above; after them where it is itself below the root of the next level, so
that it goes on to hear from the side that it heard from last. In a star each sends, then lets the farther ones pass.
What roots send back has one color: a router hears those below it, sends if it is a root, hands on to the next root, and
then hears those above. Levels follow each other at every router in this order, so that a switch goes through its
positions and starts again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from undiced.program.wafer.switching import switching
from undiced.program.wafer.tree import Tree, root_place, roots


class Port(StrEnum):
    """Ways in and out of a router: its core, and its neighbors on the line at lower and at higher places."""

    CORE = "core"
    LOWER = "lower"
    HIGHER = "higher"


_FOUR = 4


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


def _hears_on(levels: tuple[_Groups, ...], number: int, member: int) -> int:
    """The color on which a member of a level hears: that of its group's root if it is an even number of steps away."""
    color = 0
    for groups in levels[number:]:
        group = member // groups.size
        apart = abs(member - groups.root(group))
        color += min(apart, 1) if groups.tree.levels[groups.number].star else apart
        member = group
    return color % 2


def _upper_first(levels: tuple[_Groups, ...], number: int, group: int) -> bool:
    """Whether a group's root hears the members above it first: it then hears from below, where it hears at all."""
    return number + 1 < len(levels) and group < levels[number + 1].root(group // levels[number + 1].size)


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
        ways = way(member, (place > at) - (place < at), root, first, last)
        turned = place == at and member == root and _upper_first(levels, number, group)
        for receiver, source, targets in ways[::-1] if turned else ways:
            out.append(Passage(number, _hears_on(levels, number, receiver), source, targets))
    return tuple(out)


_Way = tuple[int, Port, tuple[Port, ...]]
"""Who receives, among the members of the level, and the way to there."""
_UP, _DOWN = (Port.LOWER, (Port.HIGHER,)), (Port.HIGHER, (Port.LOWER,))


def _chain(member: int, side: int, root: int, first: int, last: int) -> list[_Way]:
    """One level of a chain at a router at (0), below (-1) or above (1) the member nearest to it."""
    if side:  # between two members, if there is one on that side
        low, high = (member, member + 1) if side > 0 else (member - 1, member)
        if low < first or high > last:
            return []
        return [(high, *_UP)] if high <= root else [(low, *_DOWN)]
    out: list[_Way] = []
    if first < member <= root:
        out.append((member, Port.LOWER, (Port.CORE,)))
    if root <= member < last:
        out.append((member, Port.HIGHER, (Port.CORE,)))
    if member < root:
        out.append((member + 1, Port.CORE, (Port.HIGHER,)))
    if member > root:
        out.append((member - 1, Port.CORE, (Port.LOWER,)))
    return out


def _star(member: int, side: int, root: int, first: int, last: int) -> list[_Way]:
    """One level of a star, in the same terms: nearer members send before farther ones pass."""
    low, high = member - (side < 0), member + (side > 0)  # members at and beyond the router on both of its sides
    out: list[_Way] = []
    if not side and member == root:
        out += [(root, Port.LOWER, (Port.CORE,))] * (first < root)
        out += [(root, Port.HIGHER, (Port.CORE,))] * (root < last)
    elif high <= root:
        out += [(root, Port.CORE, (Port.HIGHER,))] * (not side)
        out += [(root, *_UP)] * (low - (not side) >= first)
    elif low >= root:
        out += [(root, Port.CORE, (Port.LOWER,))] * (not side)
        out += [(root, *_DOWN)] * (high + (not side) <= last)
    return out


def shares_path(tree: Tree, place: int) -> tuple[Passage, ...]:
    """What passes the router at a place when the roots of all slices send to their line, the lowest root first.

    Behind what it sends both ways, a root tells the routers up to the next one that they are to hear that one.
    """
    senders = tuple(dict.fromkeys(roots(tree)))
    out = [heard(root, tree.span, place) for root in senders]
    if place in senders[:-1]:
        out.insert(senders.index(place) + 1, Passage(0, 0, Port.CORE, (Port.HIGHER,)))
    return tuple(out)


def heard(sender: int, span: int, place: int) -> Passage:
    """What passes the router at a place of a line of `span` cores when the core at `sender` sends to all of it."""
    up, down = (Port.HIGHER,) * (place < span - 1), (Port.LOWER,) * (place > 0)
    if place == sender:
        return Passage(0, 0, Port.CORE, (*down, *up))
    if place > sender:
        return Passage(0, 0, Port.LOWER, (Port.CORE, *up))
    return Passage(0, 0, Port.HIGHER, (Port.CORE, *down))


def positions(passages: tuple[Passage, ...], most: int) -> int:
    """Switch positions that a router needs for the color of these passages that needs most."""
    found: dict[int, list[tuple[Port, tuple[Port, ...]]]] = {}
    for passage in passages:
        found.setdefault(passage.color, []).append((passage.source, passage.targets))
    return max((len(switching(ways, most).positions) for ways in found.values()), default=0)


def always_fits(tree: Tree, most: int) -> bool:
    """Whether `most` switch positions reach for a color of any sums by a tree of so many levels.

    Four do for up to four levels: two for what a root hears before it is a member, what it then hears is from the side
    that it heard from last, and levels above pass in two ways at most.
    """
    return len(tree.levels) <= _FOUR <= most


@lru_cache(maxsize=256)
def fits(tree: Tree, most: int) -> bool:
    """Whether no router of a tree's line needs more than `most` switch positions for a color of its sums."""
    places = ((which, place) for which in range(tree.slices) for place in range(tree.span))
    return always_fits(tree, most) or all(
        positions(sum_path(tree, which, place), most) <= most for which, place in places
    )
