"""The critical paths of a program's streams, each once; again where a region's defects make its lines longer."""

from __future__ import annotations

from dataclasses import dataclass, field

from undiced.machine.detours import Detours, Kind, detours, whole
from undiced.machine.timeline import Path, critical_path
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import Region, WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step


@dataclass(slots=True)
class Paths:
    """Paths of a step of `program` at a clock.

    Attributes:
        found: streams' numbers with their paths; first each stream as on wafers without defects.
    """

    program: WaferProgram
    wafer: Wafer
    step: Step
    clock_hz: float
    found: list[tuple[int, Path]] = field(default_factory=list)
    _numbers: dict[tuple[int, Detours], int] = field(default_factory=dict)
    _detours: dict[int, Detours] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = _kinds(self.program) if self.program.individuals else set()
        for region in self.program.regions:
            one = self.program.individual(region.wafer)
            self._detours[id(region)] = detours(one, region, kinds | set(whole(region)), self.wafer.spares)
        for stream in range(len(self.program.streams)):
            self._number(stream, ())

    def number(self, region: Region, stream: int) -> int:
        """Where in `found` the path of a stream in a region is."""
        return self._number(stream, self._detours[id(region)])

    def of(self, region: Region, stream: int) -> Path:
        """The path of a stream in a region."""
        return self.found[self.number(region, stream)][1]

    def _number(self, stream: int, longer: Detours) -> int:
        number = self._numbers.get((stream, longer))
        if number is None:
            number = self._numbers[stream, longer] = len(self.found)
            self.found.append((stream, self._path(stream, longer)))
        return number

    def _path(self, number: int, longer: Detours) -> Path:
        stream = self.program.streams[number]
        step = self.step.ending if stream.last else self.step
        shares = Shares(values_of(self.program, stream), self.program.trees, step)
        return critical_path(
            self.wafer,
            stream.instructions,
            shares,
            self.clock_hz,
            synchronous=stream.synchronous,
            longer=dict(longer),
        )


def _kinds(program: WaferProgram) -> set[Kind]:
    """Every kind of line that a mover of the program has."""
    movers = (i for stream in program.streams for i in stream.instructions)
    return {(i.line.axis, i.line.span) for i in movers if isinstance(i, isa.Reduce | isa.Multicast)}
