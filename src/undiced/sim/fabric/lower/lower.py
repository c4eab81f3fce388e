"""Lowers runs of a region to a fabric program, for one token: instruction by instruction, with waits where one needs
what microthreads of another still write, or overwrites what they still read.

Knows the tables of local instructions and of movers, no instruction by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from undiced.core.errors import InvalidRequestError, UnsupportedError
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.individual import touched
from undiced.program.wafer.lifetimes import own_reads
from undiced.program.wafer.operands import writes
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.channels import Channels
from undiced.sim.fabric.lower.frame import Constant, Frame, aligned, size_of
from undiced.sim.fabric.lower.local import local
from undiced.sim.fabric.lower.lowered import Blocks, Lowered, Span
from undiced.sim.fabric.lower.movers import moved
from undiced.sim.fabric.lower.paints import paints
from undiced.sim.fabric.lower.plan import plan
from undiced.sim.fabric.lower.selects import first_ids
from undiced.sim.fabric.lower.threads import Threads
from undiced.sim.fabric.microops import Wait
from undiced.sim.fabric.program import FabricProgram, Section


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
    _check(program, region, runs, token, position)
    placed, (built, streams) = program.regions[region], frames(program, region, runs, token, position, wafer)
    sections, pieces, threads = list[Section](), list[Piece](), Threads(placed)
    for number, (frame, stream) in enumerate(zip(built, streams, strict=True)):
        frame.free = max(frame.free, *(other.free for other in built[:number]), 0)  # what movers before still keep
        some = stream.instructions[:upto] if upto >= 0 and number == len(runs) - 1 else stream.instructions
        for index, instruction in enumerate(some):
            made = lowered(instruction, frame)
            first = len(sections)
            sections += _waiting(_ended(made) if stream.synchronous else made, threads, instruction, frame)
            if not stream.synchronous:
                threads.start(made)
            pieces.append(Piece(number, index, instruction, range(first, len(sections))))
    top = max(frame.top for frame in built)
    width, height = (placed.rows, placed.columns) if placed.turned else (placed.columns, placed.rows)
    made_program = FabricProgram(width, height, aligned(top), paints(built[0]), tuple(sections))
    return Run(made_program, built, tuple(pieces), streams)


def _check(program: WaferProgram, region: int, runs: Sequence[int], token: int, position: int) -> None:
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
    placed = program.regions[region]
    one = program.individual(placed.wafer)
    if one is not None and next(touched(one, placed.rect), None) is not None:
        raise UnsupportedError(
            f"Region {placed.name!r} lies around defects of map {one.map}; the fabric has no skip and diagonal links.",
            remedy="Compile it without defects, or name a region whose cores are not moved.",
        )


def lowered(instruction: isa.Instruction, frame: Frame) -> Lowered:
    """One instruction."""
    return moved(instruction, frame) or local(instruction, frame)


def frames(
    program: WaferProgram, region: int, runs: Sequence[int], token: int, position: int, wafer: Wafer
) -> tuple[tuple[Frame, ...], tuple[Stream, ...]]:
    """The frame of each run, and its stream."""
    placed, lying, made = program.regions[region], plan(program, region, runs), list[Frame]()
    streams = tuple(program.streams[placed.runs[number].stream] for number in runs)
    channels = Channels.of(program.streams, program.trees, streams)
    for stream, homes, joined in zip(streams, lying.homes, lying.joined, strict=True):
        values = values_of(program, stream)
        made.append(
            Frame(
                wafer=wafer,
                region=placed,
                shares=Shares(values, program.trees, Step(context=position + 1)),
                full=Shares(values, program.trees),
                homes=homes,
                joined=joined,
                sliced={i.result: i.a for i in stream.instructions if isinstance(i, isa.Slice)},
                tables={i.result: (i.table, i.index) for i in stream.instructions if isinstance(i, isa.Lookup)},
                free=lying.end,
                token=token,
                position=position,
                channels=channels,
                top=lying.end,
            )
        )
    _load(made, streams, lying.end)
    return tuple(made), streams


def _load(made: Sequence[Frame], streams: Sequence[Stream], end: int) -> None:
    """Room for what the code of all runs is loaded with, before memory that instructions take for a time."""
    for frame, stream in zip(made, streams, strict=True):
        for i in stream.instructions:
            if isinstance(i, isa.Select):
                numbers = first_ids(i, frame)
                frame.constants[i.result] = Constant(end, numbers)
                end += aligned(numbers.shape[2] * size_of(DType.F32))
    for frame in made:
        frame.free = frame.top = end


def _ended(made: Lowered) -> Lowered:
    """With cores that wait for the microthreads that they started."""
    if not made.running:
        return made
    *others, last = made.sections
    waiting = Wait(tuple(sorted({each.thread for each in made.running})))
    return Lowered((*others, replace(last, blocks=tuple((role, (*script, waiting)) for role, script in last.blocks))))


def _waiting(made: Lowered, threads: Threads, i: isa.Instruction, frame: Frame) -> list[Section]:
    """The sections of an instruction, with waits for the microthreads that hold it up."""
    if not made.sections:
        return []
    found = threads.holding_up(*(_spans(names, frame) for names in (own_reads(i), writes(i))))
    if not found:
        return list(made.sections)
    first, *others = made.sections
    blocks: Blocks = tuple((role, (Wait(found), *script)) for role, script in first.blocks)
    return [replace(first, blocks=blocks), *others]


def _spans(names: Sequence[str], frame: Frame) -> tuple[Span, ...]:
    return tuple(frame.span(name) for name in names if name)
