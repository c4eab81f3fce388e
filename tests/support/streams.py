"""Hand-written streams of wafer programs for tests of what they cost: values by name, instructions in order."""

from __future__ import annotations

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Roots, Shard, Spread
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType, Kind, Value, View

DECODE = Step(context=64)


def value(
    name: str,
    *dims: tuple[str, int],
    dtype: DType = DType.F32,
    rows: Spread = (),
    columns: Spread = (),
    kind: Kind = Kind.ACTIVATION,
    view: View | None = None,
) -> Value:
    """A value with dimensions (name, size)."""
    return Value(name, tuple(Dim(*dim) for dim in dims), dtype, rows, columns, kind, view)


def shares(*values: Value, trees: tuple[Tree, ...] = (), step: Step = DECODE) -> Shares:
    """What cores hold of these values."""
    return Shares({v.name: v for v in values}, trees, step)


def line(span: int) -> isa.Line:
    """Whole rows of cores."""
    return isa.Line(Axis.COLUMNS, span)


def sliced_sum(span: int, elements: int, slices: int) -> tuple[Tree, tuple[Value, ...]]:
    """A tree of two levels, terms "sum.terms", their sum "sum.roots" at its roots, and "sum" on the whole line."""
    tree = Tree(span, (Level(8), Level(-(-span // 8), star=True)), slices)
    terms = value("sum.terms", ("flat", elements), columns=(Partial("sum", span),))
    roots = value("sum.roots", ("flat", elements), columns=(Roots(span, 0),))
    return tree, (terms, roots, value("sum", ("flat", elements)))


__all__ = ["DECODE", "Shard", "line", "shares", "sliced_sum", "value"]
