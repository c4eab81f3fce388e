"""Reduction trees over a line of cores, as functions of a core's place on it. Knows no value and no cost.

Level 0 joins the cores of the line in groups of `size` neighbors; level i joins the roots of level i - 1. A chain adds
from both ends of its group towards the root; in a star every member sends to the root. Trees of several slices have a
root each: first-level roots are spread over their group, where it has members enough; later roots lie side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil

from msgspec import Struct


class Level(Struct, frozen=True, gc=False):
    """One level: `size` members a group; a chain adds as it goes, a star sends to the root."""

    size: int
    star: bool = False


class Tree(Struct, frozen=True, gc=False):
    """A structure over lines of `span` cores, for as many slices of a payload."""

    span: int
    levels: tuple[Level, ...]
    slices: int = 1

    @property
    def complete(self) -> bool:
        """Whether the levels join the whole line into one root."""
        left = self.span
        for level in self.levels:
            left = ceil(left / level.size)
        return left == 1


@dataclass(frozen=True, slots=True)
class Join:
    """What one group of a level does: `arms` of members, the farthest first, add into `root`."""

    root: int
    arms: tuple[tuple[int, ...], ...]
    star: bool


@dataclass(frozen=True, slots=True)
class Role:
    """What a core is on one slice's tree: a member of `level` that sends to `parent`; the last root has none (-1)."""

    level: int
    parent: int


def root_place(size: int, slices: int, which: int, level: int) -> int:
    """Index in a full group of `size` members of the root of slice `which`."""
    if level or size < slices or slices == 1:
        return size // 2
    return (2 * which + 1) * size // (2 * slices)


@lru_cache(maxsize=1024)
def joins(tree: Tree, which: int) -> tuple[tuple[Join, ...], ...]:
    """Every level's groups for slice `which`, in the order of execution."""
    members = tuple(range(tree.span))
    out = []
    for number, level in enumerate(tree.levels):
        place = root_place(min(level.size, len(members)), tree.slices, which, number)
        groups = [members[i : i + level.size] for i in range(0, len(members), level.size)]
        out.append(tuple(_join(group, min(place, len(group) - 1), level.star) for group in groups))
        members = tuple(join.root for join in out[-1])
    return tuple(_ordered(level, out[number + 1 :]) for number, level in enumerate(out))


def _join(group: tuple[int, ...], place: int, star: bool) -> Join:
    lower, upper = group[:place], group[:place:-1]
    return Join(group[place], tuple(arm for arm in (lower, upper) if arm), star)


def _ordered(level: tuple[Join, ...], above: list[tuple[Join, ...]]) -> tuple[Join, ...]:
    """With the upper arm first where a root is below that of its next group: it then hears from below only."""
    below = {m for join in above[0] for arm in join.arms for m in arm if m < join.root} if above else set()
    return tuple(replace(join, arms=join.arms[::-1]) if join.root in below else join for join in level)


@lru_cache(maxsize=1024)
def roots(tree: Tree) -> tuple[int, ...]:
    """Where each slice ends: places on the line; that of the last level's first group, as `joins` has it."""
    return tuple(_root(tree, which) for which in range(tree.slices))


def _root(tree: Tree, which: int) -> int:
    counts = [tree.span]  # members of each level
    for level in tree.levels:
        counts.append(-(-counts[-1] // level.size))
    at = 0  # a group of the level above, which is a member there
    for number, level in reversed(list(enumerate(tree.levels))):
        place = root_place(min(level.size, counts[number]), tree.slices, which, number)
        at = at * level.size + min(place, min(level.size, counts[number] - at * level.size) - 1)
    return at


def separate(tree: Tree) -> bool:
    """Whether each slice ends at a core of its own."""
    return len(set(roots(tree))) == tree.slices


def role(tree: Tree, which: int, core: int) -> Role:
    """The role of the core at a place of the line in the tree of slice `which`."""
    for number, level in enumerate(joins(tree, which)):
        for join in level:
            if core != join.root and core in (member for arm in join.arms for member in arm):
                return Role(number, _parent(join, core))
    return Role(len(tree.levels), -1)


def _parent(join: Join, core: int) -> int:
    if join.star:
        return join.root
    arm = next(arm for arm in join.arms if core in arm)
    at = arm.index(core)
    return arm[at + 1] if at + 1 < len(arm) else join.root


@lru_cache(maxsize=1024)
def hops(tree: Tree, which: int) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Rounds of (senders, receivers) in the tree of slice `which`: a receiver joins what it is sent to what it holds.

    No core receives twice in a round. Executing the rounds in order leaves the whole in the last root.
    """
    rounds: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for level in joins(tree, which):
        sends = [_sends(join) for join in level]
        for turn in range(max(map(len, sends))):
            pairs = [send[turn] for send in sends if turn < len(send)]
            rounds.append((tuple(a for a, _ in pairs), tuple(b for _, b in pairs)))
    return tuple(rounds)


def _sends(join: Join) -> list[tuple[int, int]]:
    """What one group sends, one arm after the other: along it, or each member to the root, the nearest first."""
    if join.star:
        return [(member, join.root) for arm in join.arms for member in reversed(arm)]
    return [
        (sender, receiver) for arm in join.arms for sender, receiver in zip(arm, (*arm[1:], join.root), strict=True)
    ]
