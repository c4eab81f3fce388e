"""The frames of runs: where their values lie, what code is loaded with, and which region hands over to which.

Knows programs, no instruction but those whose code is loaded with something.
"""

from __future__ import annotations

from collections.abc import Sequence

from undiced.core.errors import UnsupportedError
from undiced.machine.wafer import Wafer
from undiced.program import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower.channels import Channels
from undiced.sim.fabric.lower.frame import Constant, Frame, aligned, size_of
from undiced.sim.fabric.lower.plan import plan
from undiced.sim.fabric.lower.selects import first_ids

Sites = Sequence[tuple[int, int]]
"""Runs: of the region and the run of these numbers."""


def frames(
    program: WaferProgram, region: int, runs: Sequence[int], token: int, position: int, wafer: Wafer
) -> tuple[tuple[Frame, ...], tuple[Stream, ...]]:
    """The frame of each run of a region by itself, and its stream."""
    return framed(program, [(region, run) for run in runs], token, position, wafer)


def framed(
    program: WaferProgram, sites: Sites, token: int, position: int, wafer: Wafer, legs: Sequence[range] = ()
) -> tuple[tuple[Frame, ...], tuple[Stream, ...]]:
    """The same of runs of several regions; `legs`: those of each stretch on a wafer, if these are all runs. Then each
    is where it lies, and regions of a leg know each other."""
    streams = tuple(program.streams[program.regions[region].runs[run].stream] for region, run in sites)
    channels = Channels.of(program.streams, program.trees, streams)
    places: dict[tuple[int, Rect], list[int]] = {}
    for at, (number, _) in enumerate(sites):
        region = program.regions[number]
        places.setdefault((region.wafer, region.rect), []).append(at)
    made: dict[int, Frame] = {}
    for those in places.values():
        made |= zip(
            those, _together(program, [sites[at] for at in those], token, position, wafer, channels), strict=True
        )
    built = tuple(made[at] for at in range(len(sites)))
    for frame in built:
        _see_formats(frame)
    for leg in legs:
        _introduce(program, leg, sites, built)
    return built, streams


def _see_formats(frame: Frame) -> None:
    """No value is of a format that only level 1 executes.

    Raises:
        UnsupportedError: pairs in words.
    """
    paired = next((name for name, value in frame.shares.values.items() if value.dtype is DType.F8), None)
    if paired is not None:
        raise UnsupportedError(f"{paired} is fp8, which has no level 2.", remedy="Compile with int8 or fp16 weights.")


def _together(
    program: WaferProgram, sites: Sites, token: int, position: int, wafer: Wafer, channels: Channels
) -> list[Frame]:
    """Of runs on the same cores."""
    lying, made = plan(program, sites), list[Frame]()
    streams = [program.streams[program.regions[region].runs[run].stream] for region, run in sites]
    for (region, _), stream, homes, joined in zip(sites, streams, lying.homes, lying.joined, strict=True):
        values = values_of(program, stream)
        made.append(
            Frame(
                wafer=wafer,
                region=program.regions[region],
                shares=Shares(values, program.trees, Step(context=position + 1)),
                full=Shares(values, program.trees),
                homes=homes,
                joined=joined,
                shifted=frozenset(i.a for i in stream.instructions if isinstance(i, isa.ShiftProduct)),
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
    return made


def _load(made: Sequence[Frame], streams: Sequence[Stream], end: int) -> None:
    """Room for what the code of all runs is loaded with and for what the host sends, before memory that instructions
    take for a time."""
    for frame, stream in zip(made, streams, strict=True):
        for i in stream.instructions:
            if isinstance(i, isa.Select):
                numbers = first_ids(i, frame)
                frame.constants[i.result] = Constant(end, numbers)
                end += aligned(numbers.shape[2] * size_of(DType.F32))
            if isinstance(i, isa.Read):
                frame.hosted[i.result] = end
                end += aligned(frame.shares.size(i.result) * size_of(frame.value(i.result).dtype))
    for frame in made:
        frame.free = frame.top = end


def _introduce(program: WaferProgram, leg: range, sites: Sites, built: Sequence[Frame]) -> None:
    """Each frame to one of the region before and to one of the leg's first: the last of their runs."""
    last = {number: frame for (number, _), frame in zip(sites, built, strict=True) if number in leg}
    for (number, _), frame in zip(sites, built, strict=True):
        if number in leg:
            frame.origin = frame.region.rect.x, frame.region.rect.y
            frame.regions, frame.number = program.regions[leg.start : leg.stop], number - leg.start
            frame.before, frame.first = last.get(number - 1), last[leg.start]
