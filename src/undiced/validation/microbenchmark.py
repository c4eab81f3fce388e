"""What published microbenchmarks time: a multicast between time stamps, a column to one core and back, kernel bodies.

A multicast, and the vector operations of a body, cost what programs pay for them. Knows no published value.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from undiced.machine.collective import multicast
from undiced.machine.core import Core
from undiced.machine.cost import CostModel
from undiced.machine.vector import Kind, vector_cost


def line_multicast_timed(model: CostModel, payload_bytes: int, cores: int, late: bool) -> float:
    """A multicast along a line between two time stamps, in cycles; `late`: the median mode, with skew and dispatch."""
    seen = model if late else replace(model, multicast_skew=0.0)
    wavelets = ceil(payload_bytes / model.wavelet_bytes)
    return model.timer + multicast(seen, wavelets, max(cores - 1, 1)).cycles


def column_round_trip(model: CostModel, cores: int, words: int) -> float:
    """A column gathered word by word into one core by data tasks, and sent back by a scalar loop, in cycles."""
    each = model.data_task + model.emit
    return cores * (words * each - model.column_overlap_words * model.emit)


def tile_product(model: CostModel, products: int, iterations: int, length: int) -> float:
    """One step of a shifted product: looped multiply-adds of `length` fp16 values into fp32 sums, in cycles."""
    return vector_cost(model, Kind.FMA32, products, length, 2).cycles + iterations * model.loop_iteration


def rotation(model: CostModel, operations: int, length: int) -> float:
    """A rotation by straight-line vector operations of `length` fp32 elements, in cycles."""
    return vector_cost(replace(model, vector_setup=model.straight_setup), Kind.MUL, operations, length, 4).cycles


def activation(model: CostModel, core: Core, multiplications: int, additions: int, length: int) -> float:
    """A polynomial over `length` fp32 elements by straight-line vector operations, in cycles."""
    multiply = ceil(length / core.fp32_multiply_per_cycle.value)
    add = ceil(length / core.lanes_32bit.value)
    return (multiplications + additions) * model.straight_setup + multiplications * multiply + additions * add
