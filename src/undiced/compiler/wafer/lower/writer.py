"""Writes one stream: declares values and appends instructions. Knows the language of programs, not what is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from undiced.compiler.wafer.lower.choices import Choices, Wire
from undiced.compiler.wafer.lower.grid import Grid
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Roots, Spread
from undiced.program.wafer.program import Stream
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType, Kind, Value, View, Weights


@dataclass(slots=True)
class Trees:
    """The trees of a program: one for each kind of line and number of slices, because its routes are the same."""

    found: dict[tuple[isa.Line, int], Tree] = field(default_factory=dict)

    def index(self, line: isa.Line, slices: int) -> int:
        """Its number, new or known."""
        key = line, slices
        self.found.setdefault(key, Tree(line.span, (Level(line.span),), slices))
        return list(self.found).index(key)

    @property
    def made(self) -> tuple[Tree, ...]:
        """All of them, by number."""
        return tuple(self.found.values())


@dataclass(slots=True)
class Writer:
    """One stream in the making. `node` is the graph's node that instructions belong to."""

    grid: Grid
    choices: Choices
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
        once: bool = False,
    ) -> str:
        """Declare a value; returns its name, made unique. A view has the element type of what it lies in."""
        name, dtype = label, self.values[view.parent].dtype if view else dtype
        while name in self.values:
            name += "'"
        self.values[name] = Value(name, dims, dtype, rows, columns, kind, view, once=once)
        return name

    def state(
        self, name: str, dims: tuple[Dim, ...], rows: Spread = (), columns: Spread = (), dtype: DType = DType.F32
    ) -> str:
        """A value that other streams of the region share by name."""
        self.values.setdefault(name, Value(name, dims, dtype, rows, columns, Kind.STATE))
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
            dtype = dtype or self.choices.weights
            self.values[label] = Value(label, dims, dtype, rows, columns, Kind.WEIGHT, None, source)
        return label

    def result_is(self, name: str, state: str) -> None:
        """A state takes over what was made last, if that was `name`; else it is copied."""
        last = self.instructions[-1]
        if isinstance(last, isa.Combine | isa.Scale) and last.result == name and last.a != name:
            self.instructions[-1] = replace(last, result=state)
            del self.values[name]
        else:
            self.emit(isa.Copy(self.node, state, name))

    def capped(self, into: str, source: str, cap: float, by: Literal["vectors", "library"] = "vectors") -> None:
        """cap * tanh(source / cap)."""
        self.emit(isa.Scale(self.node, "multiply", into, source, 1.0 / cap))
        self.emit(isa.Apply(self.node, "tanh", into, into, by))
        self.emit(isa.Scale(self.node, "multiply", into, into, cap))

    # What lines do

    def tree(self, line: isa.Line, slices: int = 1) -> int:
        """The number of the tree over a kind of line; routing replaces it by a better one."""
        return self.trees.index(line, min(slices, line.span))

    def joined(
        self, name: str, line: isa.Line, operation: isa.Join = "sum", *, granule: int = 1, riders: int = 0,
        whole: bool = False, exact: bool = True, slices: int = 1,
    ) -> str:  # fmt: skip
        """Join terms over lines at the roots of a tree; returns the value at the roots."""
        a = self.values[name]
        tree = self.tree(line, slices)
        part = Roots(line.span, tree, granule, riders, whole)
        rows, columns = _at_roots(a, line, part)
        result = self.value(f"{name}.sum" if operation == "sum" else f"{name}.{operation}", a.dims, rows, columns)
        wire: Wire = "f32" if exact else self.choices.wire
        self.emit(isa.Reduce(self.node, operation, result, name, line, wire))
        return result

    def sent(
        self, name: str, line: isa.Line, label: str, dims: tuple[Dim, ...], rows: Spread, columns: Spread,
        *, exact: bool = True, view: View | None = None,
    ) -> str:  # fmt: skip
        """Send what roots or owners hold to their whole lines; returns the value that all cores then have."""
        narrow = not exact and self.choices.wire == "f16"
        result = self.value(label, dims, rows, columns, DType.F16 if narrow else DType.F32, view=view)
        self.emit(isa.Multicast(self.node, result, name, line, "f32" if exact else self.choices.wire))
        return result

    def everywhere(
        self, name: str, line: isa.Line, label: str, rows: Spread, columns: Spread, operation: isa.Join = "sum",
        wire: Wire = "f32", *, apart: bool, compiled: bool = False,
    ) -> str:  # fmt: skip
        """Join terms over lines and send the whole to all of their cores.

        Args:
            apart: one way after the other. compiled: positions too that no step has filled yet.
        """
        a = self.values[name]
        root = self.value(f"{label}.root", a.dims, *_at_roots(a, line, Roots(line.span, self.tree(line), whole=True)))
        self.emit(isa.Reduce(self.node, operation, root, name, line, wire, compiled=compiled))
        result = self.value(label, a.dims, rows, columns)
        self.emit(isa.Multicast(self.node, result, root, line, wire, apart=apart, compiled=compiled))
        return result


def _at_roots(a: Value, line: isa.Line, part: Roots) -> tuple[Spread, Spread]:
    """The spreads of a value after its terms over `line` are joined: the innermost part of that axis becomes roots."""
    if line.axis is Axis.ROWS:
        return (*a.rows[:-1], part), a.columns
    return a.rows, (*a.columns[:-1], part)
