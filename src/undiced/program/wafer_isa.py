"""Wafer programs: regions of cores, the streams that they run, and the instructions of those.

An instruction says what is worked on and how much of it; it has no operands. Its numbers are named by INSTRUCTIONS.
Knows what a wafer program must be whatever the wafer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from undiced.core.errors import CompileError
from undiced.program.artifact import Artifact

_MOST = 1 << 30
_MOST_WAFERS = 1 << 16
_MOST_PACKED = (1 << 63) - 1  # several small numbers may share one


class Op(IntEnum):
    """Instruction codes. Never renumber: saved programs hold them."""

    VECTOR = 32
    ALLREDUCE = 35
    SHIFT = 36
    TRANSFER = 37
    TASK = 38


INSTRUCTIONS: dict[Op, tuple[str, ...]] = {  # names of `Instr.p`
    # count local vector operations of length on each core (kind: a key of the machine's cost table)
    Op.VECTOR: ("count", "length", "kind", "element_bytes"),
    # sum (or max) elements along each line, result on every core of the line
    Op.ALLREDUCE: ("axis", "elements", "element_bytes", "span", "groups", "algorithm"),
    # each core passes elements to the core hops further along axis
    Op.SHIFT: ("axis", "elements", "element_bytes", "hops", "steps"),
    # move elements from this region to another over distance hops
    Op.TRANSFER: ("elements", "element_bytes", "distance"),
    # run count scheduled tasks of a kind
    Op.TASK: ("count", "kind"),
}


@dataclass(frozen=True, slots=True)
class Instr:
    """One instruction: its numbers in the table's order, and what it is for, which reports add up by."""

    op: Op
    p: tuple[int, ...] = ()
    note: str = ""

    def param(self, name: str) -> int:
        """The integer parameter called `name` in the table."""
        return self.p[INSTRUCTIONS[self.op].index(name)]

    def __str__(self) -> str:
        numbers = [f"{name}={int(value)}" for name, value in zip(INSTRUCTIONS[self.op], self.p, strict=True)]
        return " ".join([self.op.name, *numbers]) + (f"  # {self.note}" if self.note else "")


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of cores: x, y of the first, and how many columns and rows."""

    x: int
    y: int
    width: int
    height: int

    @property
    def cores(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Region:
    """The same code over a (strided) rectangle of cores of one wafer."""

    rect: Rect
    stride_x: int = 1
    stride_y: int = 1
    code: int = 0
    params: tuple[int, ...] = ()
    wafer: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """A named instruction sequence that regions refer to by index."""

    name: str
    instrs: tuple[Instr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Artifact):
    """A model compiled for one or several wafers. Simulators time it."""

    kind: Literal["wafer"] = "wafer"
    regions: tuple[Region, ...]
    streams: tuple[Stream, ...]


def verify(program: Program) -> None:
    """Raises CompileError that names the first instruction or region which breaks a rule."""
    for stream in program.streams:
        for index, instr in enumerate(stream.instrs):
            fault = _instr_fault(instr)
            if fault:
                raise CompileError(f"Instruction {index} of stream {stream.name!r} ({instr.op.name}): {fault}.")
    bounds = program.bounds
    if not program.regions:
        raise CompileError("The program has no regions.")
    if not all(1 <= count <= _MOST for count in (bounds.batch, bounds.context, program.vocab)):
        raise CompileError(f"{bounds} and a vocabulary of {program.vocab} are out of range.")
    if not all(math.isfinite(value) for _, value in program.facts):
        raise CompileError("A fact of the program is no finite number.")
    for region in program.regions:
        fault = _region_fault(program, region)
        if fault:
            raise CompileError(f"Region {region.name!r} {fault}.")


def _instr_fault(instr: Instr) -> str:
    names = INSTRUCTIONS[instr.op]
    if len(instr.p) != len(names):
        return f"{len(instr.p)} integers, the table has {len(names)}"
    return "" if all(-_MOST <= value <= _MOST_PACKED for value in instr.p) else f"{instr.p} are out of range"


def _region_fault(program: Program, region: Region) -> str:
    if not 0 <= region.code < len(program.streams):
        return f"runs stream {region.code} of {len(program.streams)}"
    rect = region.rect
    if min(rect.x, rect.y) < 0 or min(rect.width, rect.height, region.stride_x, region.stride_y) < 1:
        return f"covers {rect} in strides of {region.stride_x} and {region.stride_y}"
    if max(rect.x, rect.y, rect.width, rect.height) > _MOST or not 0 <= region.wafer < _MOST_WAFERS:
        return f"covers {rect} of wafer {region.wafer}"
    return ""
