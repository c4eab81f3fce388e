"""A level-2 program: which routers have which switches, and what the cores of each role do, section by section."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.sim.fabric.microops import MicroOp
from undiced.sim.fabric.roles import Role
from undiced.sim.fabric.routes import Switch


@dataclass(frozen=True, slots=True)
class Paint:
    """The routers of a role have this switch for a color when the program starts. None is painted twice with one color
    here; `Repaint` is how its core gives it another."""

    role: Role
    color: int
    switch: Switch


@dataclass(frozen=True, slots=True)
class Section:
    """What the cores of each role do; a core has one role of a section at most, and does nothing in it without one.

    Attributes:
        name: of the instruction or kernel step that it belongs to, for reports.
    """

    name: str
    blocks: tuple[tuple[Role, tuple[MicroOp, ...]], ...]


@dataclass(frozen=True, slots=True)
class FabricProgram:
    """A mesh of `width` x `height` cores with `memory_bytes` each. Every core runs its blocks of the sections in order;
    nothing but wavelets and its own threads holds it back."""

    width: int
    height: int
    memory_bytes: int
    paints: tuple[Paint, ...]
    sections: tuple[Section, ...]
