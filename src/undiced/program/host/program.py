"""HostProgram: what the compiler made of one graph for this machine: instructions, buffers, weight slots, the KV cache.

Frozen. Knows the instruction table; of graph and machine only their digests.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from undiced.core.kv_type import KvType, head_bytes
from undiced.core.manifest import WeightSlot
from undiced.program.artifact import Artifact
from undiced.program.host.instruction import Instruction

Rows = Literal["tokens", "samples"]
Form = Literal["f32", "int8", "int16"]


class Buffer(Struct, frozen=True):
    """Activation storage of a program.

    Attributes:
        width: float32 columns per row.
        rows: "tokens" (one row a token of the step) or "samples" (one a sampled row).
        kind: "f32"; or "int8" or "int16" blocks of 32 columns with a float scale each.
        own: in a small step (instruction.py) every core writes and reads a copy of its own.
    """

    name: str
    width: int
    rows: Rows = "tokens"
    kind: Form = "f32"
    own: bool = False


class KvLayer(Struct, frozen=True):
    """The KV cache of one attention layer.

    Attributes:
        kv_heads: heads that have keys and values of their own.
        head_dim: columns of a key and of a value.
        window: positions that a query looks back at most, itself included; 0 = whole context.
        latent: one row of `head_dim` columns a position is key and value, whose first columns the values are.
        type: of what is kept; of latents f16.
    """

    kv_heads: int
    head_dim: int
    window: int = 0
    latent: bool = False
    type: KvType = "f16"

    @property
    def position_bytes(self) -> int:
        """What a position takes."""
        return self.kv_heads * head_bytes(self.type, self.head_dim) // (2 if self.latent else 1)


class Operands(Struct, frozen=True):
    """What the operands of instructions name, by index.

    Attributes:
        constants: float vectors (inverse RoPE frequencies).
        vocab: columns of the logits.
    """

    buffers: tuple[Buffer, ...]
    slots: tuple[WeightSlot, ...]
    kv: tuple[KvLayer, ...]
    constants: tuple[tuple[float, ...], ...]
    vocab: int


class HostProgram(Artifact, frozen=True, kw_only=True, weakref=True):
    """A model compiled for the host: every core of a team runs the same instructions.

    Attributes:
        cores: of the team, one a thread.
        buffers, slots, kv, constants: see `Operands`.
    """

    kind: Literal["host"] = "host"
    cores: int
    buffers: tuple[Buffer, ...]
    slots: tuple[WeightSlot, ...]
    kv: tuple[KvLayer, ...]
    constants: tuple[tuple[float, ...], ...] = ()
    instrs: tuple[Instruction, ...]

    @property
    def kv_type(self) -> KvType:
        """Of what all layers keep."""
        return self.kv[0].type if self.kv else "f16"

    @property
    def operands(self) -> Operands:
        """What its instructions name."""
        return Operands(self.buffers, self.slots, self.kv, self.constants, self.vocab)
