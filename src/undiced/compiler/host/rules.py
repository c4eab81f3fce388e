"""What the rules of `shard` have in common: placing values, emitting instructions, weights, twins of int8 blocks."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from undiced.compiler.host.draft import Draft, Spot
from undiced.core.errors import UnsupportedError
from undiced.model import Node
from undiced.program.host.field import NONE, Activation, Partition
from undiced.program.host.instruction import Activate, Glu, Instruction, Quantize
from undiced.program.host.program import Form

ELSEWHERE = "Use another model; `undiced compile --machine wse3` places this one on a wafer."
HEAD_GRANULE = 8  # columns of a head that one vector instruction takes
ACTIVATIONS = {"silu": Activation.SILU, "gelu": Activation.GELU, "gelu_tanh": Activation.GELU_TANH}


def emit(draft: Draft, node: Node, instr: Instruction) -> None:
    draft.instrs.append(structs.replace(instr, layer=node.layer, note=node.out))


def place(draft: Draft, node: Node, width: int, like: Spot | None = None) -> Spot:
    """The node's spot: where it was put beforehand, or a fresh buffer with rows like `like`'s."""
    if node.out not in draft.spots:
        rows = draft.virtual[like.buffer].rows if like else "tokens"
        draft.spots[node.out] = Spot(draft.new_buffer(_short(node.out), width, rows), 0, width)
    return draft.spots[node.out]


def _short(value: str) -> str:
    """A value's name without its layer, for the buffer's."""
    parts = value.split(".")
    return ".".join(parts[2:]) if parts[0] == "layers" else value


def weight(draft: Draft, node: Node, index: int) -> int:
    return draft.slot(node.weights[index]) if len(node.weights) > index else NONE


def quantized(draft: Draft, node: Node, source: Spot) -> int:
    """The twin of a value's buffer in codes, made on first use, by whoever owns its columns if that needs no barrier.

    The head's input gets 16 bits: of all roundings of activations this one costs the most quality; undoing it costs
    nothing while memory is what a step waits for (docs/LOG.md has the figures).
    """
    if source.buffer not in draft.quantized:
        rows = draft.virtual[source.buffer].rows
        kind: Form = "int16" if node.layer < 0 else "int8"
        twin = draft.new_buffer(kind, source.width, rows, kind)
        made = next(i for i in reversed(draft.instrs) if any(s.buffer == source.buffer for s in i.writes()))
        by = Partition.COLUMNS if isinstance(made, (Glu, Activate)) else Partition.TOKENS
        emit(draft, node, Quantize(dst=twin, a=source.buffer, columns=source.width, by=by))
        draft.quantized[source.buffer] = twin
    return draft.quantized[source.buffer]


def activation_of(node: Node, known: Mapping[str, Activation] = ACTIVATIONS) -> Activation:
    name = node.text("activation")
    if name not in known:
        raise UnsupportedError(f"The host engine has no activation {name!r}.", remedy=f"Known: {', '.join(known)}.")
    return known[name]
