"""What movers take on their lines: closed forms over trees and senders, slice by slice.

Every dependent step costs two ramps, one cycle, its hops and the software of a step; a reduction as a whole its entry,
a multicast its start and skew. A root takes its arms one after the other, so that a payload crosses its ramp twice a
level. Slices follow each other at the pace of one payload, and are held up once a level by another slice's root. The
fabric simulator judges these forms wire by wire.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

from undiced.machine.cost import ZERO, Cost, longest
from undiced.machine.link import Link
from undiced.program.wafer.tree import Tree, root_place

_HELD = 8  # wavelets for a core that its queue, the ramp and its router hold


def wavelets(link: Link, size_bytes: float) -> int:
    """Wavelets that carry so many bytes, packed."""
    return ceil(size_bytes / link.wavelet_bytes.value)


def payload(link: Link, count: float) -> Cost:
    """So many wavelets over one link."""
    return Cost(collective=count / link.wavelets_per_cycle.value)


def software(link: Link) -> Cost:
    """What the program of a core does for one step of a mover."""
    return Cost(overhead=link.step_software_cycles.value)


def distance(link: Link, hops: float) -> Cost:
    """So many routers one after the other."""
    return Cost(hops=hops * link.hop_cycles.value)


def _step(link: Link, hops: float) -> Cost:
    """From a core's adder to the next one's."""
    return Cost(collective=2 * link.ramp_cycles.value + 1) + software(link) + distance(link, hops)


def _chain(link: Link, arms: tuple[int, int], hops: int, count: int, joining: Cost, before: Cost) -> Cost:
    """Two arms of members, `hops` apart, into a root: until the last one's first wavelet can go on.

    `before`: how long the root is still busy when members begin to send.
    """
    first, second = arms
    step = _step(link, hops) + joining
    if not (first and second):
        return longest(before, step * max(arms))
    near = longest(before, step * first) + payload(link, count) + joining
    return longest(near, step * second)


def _star(link: Link, arms: tuple[int, int], hops: int, count: int, slices: int, joining: Cost, before: Cost) -> Cost:
    """Every member sends to the root, the nearest first; the root adds one after the other. As a chain until the last.

    Beside each other, `slices` trees share the links.
    """
    one = payload(link, count) + joining + Cost(overhead=0.0 if count == 1 else link.star_member_cycles.value)
    members = one * (sum(arms) - 1) + longest(before, _step(link, hops))
    beside = payload(link, count) * (crossings(sum(arms) + 1, hops, slices) - 1) + _step(link, hops)
    return longest(members, _step(link, max(arms) * hops), beside)


@lru_cache(maxsize=4096)
def crossings(size: int, hops: int, slices: int) -> int:
    """How often the busiest link of a star is crossed one way, when `slices` stars of `size` members share its line.

    In a first level (members one hop apart) the roots are spread over the group, as far as there are members enough;
    in later ones they are as near to each other as in the first, so that every crossing is towards all of them.
    """
    if hops > 1 or size < slices:
        return slices * (size // 2)
    roots = [(2 * i + 1) * size // (2 * slices) for i in range(slices)]
    right = (root * (slices - i) for i, root in enumerate(roots))  # by the link below a root most go to it and beyond
    left = ((size - 1 - root) * (i + 1) for i, root in enumerate(roots))
    return max((*right, *left))


@lru_cache(maxsize=1 << 14)
def level_costs(link: Link, tree: Tree, which: int, count: int, joining: Cost = ZERO) -> tuple[Cost, ...]:
    """Each level of one slice of `count` wavelets, as if it had every core to itself.

    Levels share two colors by switching routes: one control wavelet each. `joining` is what a core does for each
    payload that it receives beside adding it as it comes.
    """
    out, levels = list[Cost](), _levels(tree, which)
    for number, (size, hops, place, star) in enumerate(levels):
        following = levels[number + 1][:3:2] if number + 1 < len(levels) else None
        arms = in_turn(size, place, following)
        cost, last = Cost(collective=1.0), number == len(levels) - 1
        before = payload(link, count) if number else copied(link, count)
        if star:
            cost += _star(link, arms, hops, count, tree.slices, joining, before)
        else:
            cost += _chain(link, arms, hops, count, joining, before if number or min(arms) else ZERO)
        out.append(cost + payload(link, count) * (last + (tree.slices > 1)))
    return tuple(out)


def in_turn(size: int, place: int, following: tuple[int, int] | None) -> tuple[int, int]:
    """Members of a root's arms, the one first that it hears first; `following`: size and root's place a level above.

    From below, but in those groups that are below the root of the next level: the ones that it waits for longest, as
    long as its lower arm is not the shorter one.
    """
    lower, upper = place, size - 1 - place
    if following is not None and following[1] >= following[0] - 1 - following[1]:
        return upper, lower
    return lower, upper


def _levels(tree: Tree, which: int) -> list[tuple[int, int, int, bool]]:
    """Of each level that joins anything: members of a full group, hops between them, the root's place, star or not."""
    out, hops, members = list[tuple[int, int, int, bool]](), 1, tree.span
    for number, level in enumerate(tree.levels):
        size = min(level.size, members)
        if size > 1:
            out.append((size, hops, root_place(size, tree.slices, which, number), level.star))
        hops, members = hops * size, ceil(members / size)
    return out


@lru_cache(maxsize=1 << 14)
def slice_cost(link: Link, tree: Tree, which: int, count: int, joining: Cost = ZERO) -> Cost:
    """One slice of `count` wavelets from its terms to its root."""
    return sum(level_costs(link, tree, which, count, joining), ZERO)


@lru_cache(maxsize=1 << 14)
def engaged(link: Link, tree: Tree, count: int, joining: Cost = ZERO) -> Cost:
    """How long a reduction of `count` wavelets a slice keeps the next one waiting: what its last root does for it.

    What the next one's members send waits in the routers meanwhile, as near as it comes.
    """
    out = _step(link, 1)
    for size, _, place, star in _levels(tree, 0):
        own = size - 1 if star else min(place, 1) + min(size - 1 - place, 1)
        out += (payload(link, count) + joining) * own + Cost(collective=link.ramp_cycles.value)
        out += payload(link, count) if tree.slices > 1 else ZERO
    return out


def entry(link: Link) -> Cost:
    """What a reduction costs once, whatever its steps."""
    return Cost(overhead=link.collective_entry_cycles.value)


def dispatch(link: Link) -> Cost:
    """What a multicast costs before its first wavelet leaves."""
    return Cost(overhead=link.multicast_skew_cycles.value)


def again(link: Link, count: int) -> Cost:
    """What a core sends a second time."""
    return payload(link, count) + software(link)


def copied(link: Link, count: int) -> Cost:
    """So many wavelets from memory to memory, two at a time: what a sender keeps for itself."""
    return Cost(collective=ceil(count / 2)) + software(link)


def turn(link: Link, hops: int, count: int, *, first: bool) -> Cost:
    """A sender that is done frees the path for the next one, `hops` away, by a control wavelet.

    The first one copies its own before it hears the next one, for whom all then wait; queues take what is short.
    """
    late = software(link) * 2 if first and count > _HELD else ZERO
    return Cost(collective=link.ramp_cycles.value + 1) + distance(link, hops) + late


def arrival(link: Link, hops: int) -> Cost:
    """From the last wavelet that leaves a sender to the farthest core that hears it."""
    return Cost(collective=link.multicast_start_cycles.value) + distance(link, hops)
