"""A program in the making on one shape: what each pass adds to. Data; the passes are in `passes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from undiced.compiler.wafer.addresses import Lasting
from undiced.compiler.wafer.lower.segments import Streams
from undiced.compiler.wafer.partition import Block
from undiced.compiler.wafer.shapes import Shape
from undiced.compiler.wafer.task import Task
from undiced.program.wafer.program import Region, Stream
from undiced.program.wafer.tree import Tree


class Neighbors(NamedTuple):
    """A stream of a run, those of the runs `before` and `following` on the same cores (-1 for none), and by how many
    layers they are apart."""

    stream: int
    before: int
    since: int
    following: int
    later: int


@dataclass(frozen=True, slots=True)
class Draft:
    """One shape; each pass fills in what it decides.

    Attributes:
        wafers: how many may be used.
        coarse: for ranking: of parts of feed-forward blocks only the smallest and the whole are written.
        slices: trees that share the payload of a column of cores, and of a band, at most; None: as the choices say.
        others: more of such slices that colors reach for, to be tried, too.
        written: the streams with what writes them; parts: stream of (segment, eighths).
        grains: eighths of each segment that regions do not cut further.
        streams, trees: as they are routed. cycles: of each stream, one token at the bounds' context.
        lasting: what each stream keeps in memory. room: bytes of a core for that.
        blocks, ends: the model in order, and where regions end.
        wide: streams of whole blocks with 16-bit weights, by segment; mixed: segments that have them.
        widening: streams that widen ahead, by what they stand for and beside what.
        reserved: bytes of a core that they take for that and for what is widened.
    """

    task: Task
    shape: Shape
    wafers: int
    coarse: bool = False
    slices: tuple[int, int] | None = None
    others: tuple[tuple[int, int], ...] = ()
    written: Streams | None = None
    parts: tuple[tuple[tuple[int, int], int], ...] = ()
    grains: tuple[int, ...] = ()
    streams: tuple[Stream, ...] = ()
    trees: tuple[Tree, ...] = ()
    cycles: tuple[float, ...] = ()
    lasting: tuple[Lasting, ...] = ()
    room: int = 0
    blocks: tuple[Block, ...] = ()
    ends: tuple[int, ...] = ()
    wide: tuple[tuple[int, int], ...] = ()
    mixed: frozenset[int] = frozenset()
    widening: tuple[tuple[Neighbors, int], ...] = ()
    reserved: int = 0
    regions: tuple[Region, ...] = ()
