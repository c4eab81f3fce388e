"""A program in the making on one shape: what each pass adds to. Data; the passes are in `passes`."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.compiler.wafer.addresses import Lasting
from undiced.compiler.wafer.lower.segments import Segment, Streams
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.partition import Block
from undiced.compiler.wafer.shapes import Shape
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program.wafer.program import Region, Stream
from undiced.program.wafer.tree import Tree


@dataclass(frozen=True, slots=True)
class Task:
    """What is compiled: the same for every shape."""

    graph: Graph
    segments: tuple[Segment, ...]
    wafer: Wafer
    options: Options


@dataclass(frozen=True, slots=True)
class Draft:
    """One shape; each pass sets what it is named after.

    Attributes:
        wafers: how many may be used.
        coarse: for ranking: of parts of feed-forward blocks only the smallest and the whole are written.
        streams: by number, in `lower.made`; runs: (segment, eighths) to stream number.
        cycles: of each stream. lasting: what each stream keeps in memory.
        room: bytes of a core for what lasts. blocks, ends: the model in order, and where regions end.
    """

    task: Task
    shape: Shape
    wafers: int
    coarse: bool = False
    lower: Streams | None = None
    streams: tuple[Stream, ...] = ()
    trees: tuple[Tree, ...] = ()
    cycles: tuple[float, ...] = ()
    lasting: tuple[Lasting, ...] = ()
    room: int = 0
    blocks: tuple[Block, ...] = ()
    ends: tuple[int, ...] = ()
    regions: tuple[Region, ...] = ()
