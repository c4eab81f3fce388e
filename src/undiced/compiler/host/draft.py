"""What the passes fill in: virtual buffers, instructions, regions. Mutable, private to the compiler."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from undiced.machine.host import Host
from undiced.model import Graph, Node
from undiced.program import Bounds, Buffer, Instr, KvLayer, Region


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a graph value lies: columns [start, start + width) of a virtual buffer."""

    buffer: int
    start: int
    width: int


@dataclass(slots=True)
class Draft:
    """A program in the making.

    Attributes:
        spots: graph value -> where it lies.
        virtual: virtual buffers, indexed by Spot.buffer; memory planning maps them to `buffers`.
        instrs: over virtual buffers until memory is planned.
        quantized: f32 virtual buffer -> its int8 twin while that is up to date.
    """

    graph: Graph
    machine: Host
    bounds: Bounds
    spots: dict[str, Spot] = field(default_factory=dict)
    virtual: list[Buffer] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    instrs: list[Instr] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    kv: dict[int, KvLayer] = field(default_factory=dict)
    constants: list[tuple[float, ...]] = field(default_factory=list)
    quantized: dict[int, int] = field(default_factory=dict)
    _slot_index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._slot_index = {slot.name: i for i, slot in enumerate(self.graph.slots)}

    def new_buffer(
        self,
        name: str,
        width: int,
        rows: Literal["tokens", "samples"] = "tokens",
        kind: Literal["f32", "int8", "int8x2"] = "f32",
    ) -> int:
        """Index of a fresh virtual buffer."""
        self.virtual.append(Buffer(name, width, rows, kind))
        return len(self.virtual) - 1

    def slot(self, name: str) -> int:
        """Index of a weight slot in the program."""
        return self._slot_index[name]

    def uses(self) -> Counter[str]:
        """How many inputs read each graph value; the output counts once more."""
        count = Counter(name for node in self.graph.nodes for name in node.ins)
        count[self.graph.output] += 1
        return count

    def producer(self) -> dict[str, Node]:
        """Graph value -> the node that makes it."""
        return {node.out: node for node in self.graph.nodes}
