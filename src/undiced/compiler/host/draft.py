"""What the passes fill in: virtual buffers, instructions, cores. Mutable, private to the compiler."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from undiced.core.kv_type import KvType
from undiced.machine.host import Host
from undiced.model import Graph, Node
from undiced.program import Bounds, Buffer, KvLayer
from undiced.program.host.instruction import Instruction
from undiced.program.host.program import Form, Operands, Rows


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
        buffers: real ones; none until memory is planned.
        instrs: over virtual buffers until memory is planned.
        kv_type: of what every layer's cache keeps.
        quantized: f32 virtual buffer -> its int8 twin while that is up to date.
    """

    graph: Graph
    machine: Host
    bounds: Bounds
    kv_type: KvType = "f16"
    spots: dict[str, Spot] = field(default_factory=dict)
    virtual: list[Buffer] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    instrs: list[Instruction] = field(default_factory=list)
    cores: int = 0
    kv: dict[int, KvLayer] = field(default_factory=dict)
    constants: list[tuple[float, ...]] = field(default_factory=list)
    quantized: dict[int, int] = field(default_factory=dict)
    _slot_index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._slot_index = {slot.name: i for i, slot in enumerate(self.graph.slots)}

    @property
    def operands(self) -> Operands:
        """What the instructions name so far."""
        buffers, kv = self.buffers or self.virtual, (self.kv[layer] for layer in sorted(self.kv))
        vocab = self.graph.config.vocab
        return Operands(tuple(buffers), self.graph.slots, tuple(kv), tuple(self.constants), vocab)

    def new_buffer(self, name: str, width: int, rows: Rows = "tokens", kind: Form = "f32") -> int:
        """Index of a fresh virtual buffer."""
        self.virtual.append(Buffer(name, width, rows, kind))
        return len(self.virtual) - 1

    def slot(self, name: str) -> int:
        """Index of a weight slot in the program."""
        return self._slot_index[name]

    def kv_index(self, node: Node) -> int:
        """Index of an attention's cache in the program, once that is stored to."""
        return list(self.kv).index(node.integer("layer"))

    def uses(self) -> Counter[str]:
        """How many inputs read each graph value; the output counts once more."""
        count = Counter(name for node in self.graph.nodes for name in node.ins)
        count[self.graph.output] += 1
        return count

    def producer(self) -> dict[str, Node]:
        """Graph value -> the node that makes it."""
        return {node.out: node for node in self.graph.nodes}
