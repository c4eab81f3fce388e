"""Gives products with narrow weights a place to widen them in: some rows by one operation, and not each by its own.

It holds as many rows as the store beside the datapath has room for while the sums of one lie there, too. Where a single
row has none, it lies in memory, and is larger.
"""

from __future__ import annotations

from math import prod

from msgspec.structs import replace

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.integers import row_length
from undiced.program.wafer.layout import Dim
from undiced.program.wafer.program import Stream
from undiced.program.wafer.value import GROUPS, DType, Value, local_shape
from undiced.program.wafer.work import BYTES

_IN_MEMORY = 1024  # elements; at least a row


def widened(stream: Stream, cache_bytes: int = 0, chunk: int = 1) -> Stream:
    """The stream with a scratch for each of its products that has narrow weights.

    Args:
        cache_bytes: the store beside the datapath. chunk: tokens that a product takes together at most.
    """
    values = {value.name: value for value in stream.values}
    instructions = tuple(
        _with_scratch(i, values, cache_bytes, chunk) if isinstance(i, isa.Product) else i for i in stream.instructions
    )
    return replace(stream, values=tuple(values.values()), instructions=instructions)


def _with_scratch(i: isa.Product, values: dict[str, Value], cache_bytes: int, chunk: int) -> isa.Product:
    weights = [values[name] for name in i.weights if values[name].dtype in GROUPS]
    if not weights:
        return i
    row = sum(row_length(value, i.inner) for value in weights)
    sums = max(row, chunk) * max(int(BYTES[values[name].dtype]) for name in i.results)
    fitting = (cache_bytes - sums) // int(BYTES[DType.F16] * row) * row
    size = min(fitting if fitting > 0 else max(row, _IN_MEMORY), sum(prod(local_shape(value)) for value in weights))
    name = f"{i.weights[0]}.widened"
    while name in values:
        name += "'"
    values[name] = Value(name, (Dim("flat", size),), DType.F16, once=True)
    return replace(i, scratch=name)
