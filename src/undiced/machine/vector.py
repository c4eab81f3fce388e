"""What a core's local operations cost: vector operations by kind, scalars, tasks. Closed forms over `CostModel`.

A vector operation costs its set-up plus the slowest of lanes, read port and write port (facts of the core). The `kind`
parameter of a VECTOR instruction is a code of `Kind` plus modifiers that say what scales with the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import ceil

from undiced.machine.cost import Cost, CostModel


class Kind(IntEnum):
    """Codes of local operations. Never renumber: saved programs hold them."""

    FMA16 = 0  # y += a * w, y of 16 bits in memory, w of element_bytes
    FMA32 = 1  # the same, y of 32 bits
    MUL = 5  # elementwise, two operands in, one out
    COPY = 6  # one in, one out
    FILL = 7  # one out
    SUM = 8  # into one scalar: one element per cycle
    TRANSCENDENTAL = 9  # library scalars: exponential, division, square root
    SCALAR_STEP = 10  # compare and branch


KIND_MASK = 0xFF
LENGTH_PER_POSITION = 1 << 8  # length counts per KV position that a core holds
COUNT_PER_POSITION = 1 << 9  # count does
OVERLAP = 1 << 10  # runs while the shifts just before it are under way


@dataclass(frozen=True, slots=True)
class Shape:
    """Bytes an element moves through the ports, and the lanes it uses."""

    read: int  # bytes of operands kept in memory besides element_bytes ones
    elements_read: int  # operands of element_bytes
    write: int
    elements_written: int
    wide: bool  # 32-bit lanes


_SHAPES: dict[Kind, Shape] = {
    Kind.FMA16: Shape(2, 1, 2, 0, False),
    Kind.FMA32: Shape(4, 1, 4, 0, True),
    Kind.MUL: Shape(0, 2, 0, 1, False),
    Kind.COPY: Shape(0, 1, 0, 1, False),
    Kind.FILL: Shape(0, 0, 0, 1, False),
}


def stream_cycles(model: CostModel, kind: Kind, length: int, element_bytes: int) -> float:
    """Cycles of the elements of one operation, without its set-up."""
    if kind is Kind.SUM:
        return float(length)
    shape = _SHAPES[kind]
    wide = shape.wide or element_bytes > 2
    return float(
        max(
            ceil(length / lanes(model, wide)),
            ceil(length * (shape.read + shape.elements_read * element_bytes) / model.read_bytes),
            ceil(length * (shape.write + shape.elements_written * element_bytes) / model.write_bytes),
        )
    )


def lanes(model: CostModel, wide: bool) -> float:
    """Elements a cycle of the arithmetic unit."""
    return model.lanes_32bit if wide else model.lanes_16bit


def vector_cost(model: CostModel, kind: Kind, count: float, length: int, element_bytes: int) -> Cost:
    """`count` operations over `length` elements. Scalars have no set-up: `length` library calls or steps each."""
    if count <= 0 or length <= 0:
        return Cost()
    if kind is Kind.TRANSCENDENTAL:
        return Cost(compute=count * length * model.transcendental)
    if kind is Kind.SCALAR_STEP:
        return Cost(compute=count * length * model.scalar_step)
    return Cost(compute=count * stream_cycles(model, kind, length, element_bytes), overhead=count * model.vector_setup)
