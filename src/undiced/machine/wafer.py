"""A wafer and the system around it. Data only: costs live in machine/cost.py, programs elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, get_type_hints

from undiced.machine.constant import Constant
from undiced.machine.core import Core
from undiced.machine.link import Link
from undiced.machine.mesh import Mesh
from undiced.machine.queues import Queues
from undiced.machine.spares import Spares

PARTS = ("core", "mesh", "link", "queues", "spares", "system")


@dataclass(frozen=True, slots=True)
class System:
    """What surrounds a wafer. Each field says what it is."""

    clock_hz: Annotated[Constant, "default clock; every second reported is at a stated clock"]
    power_w: Annotated[Constant, "of the whole system"]
    io_bytes_per_s: Annotated[Constant, "off-wafer bandwidth, nominal"]
    host_to_device_bytes_per_s: Annotated[Constant, "from the host, one worker"]
    device_to_host_bytes_per_s: Annotated[Constant, "to the host, one worker"]
    launch_s: Annotated[Constant, "starting a program from the host"]
    wafer_to_wafer_s: Annotated[Constant, "latency from one wafer to the next"]


@dataclass(frozen=True, slots=True)
class Wafer:
    """A machine of one kind of wafer; programs may use several of them in a pipeline."""

    name: str
    core: Core
    mesh: Mesh
    link: Link
    queues: Queues
    spares: Spares
    system: System

    @property
    def built(self) -> tuple[int, int]:
        """Cores along x, spares included, and along y."""
        width, height = self.mesh.size
        return width + self.spares.count, height

    def constants(self) -> Iterator[tuple[str, Constant]]:
        """Every figure with its dotted name, in declaration order."""
        for part in PARTS:
            section = getattr(self, part)
            for field in fields(section):
                yield f"{part}.{field.name}", getattr(section, field.name)

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """What each figure is, by its dotted name."""
        parts = {name: kind for name, kind in get_type_hints(cls).items() if name != "name"}
        hints = {part: get_type_hints(kind, include_extras=True) for part, kind in parts.items()}
        return {f"{part}.{name}": hint.__metadata__[0] for part, each in hints.items() for name, hint in each.items()}

    @property
    def digest(self) -> str:
        """sha256 over name and values: says exactly which machine a program was compiled for."""
        text = self.name + "".join(f"|{name}={constant.value!r}" for name, constant in self.constants())
        return hashlib.sha256(text.encode()).hexdigest()
