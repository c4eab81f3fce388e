"""What collectives over lines of cores cost, as closed forms over `CostModel`. Knows lines, not what is summed.

Every dependent step costs two ramps, one cycle, its hops and `step_software`; a collective as a whole costs
`collective_entry`, a multicast its own start and skew. A root takes its two arms one after the other, so a payload
crosses its ramp twice a phase.
"""

from __future__ import annotations

from math import ceil

from undiced.machine.cost import ZERO, Cost, CostModel, longest

TWO_TREE_DUAL = 1  # published: chains in groups, a chain of roots, two sends of the result, one each way
TWO_TREE = 2  # the same with one multicast of the result both ways
ALGORITHM_MASK = 0xF
ELEMENTS_PER_POSITION = 1 << 16  # elements count per KV position that a core holds


def repeats(code: int, positions: int) -> int:
    """How often an instruction's elements count: once, or (by its `code`) for every KV position that a core holds."""
    return positions if code & ELEMENTS_PER_POSITION else 1


def wavelets_of(model: CostModel, elements: int, element_bytes: int) -> int:
    """Wavelets that carry the elements, packed."""
    return ceil(elements * element_bytes / model.wavelet_bytes)


def _step(model: CostModel, hops: float) -> Cost:
    return Cost(collective=2 * model.ramp + 1, overhead=model.step_software, hops=hops * model.hop)


def _payload(model: CostModel, wavelets: float) -> Cost:
    return Cost(collective=wavelets / model.link_rate)


def _chain(model: CostModel, size: int, hops: int, wavelets: int) -> Cost:
    """Both arms of a chain of `size` members, `hops` apart, into the member of index size // 2, one after the other."""
    root = size // 2
    upper, lower = _step(model, hops) * root, _step(model, hops) * (size - 1 - root)
    payload = _payload(model, wavelets)
    if size - 1 - root == 0:
        return upper + payload
    return longest(lower + payload, upper) + payload + Cost(overhead=model.step_software)


def chain(model: CostModel, size: int, wavelets: int) -> Cost:
    """A chain along a whole line, from one end into the other."""
    return _step(model, 1) * (size - 1) + _payload(model, wavelets)


def multicast(model: CostModel, wavelets: int, distance: int) -> Cost:
    """One send that every core within `distance` hops hears."""
    start = Cost(collective=model.multicast_start, overhead=model.multicast_skew, hops=distance * model.hop)
    return _payload(model, wavelets) + start


def two_tree(model: CostModel, span: int, groups: int, wavelets: int, dual: bool) -> Cost:
    """The published allreduce over a line of `span` cores in `groups` equal groups."""
    group = span // groups
    root = groups // 2 * group + group // 2
    local = _chain(model, group, 1, wavelets) if group > 1 else ZERO
    roots = _chain(model, groups, group, wavelets) if groups > 1 else ZERO
    far, near = root, span - 1 - root
    if not dual:
        return local + roots + multicast(model, wavelets, max(far, near))
    first = multicast(model, wavelets, far)
    second = multicast(model, wavelets, near) + _payload(model, wavelets) + Cost(overhead=model.step_software)
    return local + roots + longest(first, second)


def allreduce(model: CostModel, span: int, groups: int, algorithm: int, wavelets: int) -> Cost:
    """An ALLREDUCE instruction over lines of `span` cores; `wavelets` after packing."""
    if span <= 1 or wavelets <= 0:
        return ZERO
    entry, dual = Cost(overhead=model.collective_entry), algorithm & ALGORITHM_MASK == TWO_TREE_DUAL
    return entry + two_tree(model, span, groups, wavelets, dual)


def shift_wire(model: CostModel, wavelets: int, hops: int) -> Cost:
    """One step of a cyclic shift: every core passes its tile `hops` on, all at once."""
    return _payload(model, wavelets) + Cost(collective=2 * model.ramp + 1, hops=hops * model.hop)
