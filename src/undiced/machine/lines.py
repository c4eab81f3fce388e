"""What movers take on their lines: closed forms over trees and senders, slice by slice.

Every dependent step costs two ramps, one cycle, its hops and the software of a step; a reduction as a whole its entry,
a multicast its start and skew. A root takes its arms one after the other, so that a payload crosses its ramp twice a
level. A core works for one slice after the other: slices follow each other at the pace of one payload and one step's
software.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

from undiced.machine.cost import ZERO, Cost, longest
from undiced.machine.link import Link
from undiced.program.wafer.tree import Tree, root_place


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
    return Cost(collective=2 * link.ramp_cycles.value + 1) + software(link) + distance(link, hops)


def _chain(link: Link, place: int, size: int, hops: int, count: int, joining: Cost) -> Cost:
    """Both arms of a chain of `size` members, `hops` apart, into the one at `place`, one arm after the other."""
    short, long = sorted((place, size - 1 - place))
    step = _step(link, hops) + joining
    if not short:
        return step * long + payload(link, count)
    near, far = step * short, step * long
    return longest(near + payload(link, count), far) + payload(link, count) + software(link) + joining


def _star(link: Link, place: int, size: int, hops: int, count: int, slices: int, joining: Cost) -> Cost:
    """Every member sends to the root: a control wavelet frees the path, the root adds each by itself.

    Beside each other, `slices` trees share the links.
    """
    farthest = max(place, size - 1 - place)
    setup = joining + Cost(overhead=0.0 if count == 1 else link.star_member_cycles.value)
    one = payload(link, count) + Cost(collective=1.0)
    ramp_bound = (one + setup) * (size - 1) + distance(link, hops)
    distance_bound = payload(link, count) + setup + distance(link, farthest * hops)
    link_bound = one * crossings(size, hops, slices) + distance(link, hops)
    return longest(ramp_bound, distance_bound, link_bound) + _step(link, 0)


@lru_cache(maxsize=4096)
def crossings(size: int, hops: int, slices: int) -> int:
    """How often the busiest link of a star is crossed one way, when `slices` stars of `size` members share its line.

    In a first level (members one hop apart) the roots are spread over the group, as far as there are members enough;
    in later ones they are as near to each other as in the first, so that every crossing is towards all of them.
    """
    if hops > 1 or size < slices:
        return slices * (size // 2)
    roots = [(2 * i + 1) * size // (2 * slices) for i in range(slices)]
    right = (link * sum(root >= link for root in roots) for link in range(1, size))
    left = ((size - link) * sum(root < link for root in roots) for link in range(1, size))
    return max((*right, *left), default=0)


@lru_cache(maxsize=1 << 14)
def level_costs(link: Link, tree: Tree, which: int, count: int, joining: Cost = ZERO) -> tuple[Cost, ...]:
    """Each level of one slice of `count` wavelets, as if it had every core to itself.

    Levels share two colors by switching routes: one control wavelet each. `joining` is what a core does for each
    payload that it receives beside adding it as it comes.
    """
    out, hops, members = [], 1, tree.span
    for number, level in enumerate(tree.levels):
        size = min(level.size, members)
        if size > 1:
            place = root_place(size, tree.slices, which, number)
            if level.star:
                cost = _star(link, place, size, hops, count, tree.slices, joining)
            else:
                cost = _chain(link, place, size, hops, count, joining)
            out.append(cost + Cost(collective=1.0))
        hops, members = hops * size, ceil(members / size)
    return tuple(out)


def slice_cost(link: Link, tree: Tree, which: int, count: int, joining: Cost = ZERO) -> Cost:
    """One slice of `count` wavelets from its terms to its root."""
    return sum(level_costs(link, tree, which, count, joining), ZERO)


def engaged(link: Link, tree: Tree, count: int, joining: Cost = ZERO) -> Cost:
    """How long a reduction of `count` wavelets a slice keeps the next one out of its tree.

    Levels take two colors in turn: a router has the color back for a level once the level after the next has passed.
    """
    costs = level_costs(link, tree, 0, count, joining)
    turns = [sum(costs[first : first + 3], ZERO) for first in range(max(len(costs) - 2, 0))]
    return longest(ZERO, *costs, *turns)


def entry(link: Link) -> Cost:
    """What a reduction costs once, whatever its steps."""
    return Cost(overhead=link.collective_entry_cycles.value)


def dispatch(link: Link) -> Cost:
    """What a multicast costs before its first wavelet leaves."""
    return Cost(overhead=link.multicast_skew_cycles.value)


def pace(link: Link, count: int) -> Cost:
    """From a slice of `count` wavelets to the next: what each core does for it."""
    return payload(link, count) + software(link)


def turn(link: Link, hops: int) -> Cost:
    """A sender that is done frees the path for the next one, `hops` away, by a control wavelet."""
    return Cost(collective=link.ramp_cycles.value + 1) + distance(link, hops)


def arrival(link: Link, hops: int) -> Cost:
    """From the last wavelet that leaves a sender to the farthest core that hears it."""
    return Cost(collective=link.multicast_start_cycles.value) + distance(link, hops)
