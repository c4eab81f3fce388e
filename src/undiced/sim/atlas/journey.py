"""Journey: one token's way through the regions: when each run begins and ends, and what passes from region to region.

Knows the clock's critical paths of streams, which follow each other; nothing here is estimated anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from undiced.program.rect import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import Region, WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import BITS, DType
from undiced.sim.atlas.contents import Role, role
from undiced.sim.paths import Paths

_IDS = DType.I32  # a token's number, as it returns


@dataclass(frozen=True, slots=True)
class Span:
    """What one place does for one stretch of a token's time, in cycles from the token's start."""

    place: int
    role: Role
    layer: int
    start: float
    cycles: float

    @property
    def end(self) -> float:
        """When the next one begins."""
        return self.start + self.cycles


@dataclass(frozen=True, slots=True)
class Turn:
    """One run at a place, in cycles from the token's start; `stream`: which of the paths it takes."""

    place: int
    stream: int
    role: Role
    layer: int
    start: float
    cycles: float

    @property
    def end(self) -> float:
        """When the next one begins."""
        return self.start + self.cycles


@dataclass(frozen=True, slots=True)
class HandOver:
    """What passes from one place to the next.

    Attributes:
        returns: whether it goes back to where the token began.
        carried: the values, by name. size_bytes: of all of them, once.
        hops: the longest way on the wafer; off_wafer: whether it leaves it.
        cycles: on the critical path, queues given other colors included.
    """

    source: int
    target: int
    returns: bool
    carried: tuple[str, ...]
    size_bytes: int
    hops: int
    off_wafer: bool
    cycles: float


def turns(program: WaferProgram, paths: Paths) -> tuple[Turn, ...]:
    """The runs of a token, in order; each begins where the one before ends."""
    where = _where(program)
    roles = {of_layer: [role(stream, of_layer) for stream in program.streams] for of_layer in (False, True)}
    found: list[Turn] = []
    at = 0.0
    for region in program.regions:
        for run in region.runs:
            cycles = paths.of(region, run.stream).cost.cycles
            what = roles[run.layer >= 0][run.stream]
            found.append(
                Turn(where[region.wafer, region.rect], paths.number(region, run.stream), what, run.layer, at, cycles)
            )
            at += cycles
    return tuple(found)


def journey(runs: tuple[Turn, ...]) -> tuple[Span, ...]:
    """The spans of a token, in order; equal neighbors are one. They add up to the token's cycles."""
    found: list[Span] = []
    for turn in runs:
        what = turn.place, turn.role, turn.layer
        last = found[-1] if found else None
        if last is not None and (last.place, last.role, last.layer) == what:
            found[-1] = replace(last, cycles=last.cycles + turn.cycles)
        elif turn.cycles:
            found.append(Span(*what, turn.start, turn.cycles))
    return tuple(found)


def hand_overs(program: WaferProgram, paths: Paths, step: Step) -> tuple[HandOver, ...]:
    """Everything that passes between places, in the order of a token."""
    where = _where(program)
    places = [where[region.wafer, region.rect] for region in program.regions]
    out = []
    for number, region in enumerate(program.regions):
        if number:
            out += list(_arriving(program, paths, step, region, (places[number - 1], places[number])))
        for run in region.runs:
            returned = [i for i in program.streams[run.stream].instructions if isinstance(i, isa.Return)]
            if returned:
                hops, off = max(i.distance for i in returned), any(i.off_wafer for i in returned)
                size = len(returned) * step.size * int(BITS[_IDS] // 8)
                names = tuple(i.a for i in returned)
                cycles = paths.of(region, run.stream).cost.cycles
                out.append(HandOver(places[number], places[0], True, names, size, hops, off, cycles))
    return tuple(out)


def _arriving(
    program: WaferProgram, paths: Paths, step: Step, region: Region, ends: tuple[int, int]
) -> Iterator[HandOver]:
    for run in region.runs:
        stream = program.streams[run.stream]
        transfers = [i for i in stream.instructions if isinstance(i, isa.Transfer)]
        if transfers:
            shares = Shares(values_of(program, stream), program.trees, step)
            yield HandOver(
                *ends,
                any(i.back for i in transfers),
                tuple(i.a for i in transfers),
                sum(_bytes(i, shares) for i in transfers),
                max(i.distance for i in transfers),
                any(i.off_wafer for i in transfers),
                paths.of(region, run.stream).cost.cycles,
            )


def _bytes(i: isa.Transfer, shares: Shares) -> int:
    """Of the whole value, in the type that it travels in."""
    elements = prod(dim.size for dim in shares.values[i.result].dims) * shares.step.size
    return int(elements * BITS[DType(i.wire)] / 8)


def _where(program: WaferProgram) -> dict[tuple[int, Rect], int]:
    return {(visits[0].wafer, visits[0].rect): number for number, visits in enumerate(program.places)}


def busiest(spans: tuple[Span, ...]) -> dict[Role, float]:
    """Cycles of a token by what they are for, most first."""
    found: dict[Role, float] = defaultdict(float)
    for span in spans:
        found[span.role] += span.cycles
    return dict(sorted(found.items(), key=lambda item: -item[1]))
