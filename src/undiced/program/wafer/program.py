"""A wafer program: regions of cores, the streams that they run, the trees and weights that those name. Data alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from undiced.core.manifest import WeightSlot
from undiced.program import Bounds, Rect
from undiced.program.artifact import sealed
from undiced.program.wafer.individual import Individual
from undiced.program.wafer.instruction import Instruction
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import Value

CHUNK = "chunk"  # fact: tokens of a prompt that are taken together
ALONE = "prompts alone"  # fact: there is no code for single tokens


class Stream(Struct, frozen=True, gc=False):
    """Instructions in execution order over values of their own; states are shared by name with other streams.

    Attributes:
        synchronous: cores wait for the end of every mover before they go on.
        last: of a chunk only the last token of each sequence runs it: the model's end.
    """

    name: str
    values: tuple[Value, ...]
    instructions: tuple[Instruction, ...]
    synchronous: bool = False
    last: bool = False


class Run(Struct, frozen=True, gc=False):
    """One run of a stream for a token: with the weights of `layer` (-1: none of a layer), from element `start` of the
    dimension that parts of a block share out; its weights, tables and caches lie from address `base` on."""

    stream: int
    layer: int = -1
    start: int = 0
    base: int = 0


class Region(Struct, frozen=True, gc=False):
    """A rectangle of cores of one wafer and what it runs for a token, in order.

    Attributes:
        turned: whether logical rows lie along x instead of y.
    """

    name: str
    wafer: int
    rect: Rect
    runs: tuple[Run, ...]
    turned: bool = False

    @property
    def rows(self) -> int:
        """Cores along the axis that shares out the hidden state."""
        return self.rect.width if self.turned else self.rect.height

    @property
    def columns(self) -> int:
        """Cores along the axis that shares out heads and feed-forward columns."""
        return self.rect.height if self.turned else self.rect.width


class WaferProgram(Struct, frozen=True, tag_field="kind", tag="wafer", weakref=True):
    """A model compiled for wafers; a token passes its regions in order.

    Attributes:
        kv: (layer, window) of every cache's ring; 0 keeps the whole context.
        facts: numbers that reports need and executors do not (name, value).
        individuals: the wafers that it was placed for, where they have defects; others are whole.
    """

    model: str
    machine: str
    graph_digest: str
    machine_digest: str
    bounds: Bounds
    regions: tuple[Region, ...]
    streams: tuple[Stream, ...]
    trees: tuple[Tree, ...]
    slots: tuple[WeightSlot, ...]
    vocab: int
    facts: tuple[tuple[str, float], ...] = ()
    individuals: tuple[Individual, ...] = ()

    def __repr__(self) -> str:
        return f"<WaferProgram: {self.model} for {self.machine}, {len(self.regions)} regions, {self.bounds}>"

    @property
    def wafers(self) -> int:
        """As many as its regions lie on."""
        return 1 + max(region.wafer for region in self.regions)

    def individual(self, wafer: int) -> Individual | None:
        """The wafer of that number, if the program was placed around its defects."""
        return next((one for one in self.individuals if one.wafer == wafer), None)

    @property
    def chunk(self) -> int:
        """Tokens of one sequence that a step may have: cores have room for what all of them need."""
        return int(dict(self.facts).get(CHUNK, 1.0))  # `limits` holds it finite before

    @property
    def alone(self) -> bool:
        """Whether it takes prompts alone: others decode."""
        return bool(dict(self.facts).get(ALONE))

    @property
    def places(self) -> list[list[Region]]:
        """The regions by the cores that they lie on, in order: a token may pass the same cores twice."""
        found: dict[tuple[int, Rect], list[Region]] = {}
        for region in self.regions:
            found.setdefault((region.wafer, region.rect), []).append(region)
        return list(found.values())

    @property
    def payload(self) -> bytes:
        """What its file holds between head and checksum; equal programs have equal ones."""
        return msgspec.msgpack.encode(self)

    @property
    def digest(self) -> str:
        """sha256 of the payload."""
        return hashlib.sha256(self.payload).hexdigest()

    def encoded(self) -> bytes:
        """The program as a file holds it."""
        return sealed(self.payload)

    def save(self, path: Path) -> None:
        """Write the program to a file."""
        path.write_bytes(self.encoded())

    def fact(self, name: str) -> float:
        """The value of one of `facts`; KeyError if the compiler did not record it."""
        return dict(self.facts)[name]
