"""Deeds: what a run of a stream does and when, instruction by instruction: who works, and what is on the wires.

Knows the clock's spans, which overlap as they do there; nothing here is estimated anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from undiced.machine.timeline import Span
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Keeper, Owner
from undiced.program.wafer.operands import writes
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.workload import work
from undiced.sim.paths import Paths

_SENT_ON = (isa.Transfer, isa.Return)
_SWITCHED = (isa.Rebind, isa.Repaint)


class Who(StrEnum):
    """Whose time an instruction takes."""

    CORES = "all cores"
    FEW = "roots and owners"
    SUMS = "sums"
    CASTS = "multicasts"
    BETWEEN = "between regions"


WIRES = (Who.SUMS, Who.CASTS, Who.BETWEEN)


@dataclass(frozen=True, slots=True)
class Deed:
    """One instruction of a run, in cycles from the run's start.

    Attributes:
        node: of the graph. kind: of instruction. made: the value that it makes, or sends.
        axis: along which lines of cores it moves something; None for what moves nothing along lines.
        tree: number of the tree that it goes up or down; -1 where there is none.
        size_bytes: what passes along every line, all slices together; of a hand-over, along the busiest way.
        off_wafer: whether it leaves the wafer.
    """

    who: Who
    node: str
    kind: str
    made: str
    start: float
    end: float
    axis: Axis | None = None
    span: int = 0
    tree: int = -1
    size_bytes: int = 0
    off_wafer: bool = False

    @property
    def cycles(self) -> float:
        """How long it takes."""
        return self.end - self.start


def deeds(program: WaferProgram, paths: Paths, step: Step) -> tuple[tuple[Deed, ...], ...]:
    """Of every path, in the order of its instructions; what takes no time is left out."""
    return tuple(
        tuple(_deeds(stream, path.spans, Shares(values_of(program, stream), program.trees, step)))
        for stream, path in ((program.streams[number], path) for number, path in paths.found)
    )


def _deeds(stream: Stream, spans: tuple[Span, ...], shares: Shares) -> Iterable[Deed]:
    assert len(stream.instructions) == len(spans)
    return (_deed(span, shares) for span in spans if span.end > span.start)


def _deed(span: Span, shares: Shares) -> Deed:
    i = span.instruction
    told = i.node, type(i).__name__, _made(i), span.start, span.end
    if isinstance(i, isa.Reduce | isa.Multicast):
        sums = isinstance(i, isa.Reduce)
        part = shares.roots(i.result if sums else i.a)
        tree = part.tree if part is not None else -1
        return Deed(Who.SUMS if sums else Who.CASTS, *told, i.line.axis, i.line.span, tree, _carried(i, shares))
    if isinstance(i, _SENT_ON):
        return Deed(Who.BETWEEN, *told, size_bytes=_carried(i, shares), off_wafer=i.off_wafer)
    return Deed(Who.CORES if isinstance(i, _SWITCHED) or _by_all(i, shares) else Who.FEW, *told)


def _carried(i: isa.Instruction, shares: Shares) -> int:
    haul = work(i, shares).haul
    return sum(haul.pieces) if haul is not None else 0


def _made(i: isa.Instruction) -> str:
    return next(iter(writes(i)), getattr(i, "a", ""))


def _by_all(i: isa.Instruction, shares: Shares) -> bool:
    """Whether all cores make what an instruction makes, and not roots, owners or keepers alone."""
    for name in writes(i):
        value = shares.stored(name)
        if shares.roots(name) is not None or any(isinstance(p, Owner | Keeper) for p in (*value.rows, *value.columns)):
            return False
    return True


def covered(found: Iterable[Deed], whose: tuple[Who, ...]) -> float:
    """Cycles of a run in which somebody of `whose` is at work, overlaps counted once."""
    total = end = 0.0
    for deed in sorted((deed for deed in found if deed.who in whose), key=lambda deed: deed.start):
        total += max(deed.end - max(deed.start, end), 0.0)
        end = max(end, deed.end)
    return total
