"""What collectives over lines of cores cost, as closed forms over `CostModel`. Knows lines, not what is summed.

Every dependent step costs two ramps, one cycle, its hops and `step_software`; a collective as a whole costs
`collective_entry`, a multicast its own start and skew. A root takes its two arms one after the other, so a payload
crosses its ramp twice a phase. The published two-tree and our level trees share these forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from undiced.machine.cost import ZERO, Cost, CostModel, longest

TWO_TREE_DUAL = 1  # published: chains in groups, a chain of roots, two sends of the result, one each way
TWO_TREE = 2  # the same with one multicast of the result both ways
LEVELS = 3  # ours: up to three levels of chains or stars; then one multicast
FOUR_LEVELS = 4  # the same with four, all but the first of at most 127 members
ALGORITHM_MASK = 0xF
ELEMENTS_PER_POSITION = 1 << 16  # elements count per KV position that a core holds
AHEAD = 1 << 17  # a reduction that went ahead of a product and arrives before its sums: only its share of a core's time
_LEVEL_BITS = {LEVELS: (10, 10, 10), FOUR_LEVELS: (10, 7, 7, 7)}  # of the `groups` parameter
SENDER_GAP = 2  # hops from one root of a sliced tree to the next: they are spread over a group of about twice as many
_SLICES_SHIFT, _SLICES_MASK = 8, 0xF


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a reduction tree: `size` members per group; a chain adds as it goes, a star sends to the root."""

    size: int
    star: bool = False


def pack_levels(levels: tuple[Level, ...]) -> tuple[int, int]:
    """Levels as the `groups` and `algorithm` parameters of an instruction."""
    code = LEVELS if len(levels) <= len(_LEVEL_BITS[LEVELS]) else FOUR_LEVELS
    groups, shift = 0, 0
    for level, bits in zip(levels, _LEVEL_BITS[code], strict=False):
        groups, shift = groups | level.size << shift, shift + bits
    stars = sum(int(level.star) << i for i, level in enumerate(levels))
    return groups, code | stars << 4


def unpack_levels(groups: int, algorithm: int) -> tuple[Level, ...]:
    """The inverse of `pack_levels`."""
    out = []
    for i, bits in enumerate(_LEVEL_BITS[algorithm & ALGORITHM_MASK]):
        size, groups = groups & (1 << bits) - 1, groups >> bits
        if size:
            out.append(Level(size, bool(algorithm >> (4 + i) & 1)))
    return tuple(out)


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


def _star(model: CostModel, size: int, hops: int, wavelets: int, slices: int = 1) -> Cost:
    """Every member sends to the root: a control wavelet frees the path, the root adds each by itself.

    Beside each other, `slices` trees share the links: `crossings` of one link, one way.
    """
    root = size // 2
    setup = 0.0 if wavelets == 1 else model.star_member
    ramp_bound = Cost(
        collective=(size - 1) * (wavelets / model.link_rate + 1), overhead=(size - 1) * setup, hops=hops * model.hop
    )
    distance_bound = _payload(model, wavelets) + Cost(overhead=setup, hops=root * hops * model.hop)
    crossing = crossings(size, hops, slices) * (wavelets / model.link_rate + 1)
    link_bound = Cost(collective=crossing, hops=hops * model.hop)
    return longest(ramp_bound, distance_bound, link_bound) + _step(model, 0)


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


def multicast(model: CostModel, wavelets: int, distance: int, senders: int = 1) -> Cost:
    """One send that every core within `distance` hops hears.

    Of several neighboring `senders` each frees the path for the next by a control wavelet, so that one stream arrives.
    """
    turns = Cost(collective=model.ramp + 1, hops=SENDER_GAP * model.hop) * (senders - 1)
    return (
        _payload(model, wavelets)
        + Cost(collective=model.multicast_start, overhead=model.multicast_skew, hops=distance * model.hop)
        + turns
    )


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


def level_reduce(model: CostModel, span: int, levels: tuple[Level, ...], wavelets: int, slices: int = 1) -> Cost:
    """Our reduction: level i joins groups of level i - 1, whose roots are as far apart as those groups are wide.

    Levels share colors by switching routes: one control wavelet each. With `slices`, as many trees with neighboring
    roots each take a slice of the payload; a core works for one after the other.
    """
    total, hops, members = ZERO, 1, span
    share = ceil(wavelets / slices)
    for level in levels:
        size = min(level.size, members)
        if size > 1:
            cost = _star(model, size, hops, share, slices) if level.star else _chain(model, size, hops, share)
            total += cost + Cost(collective=1.0)
        hops, members = hops * size, ceil(members / size)
    return total + (_payload(model, share) + Cost(overhead=model.step_software)) * (slices - 1)


def level_tree(model: CostModel, span: int, levels: tuple[Level, ...], wavelets: int) -> Cost:
    """Our allreduce: the reduction, then one send from the root both ways."""
    return level_reduce(model, span, levels, wavelets) + multicast(model, wavelets, span // 2)


def covers(span: int, levels: tuple[Level, ...]) -> bool:
    """Whether the levels join the whole line into one root."""
    reach = 1
    for level in levels:
        reach *= level.size
    return reach >= span


def allreduce(model: CostModel, span: int, groups: int, algorithm: int, wavelets: int) -> Cost:
    """An ALLREDUCE instruction over lines of `span` cores; `wavelets` after packing."""
    if span <= 1 or wavelets <= 0:
        return ZERO
    kind, entry = algorithm & ALGORITHM_MASK, Cost(overhead=model.collective_entry)
    if kind in _LEVEL_BITS:
        return entry + level_tree(model, span, unpack_levels(groups, algorithm), wavelets)
    return entry + two_tree(model, span, groups, wavelets, kind == TWO_TREE_DUAL)


def reduce(model: CostModel, span: int, groups: int, algorithm: int, wavelets: int) -> Cost:
    """A REDUCE instruction: level trees only, their number of slices in the algorithm's high bits."""
    if span <= 1 or wavelets <= 0:
        return ZERO
    if algorithm & AHEAD:
        return _payload(model, wavelets) + Cost(overhead=model.step_software)
    cost = level_reduce(model, span, unpack_levels(groups, algorithm), wavelets, slices_of(algorithm))
    return cost + Cost(overhead=model.collective_entry)


def with_slices(algorithm: int, slices: int) -> int:
    """`algorithm` for a reduction by several trees with neighboring roots."""
    return algorithm | slices << _SLICES_SHIFT


def slices_of(algorithm: int) -> int:
    """How many trees share a reduction."""
    return max(1, algorithm >> _SLICES_SHIFT & _SLICES_MASK)


def shift_wire(model: CostModel, wavelets: int, hops: int) -> Cost:
    """One step of a cyclic shift: every core passes its tile `hops` on, all at once."""
    return _payload(model, wavelets) + Cost(collective=2 * model.ramp + 1, hops=hops * model.hop)


def level_cycles(model: CostModel, size: int, star: bool, hops: int, wavelets: int, slices: int = 1) -> float:
    """One level of a tree in plain arithmetic, for searches; a test holds it equal to `level_reduce`."""
    if size <= 1:
        return 0.0
    step, payload = 2 * model.ramp + 1 + model.step_software, wavelets / model.link_rate
    root, each = size // 2, hops * model.hop
    if star:
        setup = 0.0 if wavelets == 1 else model.star_member
        ramp, link = (size - 1) * (payload + 1 + setup), crossings(size, hops, slices) * (payload + 1)
        return max(max(ramp, link) + each, payload + setup + root * each) + step + 1
    lower = size - 1 - root
    if not lower:
        return root * (step + each) + payload + 1
    return max(lower * (step + each) + payload, root * (step + each)) + payload + model.step_software + 1
