"""Legs: the stretches of a token that lie on one wafer each, every one a program of its own, and what passes between.

A leg's regions follow each other in the program. A token may come back to a wafer: its cores hold what they held then.
Links between wafers are no fabric: closed forms say what they take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from undiced.machine.wafer import Wafer
from undiced.program import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.value import DType
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.frames import framed
from undiced.sim.fabric.lower.handing import see_alike
from undiced.sim.fabric.lower.lower import Run, assembled, check, intact


@dataclass(frozen=True, slots=True)
class Handed:
    """What the leg before hands over: values of a region there, to one of this leg's."""

    instruction: isa.Transfer
    before: Frame
    after: Frame


@dataclass(frozen=True, slots=True)
class Leg:
    """One stretch.

    Attributes:
        wafer: its number. run: what happens there. handed: what has to be there before it starts.
    """

    wafer: int
    run: Run
    handed: tuple[Handed, ...]

    def receive(self, before: image.Bytes, here: image.Bytes) -> None:
        """Put down what is handed over: read from the memory of the leg before, rounded on the way as wavelets are."""
        for each in self.handed:
            i = each.instruction
            held = image.read(before, each.before, i.a)
            wire = DType(i.wire)
            image.put(here, each.after, i.result, image.decoded(image.encoded(held, wire), wire))


def legs_of(program: WaferProgram) -> tuple[range, ...]:
    """The numbers of the regions of each leg."""
    found = groupby(range(len(program.regions)), key=lambda number: program.regions[number].wafer)
    together = (list(numbers) for _, numbers in found)
    return tuple(range(numbers[0], numbers[-1] + 1) for numbers in together)


def lower_token(program: WaferProgram, *, token: int, position: int, wafer: Wafer) -> tuple[Leg, ...]:
    """A whole token at a position, from region to region: its embedding, all layers, the choice of the next and its way
    back. Meshes reach as far as the regions of their wafer do.

    Raises:
        UnsupportedError: an instruction has no level 2, or regions lie around defects.
        InvalidRequestError: no token or position of the program.
    """
    check(program, 0, [0], token, position)
    intact(program, range(len(program.regions)))
    sites = [(number, run) for number, region in enumerate(program.regions) for run in range(len(region.runs))]
    built, streams = framed(program, sites, token, position, wafer, legs_of(program))
    made = list[Leg]()
    for regions in legs_of(program):
        mine = [at for at, (number, _) in enumerate(sites) if number in regions]
        frames, parts = tuple(built[at] for at in mine), tuple(streams[at] for at in mine)
        lies = program.regions[regions[0]].wafer
        run = assembled(frames, parts, _size([r.rect for r in program.regions if r.wafer == lies]))
        before = built[mine[0] - 1] if made else None
        made.append(Leg(lies, run, tuple(_handed(before, frames, parts)) if before is not None else ()))
    return tuple(_as_large(made))


def _size(rects: Sequence[Rect]) -> tuple[int, int]:
    return max(rect.x + rect.width for rect in rects), max(rect.y + rect.height for rect in rects)


def _handed(before: Frame, frames: Sequence[Frame], streams: Sequence[Stream]) -> list[Handed]:
    """What comes from another wafer."""
    found = list[Handed]()
    for frame, stream in zip(frames, streams, strict=True):
        for i in stream.instructions:
            if isinstance(i, isa.Transfer) and i.off_wafer:
                see_alike(i, before, frame)
                found.append(Handed(i, before, frame))
    return found


def _as_large(legs: Sequence[Leg]) -> list[Leg]:
    """Legs on one wafer have the same memory."""
    most: dict[int, int] = {}
    for leg in legs:
        most[leg.wafer] = max(most.get(leg.wafer, 0), leg.run.program.memory_bytes)
    return [
        replace(leg, run=replace(leg.run, program=replace(leg.run.program, memory_bytes=most[leg.wafer])))
        for leg in legs
    ]


def memories(legs: Sequence[Leg], bound: Sequence[Mapping[str, image.F32]]) -> dict[int, image.Bytes]:
    """Of each wafer [height, width, bytes] with what its cores hold at first; `bound`: of all runs in order."""
    made: dict[int, image.Bytes] = {}
    left = iter(bound)
    for leg in legs:
        program = leg.run.program
        shape = program.height, program.width, program.memory_bytes
        memory = made.setdefault(leg.wafer, np.zeros(shape, dtype=np.uint8))
        for frame in leg.run.frames:
            image.fill(memory, frame, next(left))
    return made
