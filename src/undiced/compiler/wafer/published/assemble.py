"""Puts a published mapping's program together: streams with trees and routes, addresses, regions with their runs.

Published mappings choose nothing: what they have is given, and what does not fit is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from msgspec.structs import replace as with_fields

from undiced.compiler.wafer.addresses import Lasting, Map, state_values
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.arithmetic import banks
from undiced.machine.fabric import hardware
from undiced.machine.wafer import Wafer
from undiced.model import Graph, ModelConfig
from undiced.program import Bounds, Rect
from undiced.program.wafer.code import code_bytes
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.verify import verify

_POSITIONS_MOST = 1 << 20  # of a core
Facts = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A region to be: where it is and what it runs."""

    name: str
    wafer: int
    rect: Rect
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a published program is made of."""

    mapping: str
    graph: Graph
    wafer: Wafer
    bounds: Bounds
    streams: tuple[Stream, ...]
    trees: tuple[Tree, ...]
    pieces: tuple[Piece, ...]

    @property
    def layout(self) -> Map:
        """How a core's memory is laid out."""
        sequences = self.bounds.batch
        return Map(self.trees, banks(self.wafer.core), sequences, sequences)


class NoRoom(CompileError):
    """A core has too little memory."""


def check_stages(stages: tuple[int, ...], config: ModelConfig) -> None:
    """See that stages hold the model's layers, each at least one.

    Raises:
        CompileError: they do not.
    """
    if sum(stages) != config.layers or min(stages, default=0) < 1:
        raise CompileError(
            f"Stages {','.join(map(str, stages))} hold {sum(stages)} layers; {config.name} has {config.layers}.",
            remedy="Give one positive number a region, adding up to the layers.",
        )


def even_stages(layers: int, count: int) -> tuple[int, ...]:
    """Layers of at most so many stages, all but the last of them alike."""
    each = ceil(layers / count)
    return tuple(min(each, layers - at) for at in range(0, layers, each))


def two_tree(span: int, groups: int) -> Tree:
    """Chains in equal groups into the middle of each, and a chain of those into the middle one."""
    sizes = [size for size in (span // groups, groups) if size > 1]
    return Tree(span, tuple(map(Level, sizes or [1])))


def often(streams: Sequence[Stream], pieces: Sequence[Piece]) -> tuple[float, ...]:
    """How often a token runs each stream."""
    counts = [0.0] * len(streams)
    for piece in pieces:
        for run in piece.runs:
            counts[run.stream] += 1.0
    return tuple(counts)


def assembled(parts: Parts, facts: Facts = ()) -> WaferProgram:
    """The program, addressed and verified.

    Raises:
        NoRoom: a core has too little memory for what its regions keep: says how many bytes are lacking.
    """
    memory = Memory.of(parts)
    sram = int(parts.wafer.core.sram_bytes.value)
    fullest = max(parts.pieces, key=memory.bytes)
    used = memory.bytes(fullest)
    if used > sram:
        ends = not any(run.layer >= 0 for run in fullest.runs)
        smaller = "taller regions" if ends else "larger regions, fewer layers in each, a shorter context"
        raise NoRoom(
            f"{parts.graph.config.name} takes {used:,} bytes on a core of region {fullest.name}: "
            f"{used - sram:,} more than there are.",
            remedy=f"Use {smaller}, or {option('mapping', 'undiced')}.",
        )
    streams = parts.layout.addressed(parts.streams, 0)
    program = WaferProgram(
        model=parts.graph.config.name,
        machine=parts.wafer.name,
        graph_digest=parts.graph.digest,
        machine_digest=parts.wafer.digest,
        bounds=parts.bounds,
        regions=tuple(memory.region(piece) for piece in parts.pieces),
        streams=streams,
        trees=parts.trees,
        slots=parts.graph.slots,
        vocab=parts.graph.config.vocab,
        facts=(
            (f"mapping {parts.mapping}", 1.0),
            ("layers", float(parts.graph.config.layers)),
            ("lanes", float(parts.bounds.batch)),
            ("code_bytes", float(max(map(memory.code, parts.pieces)))),
            ("sram_bytes_resident_per_core", float(used)),
            *facts,
        ),
    )
    verify(program, hardware(parts.wafer))
    return program


@dataclass(frozen=True, slots=True)
class Memory:
    """A core's map: states and activations, then what each run keeps, then code and system.

    Attributes:
        tops: where each stream's activations end. kept: what each stream keeps.
    """

    parts: Parts
    tops: tuple[int, ...]
    kept: tuple[Lasting, ...]

    @classmethod
    def of(cls, parts: Parts) -> Memory:
        """States lie in one place in all regions."""
        _, base = parts.layout.states(state_values(parts.streams), 0)
        tops = tuple(parts.layout.scan(stream, base)[1] for stream in parts.streams)
        return cls(parts, tops, tuple(map(parts.layout.lasting, parts.streams)))

    def together(self, piece: Piece) -> list[Piece]:
        """All that lie on the same cores, in order."""
        return [each for each in self.parts.pieces if (each.wafer, each.rect) == (piece.wafer, piece.rect)]

    def code(self, piece: Piece) -> int:
        """Bytes of code and system of a core."""
        streams = dict.fromkeys(run.stream for each in self.together(piece) for run in each.runs)
        return code_bytes(self.parts.streams[n] for n in streams)

    def top(self, piece: Piece) -> int:
        """Where its states and activations end."""
        return max(self.tops[run.stream] for each in self.together(piece) for run in each.runs)

    def keeps(self, piece: Piece) -> int:
        """What runs keep; runs of one stream with one layer's weights keep them once."""
        sequences = self.parts.bounds.batch
        return sum(self.kept[stream].bytes(sequences) for stream, _ in dict.fromkeys(map(_what, piece.runs)))

    def bytes(self, piece: Piece) -> int:
        """All that a core holds."""
        return self.top(piece) + sum(map(self.keeps, self.together(piece))) + self.code(piece)

    def region(self, piece: Piece) -> Region:
        """The region with the bases of its runs, behind what regions before keep on its cores."""
        at: dict[tuple[int, int], int] = {}
        others = self.together(piece)
        base = self.top(piece) + sum(map(self.keeps, others[: others.index(piece)]))
        for key in map(_what, piece.runs):
            if key not in at:
                at[key] = base
                base += self.kept[key[0]].bytes(self.parts.bounds.batch)
        runs = tuple(with_fields(run, base=at[_what(run)]) for run in piece.runs)
        return Region(piece.name, piece.wafer, piece.rect, runs)


def _what(run: Run) -> tuple[int, int]:
    return run.stream, run.layer


def longest_context(
    used: Callable[[int], int], context: int, rows: int, wafer: Wafer, most: int = _POSITIONS_MOST
) -> int:
    """The most positions for which the `used` bytes of the fullest core fit; `most`: of a core. 0 if none do."""
    sram = int(wafer.core.sram_bytes.value)

    def fits(count: int) -> bool:
        return count <= most and used(count * rows) <= sram

    low = min(ceil(context / rows), most)
    if not fits(low):
        return 0
    step = 1
    while fits(low + step):
        low, step = low + step, 2 * step
    while step := step // 2:
        low += step * fits(low + step)
    return low * rows
