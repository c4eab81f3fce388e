"""Writes wafer instruction streams: one method an instruction kind. Knows the table, not what is computed."""

from __future__ import annotations

from dataclasses import replace

from undiced.machine.collective import AHEAD, ELEMENTS_PER_POSITION, with_slices
from undiced.machine.instruction import Task
from undiced.machine.vector import COUNT_PER_POSITION, LENGTH_PER_POSITION, OVERLAP, Kind
from undiced.program import Instr, Op, Stream

X, Y = 0, 1  # axes


class StreamBuilder:
    """Collects the instructions of one stream in execution order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._instrs: list[Instr] = []

    def build(self) -> Stream:
        """The finished stream."""
        return Stream(self._name, tuple(self._instrs))

    def __len__(self) -> int:
        return len(self._instrs)

    def written(self, start: int) -> tuple[Instr, ...]:
        """The instructions from index `start` on."""
        return tuple(self._instrs[start:])

    def mark_overlap(self, start: int) -> None:
        """Everything from index `start` on, vector operations all, runs beside the collective just before it."""
        for index in range(start, len(self._instrs)):
            count, length, kind, element_bytes = self._instrs[index].p
            self._instrs[index] = replace(self._instrs[index], p=(count, length, kind | OVERLAP, element_bytes))

    def vector(
        self,
        note: str,
        kind: Kind,
        count: int,
        length: int,
        element_bytes: int = 2,
        *,
        per_position: str = "",
        modifiers: int = 0,
    ) -> None:
        """`count` operations over `length` elements; `per_position`: "length" or "count" scales with KV positions."""
        if count <= 0 or length <= 0:
            return
        scale = {"": 0, "length": LENGTH_PER_POSITION, "count": COUNT_PER_POSITION}[per_position]
        code = int(kind) | scale | modifiers
        self._instrs.append(Instr(Op.VECTOR, p=(count, length, code, element_bytes), note=note))

    def allreduce(
        self,
        note: str,
        axis: int,
        elements: int,
        element_bytes: int,
        span: int,
        groups: int,
        algorithm: int,
        *,
        color: int = 0,
        per_position: bool = False,
    ) -> None:
        """A reduction over lines of `span` cores along `axis`, result on every core of the line."""
        if elements <= 0 or span <= 1:
            return
        code = algorithm | ELEMENTS_PER_POSITION * per_position
        p = (axis, elements, element_bytes, span, groups, code, color)
        self._instrs.append(Instr(Op.ALLREDUCE, p=p, note=note))

    def reduce(
        self,
        note: str,
        axis: int,
        elements: int,
        element_bytes: int,
        span: int,
        slices: int,
        *,
        color: int = 0,
        per_position: bool = False,
        ahead: bool = False,
    ) -> None:
        """A reduction to `slices` neighboring roots of each line, each of which holds its slice of the sum; or one that
        went `ahead` of the product just before, over the first of those trees."""
        code = with_slices(0, slices) | ELEMENTS_PER_POSITION * per_position | AHEAD * ahead
        p = (axis, elements, element_bytes, span, 0, code, color)
        self._instrs.append(Instr(Op.REDUCE, p=p, note=note))

    def multicast(
        self,
        note: str,
        axis: int,
        elements: int,
        element_bytes: int,
        span: int,
        color: int = 0,
        *,
        slices: int = 1,
        per_position: bool = False,
    ) -> None:
        """One core of each line, or `slices` neighbors with a share each, send to all within `span` hops."""
        code = with_slices(color, slices) | ELEMENTS_PER_POSITION * per_position
        self._instrs.append(Instr(Op.MULTICAST, p=(axis, elements, element_bytes, span, code), note=note))

    def shift(
        self, note: str, axis: int, elements: int, element_bytes: int, hops: int, steps: int, color: int = 0
    ) -> None:
        """`steps` cyclic passes of a tile, `hops` at a time."""
        self._instrs.append(Instr(Op.SHIFT, p=(axis, elements, element_bytes, hops, steps, color), note=note))

    def overlapped(self, note: str, kind: Kind, count: int, length: int, element_bytes: int = 2) -> None:
        """Vector operations that run while the shifts just before are under way."""
        self.vector(note, kind, count, length, element_bytes, modifiers=OVERLAP)

    def transfer(self, note: str, elements: int, element_bytes: int, distance: int, *, off_wafer: bool = False) -> None:
        """Elements of each row move to another region, or to the next wafer."""
        self._instrs.append(Instr(Op.TRANSFER, p=(elements, element_bytes, distance, int(off_wafer), 0), note=note))

    def task(self, note: str, count: int, kind: Task) -> None:
        """`count` scheduled tasks."""
        if count > 0:
            self._instrs.append(Instr(Op.TASK, p=(count, int(kind)), note=note))
