"""The work of movers: what they carry over lines, from whom, by which tree.

The operation that sends or receives a value converts it, too. Terms that a core adds to what passes must have the
wire's type before.
"""

from __future__ import annotations

from math import ceil, prod

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.elementwise import converted
from undiced.program.wafer.layout import Owner
from undiced.program.wafer.share import Shares
from undiced.program.wafer.tree import roots
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES, Haul, Vectors, Work


def _bytes(elements: int, wire: str, s: Shares) -> int:
    return ceil(elements * s.step.size * BYTES[DType(wire)])


def _elements(i: isa.Reduce | isa.Multicast, name: str, s: Shares) -> int:
    """Of a core's share: those that the step fills, or all that there is room for."""
    return (Shares(s.values, s.trees) if i.compiled else s).size(name)


def reduce(i: isa.Reduce, s: Shares) -> Work:
    """Terms take the wire's type before they travel; every slice takes its elements and all riders.

    Of two lists the largest are found one by one, in their order; of two pairs by four maxima and minima.
    """
    part = s.roots(i.result)
    assert part is not None, i
    tree = s.trees[part.tree]
    pieces = (_bytes(_elements(i, i.result, s), i.wire, s),) * tree.slices
    merging = s.size(i.a) // s.shape(i.a)[0] * s.step.size if i.operation == "top" else 0
    haul = Haul(pieces, i.line, tree, merging=merging, joining=_joining(i, s))
    return Work(converted(s, s.values[i.a].dtype, DType(i.wire), _elements(i, i.a, s)), haul=haul)


def _joining(i: isa.Reduce, s: Shares) -> tuple[Vectors, ...]:
    if i.operation != "two":
        return ()
    dtype = s.values[i.result].dtype
    length = s.size(i.result) // 2 * s.step.size
    return (Vectors("maximum", dtype, dtype, length, 4, 4, 2 * BYTES[dtype], BYTES[dtype], 2),)


def multicast(i: isa.Multicast, s: Shares) -> Work:
    """Each root sends what it has of the value; where all have the same, the first does. Owners of a chunk's tokens
    send in the order of their places."""
    part, held, wanted = s.roots(i.a), _elements(i, i.a, s), _elements(i, i.result, s)
    if part is None:
        places = _owners(i, s)
        piece = ceil(held * s.step.sequences * BYTES[DType(i.wire)])
        return Work(haul=Haul((piece,) * max(1, len(places)), i.line, senders=places or None))
    places = roots(s.trees[part.tree])
    if part.whole or held == wanted:
        places = places[:1]
    pieces, left = [], wanted
    for _ in places:
        pieces.append(_bytes(max(0, min(held, left)), i.wire, s))
        left -= held
    return Work(haul=Haul(tuple(pieces), i.line, senders=places))


def _owners(i: isa.Multicast, s: Shares) -> tuple[int, ...]:
    """Where a chunk's tokens have their owners, at worst: those of ids anywhere along the line, those of positions side
    by side, but for one that begins the line anew."""
    tokens, last = s.step.tokens, i.line.span - 1
    if tokens == 1:
        return ()
    owner = next(part for part in (*s.values[i.a].rows, *s.values[i.a].columns) if isinstance(part, Owner))
    if owner.index == "token":
        return tuple(round(n * last / (tokens - 1)) for n in range(tokens))
    return tuple(sorted((last + n) % i.line.span for n in range(tokens)))


def transfer(i: isa.Transfer, s: Shares) -> Work:
    """A row's elements over each row."""
    whole = prod(dim.size for dim in s.values[i.result].dims)
    haul = Haul(
        (_bytes(s.size(i.result), i.wire, s),), hops=i.distance, off_wafer_bytes=_bytes(whole, i.wire, s) * i.off_wafer
    )
    return Work(haul=haul)


def return_(i: isa.Return, s: Shares) -> Work:
    """The ids of the tokens."""
    size = _bytes(s.size(i.a), DType.I32, s)
    return Work(haul=Haul((size,), hops=i.distance, off_wafer_bytes=size * i.off_wafer))


def rebind(i: isa.Rebind, s: Shares) -> Work:
    """One queue."""
    return Work(rebinds=1)


def repaint(i: isa.Repaint, s: Shares) -> Work:
    """A register for each of the two colors of every level of the tree, and one for what its root sends."""
    return Work(writes=2 * len(s.trees[i.after].levels) + 1)
