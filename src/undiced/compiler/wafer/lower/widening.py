"""Gives products with integer weights a place to widen them in: many rows by one operation, and not each by its own."""

from __future__ import annotations

from math import prod

from msgspec.structs import replace

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.integers import row_length
from undiced.program.wafer.layout import Dim
from undiced.program.wafer.program import Stream
from undiced.program.wafer.value import GROUPS, DType, Value, local_shape

_SCRATCH = 1024  # elements; at least a row


def widened(stream: Stream) -> Stream:
    """The stream with a scratch for each of its products that has integer weights."""
    values = {value.name: value for value in stream.values}
    instructions = tuple(_with_scratch(i, values) if isinstance(i, isa.Product) else i for i in stream.instructions)
    return replace(stream, values=tuple(values.values()), instructions=instructions)


def _with_scratch(i: isa.Product, values: dict[str, Value]) -> isa.Product:
    integers = [values[name] for name in i.weights if values[name].dtype in GROUPS]
    if not integers:
        return i
    rows = max(row_length(value, i.inner) for value in integers)
    size = min(max(rows, _SCRATCH), max(prod(local_shape(value)) for value in integers))
    name = f"{i.weights[0]}.widened"
    while name in values:
        name += "'"
    values[name] = Value(name, (Dim("flat", size),), DType.F16, once=True)
    return replace(i, scratch=name)
