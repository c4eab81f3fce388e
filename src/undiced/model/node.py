"""One operator application of a graph, and what rules may see of it. No rule lives here; see `ops`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from undiced.core.errors import CompileError
from undiced.core.formats import FORMATS
from undiced.core.manifest import WeightSlot

Attr = int | float | str


@dataclass(frozen=True, slots=True)
class Node:
    """An operator applied to named values.

    Attributes:
        op: a key of `ops.OPS`.
        out: the value it makes, (tokens, width) float32.
        ins: values it reads, in the operator's order; "tokens" and "positions" are the graph's inputs.
        weights: names of the slots it reads.
        attrs: exactly the operator's attributes.
        layer: which layer it belongs to; -1 before the first and after the last.
    """

    op: str
    out: str
    ins: tuple[str, ...]
    weights: tuple[str, ...] = ()
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    layer: int = -1

    def integer(self, name: str) -> int:
        """An attribute that the operator declares as int."""
        return int(self.attrs[name])

    def number(self, name: str) -> float:
        """An attribute that the operator declares as float."""
        return float(self.attrs[name])

    def text(self, name: str) -> str:
        """An attribute that the operator declares as str."""
        return str(self.attrs[name])


@dataclass(frozen=True, slots=True)
class View:
    """A node with the widths of its inputs (0 for tokens and positions) and its weight slots."""

    node: Node
    widths: tuple[int, ...]
    slots: tuple[WeightSlot, ...]

    def require(self, condition: bool, message: str) -> None:
        """Raises CompileError that names the node unless `condition` holds."""
        if not condition:
            raise CompileError(f"Graph node {self.node.out!r} ({self.node.op}): {message}.")


@dataclass(frozen=True, slots=True)
class Load:
    """One step's work, for FLOPs and bytes.

    Attributes:
        tokens: tokens of all sequences together.
        context: positions that a token attends to on average, itself included, before any window.
        sequences: how many sequences the tokens belong to, evenly.
        value_bytes, kv_bytes: bytes of one activation and of one cached number.
    """

    tokens: int
    context: float
    sequences: int = 1
    value_bytes: int = 4
    kv_bytes: int = 2


def slot_bytes(slot: WeightSlot) -> int:
    """Bytes of a slot in its format, as a checkpoint stores it."""
    return FORMATS[slot.format].file_bytes(slot.rows * slot.columns)
