"""Writes streams of published mappings: one method an instruction kind. Knows the table, not what is computed."""

from __future__ import annotations

from undiced.machine.collective import ELEMENTS_PER_POSITION
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

    def vector(
        self,
        note: str,
        kind: Kind,
        count: int,
        length: int,
        element_bytes: int = 2,
        *,
        per_position: str = "",
        overlapped: bool = False,
    ) -> None:
        """`count` operations over `length` elements; `per_position`: "length" or "count" scales with KV positions."""
        if count <= 0 or length <= 0:
            return
        scale = {"": 0, "length": LENGTH_PER_POSITION, "count": COUNT_PER_POSITION}[per_position]
        code = int(kind) | scale | OVERLAP * overlapped
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
        per_position: bool = False,
    ) -> None:
        """A reduction over lines of `span` cores along `axis`, result on every core of the line."""
        if elements <= 0 or span <= 1:
            return
        code = algorithm | ELEMENTS_PER_POSITION * per_position
        p = (axis, elements, element_bytes, span, groups, code)
        self._instrs.append(Instr(Op.ALLREDUCE, p=p, note=note))

    def shift(self, note: str, axis: int, elements: int, element_bytes: int, hops: int, steps: int) -> None:
        """`steps` cyclic passes of a tile, `hops` at a time."""
        self._instrs.append(Instr(Op.SHIFT, p=(axis, elements, element_bytes, hops, steps), note=note))

    def overlapped(self, note: str, kind: Kind, count: int, length: int, element_bytes: int = 2) -> None:
        """Vector operations that run while the shifts just before are under way."""
        self.vector(note, kind, count, length, element_bytes, overlapped=True)

    def transfer(self, note: str, elements: int, element_bytes: int, distance: int) -> None:
        """Elements of each row move to another region."""
        self._instrs.append(Instr(Op.TRANSFER, p=(elements, element_bytes, distance), note=note))

    def task(self, note: str, count: int, kind: Task) -> None:
        """`count` scheduled tasks."""
        if count > 0:
            self._instrs.append(Instr(Op.TASK, p=(count, int(kind)), note=note))
