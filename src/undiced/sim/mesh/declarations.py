"""The values that a stream declares, and what follows from their layouts. Holds no numbers.

Every step asks the same, so that answers are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from undiced.core.errors import ProgramFileError
from undiced.program.wafer.layout import POSITION, Axis, Roots, Shard
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Kind, Value

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Positions:
    """How a value's positions lie: `size` slots over the cores of an axis, by `part`, which is its innermost."""

    axis: Axis
    part: Shard
    size: int


class Declarations:
    """Values by name.

    Args:
        values: of the stream, and the states that it shares with others.
        trees: of the program.
    """

    def __init__(self, values: Iterable[Value], trees: tuple[Tree, ...]) -> None:
        self._values = {value.name: value for value in values}
        self._trees = trees
        self._dims = {name: tuple(dim.name for dim in value.dims) for name, value in self._values.items()}
        self._roots = {name: _roots(value) for name, value in self._values.items()}
        self._grows = {name for name in self._values if self._growing(name)}
        self._fixed = self._filled = Shares(self._values, trees)
        self._holders = {name: self._fixed.stored(name) for name in self._values}
        self._constant = {n for n, value in self._holders.items() if value.kind in (Kind.WEIGHT, Kind.TABLE)}

    def __getitem__(self, name: str) -> Value:
        if name not in self._values:
            raise ProgramFileError(f"The stream names {name!r}, which it doesn't declare.")
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def all(self) -> Mapping[str, Value]:
        """All of them."""
        return self._values

    def holder(self, name: str) -> Value:
        """The value in whose memory `name` lies: itself, or what it is a view of."""
        return self._holders[name]

    def constant(self, name: str) -> bool:
        """Whether it is the same for all tokens: weights and tables."""
        return name in self._constant

    def dims(self, name: str) -> tuple[str, ...]:
        """Names of its dimensions."""
        return self._dims[name]

    def roots(self, name: str) -> tuple[Axis, Roots] | None:
        """The axis along which it lies at roots, if it does."""
        return self._roots[name]

    def tree(self, name: str) -> tuple[Axis, Roots, Tree]:
        """The roots at which it lies, and their tree; ProgramFileError if it lies at none."""
        found = self._roots[name]
        if found is None:
            raise ProgramFileError(f"{name} should lie at the roots of a tree.")
        return *found, self._trees[found[1].tree]

    def positions(self, name: str) -> Positions:
        """How its positions lie; ProgramFileError if no cores share them."""
        value = self[name]
        size = next((dim.size for dim in value.dims if dim.name == POSITION), 0)
        for axis, parts in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
            for part in parts:
                if isinstance(part, Shard) and part.dim == POSITION:
                    return Positions(axis, part, size)
        raise ProgramFileError(f"{name} has no positions that cores share.")

    def shape(self, name: str, filled: int) -> Shape:
        """A core's share where the longest sequence has `filled` positions; of a view, as it is seen."""
        if name not in self._grows:
            return self._fixed.shape(name)
        if self._filled.step.context != filled:
            self._filled = Shares(self._values, self._trees, Step(context=filled))
        return self._filled.shape(name)

    def _growing(self, name: str) -> bool:
        """Whether a share depends on how many positions are filled."""
        value = self[name]
        parent = "" if value.view is None or all(dim.size for dim in value.dims) else value.view.parent
        return POSITION in self._dims[name] or (parent != "" and self._growing(parent))


def _roots(value: Value) -> tuple[Axis, Roots] | None:
    for axis, parts in ((Axis.ROWS, value.rows), (Axis.COLUMNS, value.columns)):
        for part in parts:
            if isinstance(part, Roots):
                return axis, part
    return None
