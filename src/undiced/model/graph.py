"""The graph: what to compute for a step, as a list of nodes over named weight slots. Knows no hardware, no file.

Nodes are in execution order. `verify` holds every node against its row of the operator table, so that whoever gets a
graph may rely on shapes, attributes and the order of definitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

from undiced.core.digest import sha256
from undiced.core.errors import CompileError
from undiced.core.formats import FORMATS
from undiced.core.manifest import WeightSlot
from undiced.model.config import ModelConfig
from undiced.model.node import Load, Node, View, slot_bytes
from undiced.model.ops import OPS

__all__ = ["INPUTS", "Graph", "Node"]

INPUTS = ("tokens", "positions")


@dataclass(frozen=True, slots=True)
class Graph:
    """A model's computation for one step of any tokens of any sequences.

    Attributes:
        config: the dimensions it was made from.
        nodes: operators in execution order.
        slots: weights, each used by at least one node; the manifest of where they come from.
        output: the value that holds the logits, (tokens, vocab).
    """

    config: ModelConfig
    nodes: tuple[Node, ...]
    slots: tuple[WeightSlot, ...]
    output: str = "logits"
    _by_name: dict[str, WeightSlot] = field(init=False, repr=False, compare=False)
    _alike: list[tuple[View, int, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {s.name: s for s in self.slots})
        object.__setattr__(self, "_alike", [])

    def slot(self, name: str) -> WeightSlot:
        """The weight slot of that name; CompileError when there is none."""
        if name not in self._by_name:
            raise CompileError(f"The graph has no weight slot {name!r}.")
        return self._by_name[name]

    @property
    def parameters(self) -> int:
        """Numbers in all weight slots; a tied head counts once."""
        return sum(s.rows * s.columns for s in self.slots)

    @property
    def active_parameters(self) -> int:
        """Numbers that one token's step multiplies: chosen experts only, and no rows of an untied embedding table."""
        count = 0
        chosen: set[WeightSlot] = set()
        for node in self.nodes:
            for slot in {self.slot(name) for name in node.weights} - chosen:
                if node.op not in ("embed", "position_embed"):
                    share = node.integer("top_k") / node.integer("experts") if node.op == "moe_ffn" else 1
                    count += round(slot.rows * slot.columns * share)
                    chosen.add(slot)
        return count

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weight slots in their formats."""
        return sum(slot_bytes(s) for s in self.slots)

    @property
    def digest(self) -> str:
        """sha256 of the graph's text: equal digests mean equal graphs."""
        return sha256(self.dump().encode()).hexdigest()

    def views(self) -> Iterator[tuple[View, int]]:
        """Every node with the widths and slots it sees, and the width it makes; raises what `verify` raises."""
        widths = dict.fromkeys(INPUTS, 0)
        for node in self.nodes:
            view = self._view(node, widths)
            widths[node.out] = OPS[node.op].width(view)
            yield view, widths[node.out]

    def flops(self, load: Load) -> float:
        """FLOPs of a step."""
        return sum(often * OPS[view.node.op].flops(view, load) for view, _, often in self._kinds())

    def bytes(self, load: Load) -> float:
        """Bytes that a step moves when every operator reads its weights, cache and inputs and writes its output."""
        return sum(often * OPS[view.node.op].traffic(view, width, load) for view, width, often in self._kinds())

    def _kinds(self) -> list[tuple[View, int, int]]:
        """One view of each kind of node that takes the same work, its width, and how often there is one; found once."""
        if not self._alike:
            found: dict[object, tuple[View, int, int]] = {}
            for view, width in self.views():
                sizes = tuple((slot.rows, slot.columns, slot.format, slot.experts) for slot in view.slots)
                kind = view.node.op, tuple(sorted(view.node.attrs.items())), view.widths, width, sizes
                found[kind] = view, width, found[kind][2] + 1 if kind in found else 1
            self._alike.extend(found.values())
        return self._alike

    def verify(self) -> None:
        """Raises CompileError that names the first node or slot which breaks a rule."""
        if len(self._by_name) != len(self.slots):
            raise CompileError("Two weight slots of the graph have one name.")
        for slot in self.slots:
            _check_slot(slot)
        made = {view.node.out: width for view, width in self.views()}
        if made.get(self.output) != self.config.vocab:
            raise CompileError(f"The graph's output {self.output!r} must be {self.config.vocab} wide.")
        used = {name for node in self.nodes for name in node.weights}
        unused = [s.name for s in self.slots if s.name not in used]
        if unused:
            raise CompileError(f"No node of the graph reads weight slot {unused[0]!r}.")

    def _view(self, node: Node, widths: Mapping[str, int]) -> View:
        op = OPS.get(node.op)
        if op is None:
            raise CompileError(f"Graph node {node.out!r}: no operator is called {node.op!r}.")
        slots = tuple(self.slot(name) for name in node.weights)
        view = View(node, tuple(widths.get(name, -1) for name in node.ins), slots)
        view.require(node.out not in widths, "its result is already defined")
        missing = [name for name in node.ins if name not in widths]
        view.require(not missing, f"reads {missing} before it is defined")
        view.require(len(node.ins) == len(op.ins), f"{len(node.ins)} inputs, expected {len(op.ins)}")
        low, high = op.weights
        view.require(low <= len(slots) <= high, f"{len(slots)} weights, expected {low} to {high}")
        _check_attrs(view, op.attrs)
        return view

    def dump(self) -> str:
        """Stable text: configuration, slots and nodes, one per line."""
        lines = [f"config {f.name} = {getattr(self.config, f.name)!r}" for f in fields(self.config)]
        lines += [_slot_line(slot) for slot in self.slots]
        lines += [_node_line(node) for node in self.nodes]
        return "\n".join([*lines, f"output {self.output}", ""])


def _check_attrs(view: View, declared: Mapping[str, type]) -> None:
    attrs = view.node.attrs
    view.require(attrs.keys() == declared.keys(), f"attributes {sorted(attrs)}, expected {sorted(declared)}")
    for name, kind in declared.items():
        view.require(type(attrs[name]) is kind, f"attribute {name} = {attrs[name]!r} is not {kind.__name__}")


def _check_slot(slot: WeightSlot) -> None:
    known = FORMATS.get(slot.format)
    if known is None:
        raise CompileError(f"Weight slot {slot.name!r} has the unknown format {slot.format!r}.")
    if min(slot.rows, slot.columns, slot.experts) < 1 or slot.rows % slot.experts:
        raise CompileError(f"Weight slot {slot.name!r} is {slot.rows} x {slot.columns} for {slot.experts} experts.")
    if slot.columns % known.block:
        raise CompileError(
            f"Weight slot {slot.name!r} has {slot.columns} columns, which {slot.format} cannot hold.",
            remedy=f"{slot.format} needs a multiple of {known.block}.",
        )


def _slot_line(slot: WeightSlot) -> str:
    sources = " + ".join(
        source.tensor + "".join(f" | {t.kind} {t.a} {t.b}" for t in source.transforms) for source in slot.sources
    )
    stacked = f" experts={slot.experts}" if slot.experts > 1 else ""
    return f"slot {slot.name} {slot.rows}x{slot.columns} {slot.format}{stacked} <- {sources or '(none)'}"


def _node_line(node: Node) -> str:
    attrs = " ".join(f"{key}={node.attrs[key]!r}" for key in sorted(node.attrs))
    reads = ", ".join((*node.ins, *node.weights))
    return f"node {node.layer} {node.out} = {node.op}({reads}) {attrs}".rstrip()
