"""What published microbenchmarks time: a multicast between time stamps, a column to one core and back, kernel bodies.

A multicast, and the vector operations of a body, cost what programs pay for them. Knows no published value.
"""

from __future__ import annotations

from undiced.machine import lines
from undiced.machine.arithmetic import vector_cost
from undiced.machine.cost import ZERO, Cost
from undiced.machine.link import Link
from undiced.machine.wafer import Wafer
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import Arithmetic, Vectors


def line_multicast(link: Link, wavelets: int, distance: int, late: bool) -> Cost:
    """One send that every core within `distance` hops hears; `late`: with skew and dispatch."""
    start = lines.dispatch(link) if late else ZERO
    return start + lines.payload(link, wavelets) + lines.arrival(link, distance)


def line_multicast_timed(wafer: Wafer, payload_bytes: int, cores: int, late: bool) -> float:
    """A multicast along a line between two time stamps, in cycles; `late`: the median mode, with skew and dispatch."""
    wavelets = lines.wavelets(wafer.link, payload_bytes)
    return wafer.link.timer_cycles.value + line_multicast(wafer.link, wavelets, max(cores - 1, 1), late).cycles


def line_chain(link: Link, cores: int, wavelets: int) -> Cost:
    """A chain along a whole line, from one end into the other: what one arm of a level takes."""
    arm = lines.slice_cost(link, Tree(2, (Level(2),)), 0, 0).cycles - 1  # one step without a payload
    return Cost(collective=arm * (cores - 1)) + lines.payload(link, wavelets)


def line_allreduce(link: Link, tree: Tree, wavelets: int) -> Cost:
    """Joined by a tree, then sent one way and the other."""
    joined = lines.entry(link) + lines.slice_cost(link, tree, 0, wavelets)
    there = lines.dispatch(link) + lines.payload(link, wavelets) + lines.arrival(link, tree.span // 2)
    return joined + there + lines.again(link, wavelets)


def column_round_trip(wafer: Wafer, cores: int, words: int) -> float:
    """A column gathered word by word into one core by data tasks, and sent back by a scalar loop, in cycles."""
    emit = wafer.core.emit_cycles.value
    each = wafer.core.data_task_cycles.value + emit
    return cores * (words * each - wafer.link.column_overlap_words.value * emit)


def tile_product(wafer: Wafer, products: int, iterations: int, length: int) -> float:
    """One step of a shifted product: looped multiply-adds of `length` fp16 values into fp32 sums, in cycles."""
    looped = Vectors(
        "multiply_add", DType.F16, DType.F32, length, products, iterations, 2, 0, sums=products, added=True,
        unpinned=True,
    )  # fmt: skip
    return vector_cost(wafer.core, looped).cycles


def gemv(wafer: Wafer, inputs: int, outputs: int) -> float:
    """A core's part of a matrix-vector product, all of it in 16 bits, in cycles."""
    looped = Vectors(
        "multiply_add", DType.F16, DType.F16, outputs, inputs, 0, 2, 0, sums=inputs, added=True, unpinned=True
    )
    return vector_cost(wafer.core, looped).cycles


def _straight(wafer: Wafer, arithmetic: Arithmetic, length: int, count: int) -> float:
    one = Vectors(arithmetic, DType.F32, DType.F32, length, 1, 1, 8, 4)
    return count * vector_cost(wafer.core, one).cycles


def rotation(wafer: Wafer, pairs: int, length: int) -> float:
    """Pairs rotated one by one, four products and two sums of `length` fp32 elements each, in cycles."""
    return _straight(wafer, "multiply", length, 4 * pairs) + _straight(wafer, "add", length, 2 * pairs)


def activation(wafer: Wafer, multiplications: int, additions: int, length: int) -> float:
    """A polynomial over `length` fp32 elements by straight-line vector operations, in cycles."""
    return _straight(wafer, "multiply", length, multiplications) + _straight(wafer, "add", length, additions)
