"""How many users of which context a program's memory holds, and how fast each of them is when all are served.

Users share the pipeline: `lockstep` of them go through a region together, groups of so many follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from msgspec.structs import replace as with_fields

from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Dim
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import Value
from undiced.sim.clock import Timing, time_step

_HELD = "context/"


@dataclass(frozen=True, slots=True)
class Point:
    """So many users with so long a context each, all at once.

    Attributes:
        lockstep: how many go together. tokens_per_second: of one of them; aggregate: of all.
    """

    users: int
    context: int
    lockstep: int
    tokens_per_second: float

    @property
    def aggregate(self) -> float:
        """Tokens per second of all users."""
        return self.users * self.tokens_per_second

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {
            "streams": self.users,
            "context": self.context,
            "lockstep": self.lockstep,
            "tokens_per_second": self.tokens_per_second,
            "aggregate_tokens_per_second": self.aggregate,
        }


def held(program: WaferProgram) -> dict[int, int]:
    """The longest context of each of so many users, doubled until none is left."""
    return {int(n.removeprefix(_HELD)): int(most) for n, most in program.facts if n.startswith(_HELD)}


def point(timing: Timing, users: int) -> Point:
    """Of a step of as many sequences as go together: the next token of a user waits for the groups of others.

    A user's token leaves the pipeline before the next one enters it.
    """
    lockstep = timing.step.sequences
    cycles = max(timing.token_cycles, ceil(users / lockstep) * timing.initiation_interval_cycles)
    return Point(users, timing.step.context, lockstep, timing.clock_hz / cycles)


def longest(program: WaferProgram, wafer: Wafer, clock_hz: float | None, step: Step) -> Iterator[Point]:
    """For each number of users that fills the step the longest context that memory has room for."""
    for users, most in held(program).items():
        if users >= step.sequences:
            yield point(timed(program, wafer, replace(step, context=most), clock_hz), users)


def timed(program: WaferProgram, wafer: Wafer, step: Step, clock_hz: float | None) -> Timing:
    """One step at a context that the same regions have room for, though other users' room be taken for it."""
    if step.context <= program.bounds.context:
        return time_step(program, wafer, step, clock_hz)
    streams = tuple(_stretched(stream, program.bounds.context, step.context) for stream in program.streams)
    return time_step(with_fields(program, streams=streams), wafer, step, clock_hz, varied=wafer)


def _stretched(stream: Stream, room: int, context: int) -> Stream:
    """With caches for as many positions; rings of windows grow no longer than their window."""
    windows = [i.window or i.chunk for i in stream.instructions if isinstance(i, isa.Mask) and (i.window or i.chunk)]
    most = min([context, *windows])

    def grown(value: Value) -> Value:
        dims = tuple(Dim(d.name, max(d.size, most)) if (d.name, d.size) == (POSITION, room) else d for d in value.dims)
        return value if dims == value.dims else with_fields(value, dims=dims)

    return with_fields(stream, values=tuple(map(grown, stream.values)))
