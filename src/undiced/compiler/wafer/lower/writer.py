"""Writes one stream: declares values and appends instructions. Knows the language of programs, not what is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from undiced.compiler.wafer.lower.grid import Grid
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Roots, Spread
from undiced.program.wafer.program import Stream
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType, Kind, Value, View, Weights

Wire = Literal["f32", "f16"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Element types: of weights, local sums, caches, and partial sums on wires."""

    weights: DType = DType.F16
    sums: DType = DType.F32
    caches: DType = DType.F16
    wire: Wire = "f32"


@dataclass(slots=True)
class Trees:
    """The trees of a program, each once."""

    found: list[Tree] = field(default_factory=list)

    def index(self, tree: Tree) -> int:
        """Its number, new or known."""
        if tree not in self.found:
            self.found.append(tree)
        return self.found.index(tree)


@dataclass(slots=True)
class Writer:
    """One stream in the making. `node` is the graph's node that instructions belong to."""

    grid: Grid
    numbers: Numbers
    trees: Trees
    node: str = ""
    values: dict[str, Value] = field(default_factory=dict)
    instructions: list[isa.Instruction] = field(default_factory=list)

    def stream(self, name: str) -> Stream:
        """The finished stream."""
        return Stream(name, tuple(self.values.values()), tuple(self.instructions))

    def emit(self, instruction: isa.Instruction) -> None:
        """Append an instruction."""
        self.instructions.append(instruction)

    def value(
        self,
        label: str,
        dims: tuple[Dim, ...],
        rows: Spread = (),
        columns: Spread = (),
        dtype: DType = DType.F32,
        *,
        kind: Kind = Kind.ACTIVATION,
        view: View | None = None,
    ) -> str:
        """Declare a value; returns its name, made unique."""
        name = label
        while name in self.values:
            name += "'"
        self.values[name] = Value(name, dims, dtype, rows, columns, kind, view)
        return name

    def state(self, name: str, dims: tuple[Dim, ...], rows: Spread = (), columns: Spread = ()) -> str:
        """A value that other streams of the region share by name."""
        self.values.setdefault(name, Value(name, dims, DType.F32, rows, columns, Kind.STATE))
        return name

    def weight(
        self,
        label: str,
        dims: tuple[Dim, ...],
        source: Weights,
        rows: Spread = (),
        columns: Spread = (),
        dtype: DType | None = None,
    ) -> str:
        """Declare a weight, once per name."""
        if label not in self.values:
            dtype = dtype or self.numbers.weights
            self.values[label] = Value(label, dims, dtype, rows, columns, Kind.WEIGHT, None, source)
        return label

    # What lines do

    def tree(self, span: int, slices: int = 1) -> int:
        """The tree over lines of `span` cores; routing replaces it by a better one."""
        return self.trees.index(Tree(span, (Level(span),), slices))

    def joined(
        self, name: str, line: isa.Line, operation: isa.Join = "sum", *, granule: int = 1, riders: int = 0,
        whole: bool = False, exact: bool = True,
    ) -> str:  # fmt: skip
        """Join terms over lines at the roots of a tree; returns the value at the roots."""
        a = self.values[name]
        tree = self.tree(line.span)
        part = Roots(line.span, tree, granule, riders, whole)
        rows, columns = _at_roots(a, line, part)
        result = self.value(f"{name}.sum" if operation == "sum" else f"{name}.{operation}", a.dims, rows, columns)
        wire: Wire = "f32" if exact else self.numbers.wire
        self.emit(isa.Reduce(self.node, operation, result, name, line, wire))
        return result

    def sent(
        self, name: str, line: isa.Line, label: str, dims: tuple[Dim, ...], rows: Spread, columns: Spread,
        *, exact: bool = True, view: View | None = None,
    ) -> str:  # fmt: skip
        """Send what roots or owners hold to their whole lines; returns the value that all cores then have."""
        result = self.value(label, dims, rows, columns, view=view)
        self.emit(isa.Multicast(self.node, result, name, line, "f32" if exact else self.numbers.wire))
        return result


def _at_roots(a: Value, line: isa.Line, part: Roots) -> tuple[Spread, Spread]:
    """The spreads of a value after its terms over `line` are joined: the innermost part of that axis becomes roots."""
    if line.axis is Axis.ROWS:
        return (*a.rows[:-1], part), a.columns
    return a.rows, (*a.columns[:-1], part)
