"""Rules of rows that are widened ahead: whole rows of words, of narrow weights that one operation multiplies."""

from __future__ import annotations

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.ahead import rows_of_product, rows_of_widen
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.operands import is_of
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import DType, Kind


def widen(i: isa.Widen, s: Scope) -> Faults:
    """Weights of one narrow type with rows of the same number, and room for what becomes of them."""
    for name in i.weights:
        yield from is_of(s, name, (Kind.WEIGHT,), "weights")
    first = s.values[i.weights[0]] if i.weights else None
    if first is None or first.dtype not in FIELDS or any(s.values[n].dtype is not first.dtype for n in i.weights):
        yield Fault(f"weights {', '.join(i.weights)} are not of one narrow type")
        return
    rows = rows_of_widen(i, s.values)
    sizes = {s.shares.size(name) // max(length, 1) for name, length in zip(i.weights, rows.lengths, strict=True)}
    if sizes != {rows.count} or (i.interleaved and len(set(rows.lengths)) > 1):
        yield Fault(f"rows of {', '.join(i.weights)} do not lie side by side")
    if not (i.start >= 0 and i.count > 0 and i.start + i.count <= rows.words and i.together > 0):
        yield Fault(f"it widens rows of words {i.start} to {i.start + i.count}, of {rows.words}")
    if s.values[i.result].dtype is not DType.F16 or s.shares.size(i.result) != i.count * rows.pitch:
        yield Fault(f"{i.result} has no room for {i.count * rows.pitch} 16-bit floats")


def taken_ahead(i: isa.Product, s: Scope) -> Faults:
    """What a product reads of rows that are widened already."""
    if not i.ahead:
        return
    rows = rows_of_product(i, s.shares)
    if rows is None:
        yield Fault(f"no rows of {', '.join(i.weights)} can be widened ahead")
        return
    size = s.shares.size(i.ahead)
    if s.values[i.ahead].dtype is not DType.F16 or size % rows.pitch or not 0 < size // rows.pitch <= rows.words:
        yield Fault(f"{i.ahead} does not hold whole rows of 16-bit floats")
