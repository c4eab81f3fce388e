"""What an instruction becomes: sections of a fabric program, and the microthreads that outlive them. Data alone."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.sim.fabric.microops import MicroOp
from undiced.sim.fabric.program import Section
from undiced.sim.fabric.roles import Role

Blocks = tuple[tuple[Role, tuple[MicroOp, ...]], ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `stop` of a core's memory."""

    start: int
    stop: int

    def meets(self, other: Span) -> bool:
        """Whether both have a byte in common."""
        return self.start < other.stop and other.start < self.stop


@dataclass(frozen=True, slots=True)
class Running:
    """A microthread that may still run when main threads have gone on, and the memory that it reads and writes."""

    thread: int
    reads: tuple[Span, ...] = ()
    writes: tuple[Span, ...] = ()

    def holds_up(self, reads: tuple[Span, ...], writes: tuple[Span, ...]) -> bool:
        """Whether what reads and writes this memory has to wait for the thread."""
        touched = (*self.reads, *self.writes)
        return any(mine.meets(other) for mine in self.writes for other in reads) or any(
            mine.meets(other) for mine in touched for other in writes
        )


@dataclass(frozen=True, slots=True)
class Lowered:
    """One instruction. Its first section has a block for every core that takes part."""

    sections: tuple[Section, ...]
    running: tuple[Running, ...] = ()
