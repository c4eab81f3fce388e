"""Lowers runs of a region, or of several on a mesh, to a fabric program for one token: instruction by instruction, with
waits where one needs what microthreads of another still write, or overwrites what they still read.

Knows the tables of local instructions and of movers, no instruction by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from undiced.core.errors import InvalidRequestError, UnsupportedError
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.individual import touched
from undiced.program.wafer.lifetimes import own_reads
from undiced.program.wafer.operands import writes
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.frame import Frame, aligned
from undiced.sim.fabric.lower.frames import frames
from undiced.sim.fabric.lower.handing import Part, handed, passing
from undiced.sim.fabric.lower.local import local
from undiced.sim.fabric.lower.lowered import Blocks, Lowered, Span
from undiced.sim.fabric.lower.movers import moved
from undiced.sim.fabric.lower.paints import paints
from undiced.sim.fabric.lower.passing import rebound
from undiced.sim.fabric.lower.repaints import see_crosswise
from undiced.sim.fabric.lower.rings import ring_paints
from undiced.sim.fabric.lower.threads import Threads
from undiced.sim.fabric.microops import Wait
from undiced.sim.fabric.program import FabricProgram, Paint, Section


@dataclass(frozen=True, slots=True)
class Piece:
    """Which sections an instruction became; `frame`: the run by its place, `index`: the place in its stream."""

    frame: int
    index: int
    instruction: isa.Instruction
    sections: range


@dataclass(frozen=True, slots=True)
class Run:
    """Runs of a region at level 2, ready for the simulator.

    Attributes:
        frames: of each run: where its values lie. pieces: of each instruction, in order.
    """

    program: FabricProgram
    frames: tuple[Frame, ...]
    pieces: tuple[Piece, ...]
    streams: tuple[Stream, ...]

    def before(self, piece: int) -> FabricProgram:
        """The program without what becomes of the instruction of a piece and of all later ones."""
        return replace(self.program, sections=self.program.sections[: self.pieces[piece].sections.start])

    def memory(self, bound: Sequence[Mapping[str, image.F32]]) -> image.Bytes:
        """[height, width, bytes] with what each run's cores hold: weights, tables, caches, states by name."""
        made = np.zeros((self.program.height, self.program.width, self.program.memory_bytes), dtype=np.uint8)
        for frame, arrays in zip(self.frames, bound, strict=True):
            image.fill(made, frame, arrays)
        return made


def lower(
    program: WaferProgram, region: int, runs: Sequence[int], *, token: int, position: int, wafer: Wafer, upto: int = -1
) -> Run:
    """Runs of a region for a token at a position.

    Args:
        region: its number in the program. runs: numbers of its runs, in order.
        upto: how many instructions of the last run are lowered; -1: all of them.

    Raises:
        UnsupportedError: an instruction has no level 2, or the region lies around defects.
        InvalidRequestError: no run, token or position of the program.
    """
    check(program, region, runs, token, position)
    intact(program, [region])
    built, streams = frames(program, region, runs, token, position, wafer)
    placed = program.regions[region].rect
    return assembled(built, streams, (placed.width, placed.height), upto)


def assembled(built: tuple[Frame, ...], streams: tuple[Stream, ...], size: tuple[int, int], upto: int = -1) -> Run:
    """All instructions of runs, one after the other; `size`: of the mesh. `upto`: as of `lower`."""
    sections, pieces, ways = list[Section](), list[Piece](), list[Paint]()
    threads = {frame.region.rect: Threads(frame.region, frame.origin) for frame in built}
    for number, (frame, stream) in enumerate(zip(built, streams, strict=True)):
        for other in _before(built, number):
            frame.free = max(frame.free, other.free)  # what movers before still keep
        some = stream.instructions[:upto] if upto >= 0 and number == len(built) - 1 else stream.instructions
        for index, instruction in enumerate(some):
            first = len(sections)
            if isinstance(instruction, isa.Repaint):
                see_crosswise(instruction, frame, stream.instructions[index + 1 :])
            for where, made in _parts(instruction, frame, stream):
                mine = threads[where.region.rect]
                spans = _touched(instruction, where, made)
                sections += _waiting(_ended(made) if stream.synchronous else made, mine.holding_up(*spans))
                if not stream.synchronous:
                    mine.start(made)
            if isinstance(instruction, isa.Transfer | isa.Return):
                way = passing(instruction, frame)
                ways += way.paints if way is not None else ()
            pieces.append(Piece(number, index, instruction, range(first, len(sections))))
    places = {frame.region.rect: frame for frame in built}
    painted = [paint for frame in places.values() for paint in paints(frame)]
    for frame, stream in zip(built, streams, strict=True):
        if any(isinstance(i, isa.ShiftProduct | isa.ShiftScores) for i in stream.instructions):
            ways += ring_paints(frame)
    all_ways = tuple(dict.fromkeys((*painted, *ways)))
    made_program = FabricProgram(*size, aligned(max(frame.top for frame in built)), all_ways, tuple(sections))
    return Run(made_program, built, tuple(pieces), streams)


def _before(built: tuple[Frame, ...], number: int) -> Iterator[Frame]:
    """Frames of earlier runs on the same cores."""
    return (other for other in built[:number] if other.region.rect == built[number].region.rect)


def _parts(i: isa.Instruction, frame: Frame, stream: Stream) -> tuple[Part, ...]:
    """What the cores of the region do; and those of the region at the other end of a hand-over."""
    if isinstance(i, isa.Transfer | isa.Return):
        return handed(i, frame)
    if isinstance(i, isa.Rebind):
        return rebound(i, frame, stream)
    return ((frame, lowered(i, frame)),)


def _touched(i: isa.Instruction, where: Frame, made: Lowered) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The memory that is read and written."""
    if isinstance(i, isa.Transfer | isa.Return):
        return made.running[0].reads, made.running[0].writes
    return _spans(own_reads(i), where), _spans(writes(i), where)


def check(program: WaferProgram, region: int, runs: Sequence[int], token: int, position: int) -> None:
    """What is asked for is there."""
    regions = len(program.regions)
    count = len(program.regions[region].runs) if 0 <= region < regions else 0
    asked = (
        ("region", (region,), regions),
        ("run", tuple(runs) or (-1,), count),
        ("token", (token,), program.vocab),
        ("position", (position,), program.bounds.context),
    )
    for what, numbers, most in asked:
        if not all(0 <= number < most for number in numbers):
            raise InvalidRequestError(
                f"The program has no {what} {', '.join(map(str, numbers))}.", remedy=f"Use 0 to {most - 1}."
            )


def intact(program: WaferProgram, regions: Sequence[int]) -> None:
    """Regions lie on cores that are where they belong."""
    for placed in (program.regions[number] for number in regions):
        one = program.individual(placed.wafer)
        if one is not None and next(touched(one, placed.rect), None) is not None:
            where = f"Region {placed.name!r} lies around defects of map {one.map}"
            raise UnsupportedError(
                f"{where}; the fabric has no skip and diagonal links.",
                remedy="Compile it without defects, or name a region whose cores are not moved.",
            )


def lowered(instruction: isa.Instruction, frame: Frame) -> Lowered:
    """One instruction."""
    return moved(instruction, frame) or local(instruction, frame)


def _ended(made: Lowered) -> Lowered:
    """With cores that wait for the microthreads that they started."""
    if not made.running:
        return made
    *others, last = made.sections
    waiting = Wait(tuple(sorted({each.thread for each in made.running})))
    return Lowered((*others, replace(last, blocks=tuple((role, (*script, waiting)) for role, script in last.blocks))))


def _waiting(made: Lowered, threads: tuple[int, ...]) -> list[Section]:
    """The sections of an instruction, with waits for the microthreads that hold it up."""
    if not made.sections or not threads:
        return list(made.sections)
    first, *others = made.sections
    blocks: Blocks = tuple((role, (Wait(threads), *script)) for role, script in first.blocks)
    return [replace(first, blocks=blocks), *others]


def _spans(names: Sequence[str], frame: Frame) -> tuple[Span, ...]:
    return tuple(frame.span(name) for name in names if name)
