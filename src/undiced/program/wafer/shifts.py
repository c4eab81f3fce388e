"""The work of products by shifted tiles: what every step multiplies, and what passes meanwhile."""

from __future__ import annotations

from math import prod

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES, Haul, Ring, Vectors, Work

PRODUCT_TASKS = 4  # scheduled tasks that end a step: both tiles in, both out joined, next step
SCORE_TASKS = 3  # one tile less
ALIGN_TASKS = 2
HOPS = 2  # of a step: neighbors of the order are interleaved on the line


def ring(side: int) -> tuple[int, ...]:
    """Places of a line in the order in which they are neighbors: two apart, one way and then the other."""
    return (*range(0, side, 2), *range(side - 1 - side % 2, 0, -2))


def shift_product(i: isa.ShiftProduct, s: Shares) -> Work:
    """A step multiplies two tiles by one looped vector operation an element of the passing `a`."""
    steps = _cores(i.x, s)
    aligning = 0 if i.aligned else steps // 2
    tiles = tuple(s.size(name) * _size(name, s) for name in (i.x, i.a))
    tasks = PRODUCT_TASKS * steps + ALIGN_TASKS * aligning
    return Work(_multiplied(i, steps, s), tasks=tasks, ring=Ring(steps, tiles, HOPS, aligning))


def shift_scores(i: isa.ShiftScores, s: Shares) -> Work:
    """A step multiplies the own tile by one that passes, and joins what the row makes: received, sent, cleared."""
    steps, made = _cores(i.x, s), s.size(i.result)
    dtype = s.values[i.result].dtype
    size = BYTES[dtype]
    joined = Vectors("add", dtype, dtype, made, 2 * steps, 0, 2 * size, size)
    cleared = Vectors("move", dtype, dtype, made, steps, 0, 0, size)
    ring = Ring(steps, (s.size(i.a) * _size(i.a, s),), HOPS, 0, Line(Axis.COLUMNS, steps), int(made * size))
    return Work((*_multiplied(i, steps, s), joined, cleared), tasks=SCORE_TASKS * steps, ring=ring)


def _multiplied(i: isa.ShiftProduct | isa.ShiftScores, steps: int, s: Shares) -> tuple[Vectors, ...]:
    """Sums lie in memory, cleared at first; a step's loop loads descriptors for each input."""
    operand, dtype = s.values[i.x].dtype, s.values[i.result].dtype
    length = prod(size for name, size in zip(s.names(i.x), s.shape(i.x), strict=True) if name in s.names(i.result))
    inner, made = s.size(i.x) // length, s.size(i.result)
    count = made // length * inner * steps
    cleared = Vectors("move", dtype, dtype, made, 1, 1, 0, BYTES[dtype])
    added = Vectors(
        "multiply_add", operand, dtype, length, count, inner * steps, BYTES[operand], 0, sums=count, added=True,
        unpinned=True,
    )  # fmt: skip
    return cleared, added


def _cores(name: str, s: Shares) -> int:
    """Cores of a side."""
    return s.values[name].columns[0].ways


def _size(name: str, s: Shares) -> int:
    return int(BYTES[s.values[name].dtype])


def causal(i: isa.Causal, s: Shares) -> Work:
    """A comparison and a choice."""
    dtype = s.values[i.a].dtype
    size, length = BYTES[dtype], s.size(i.a)
    compared = Vectors("maximum", dtype, dtype, length, s.step.size, 1, size, size)
    return Work((compared, Vectors("move", dtype, dtype, length, s.step.size, 1, 2 * size, size)))


def read(i: isa.Read, s: Shares) -> Work:
    """All rows over the host's links."""
    whole = prod(dim.size for dim in s.values[i.result].dims) * BYTES[DType(s.values[i.result].dtype)]
    return Work(haul=Haul((s.size(i.result) * _size(i.result, s),), host_bytes=int(whole)))
