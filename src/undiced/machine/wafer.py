"""A wafer and the system around it. Data only: costs live in machine/cost.py, programs elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields

from undiced.machine.constant import Constant
from undiced.machine.core import Core
from undiced.machine.link import Link
from undiced.machine.mesh import Mesh
from undiced.machine.queues import Queues


@dataclass(frozen=True, slots=True)
class System:
    """What surrounds a wafer.

    Attributes:
        clock_hz: default clock; every second reported is at a stated clock.
        power_w: of the whole system.
        io_bytes_per_s: off-wafer bandwidth, nominal.
        host_to_device_bytes_per_s, device_to_host_bytes_per_s: measured, one worker.
        launch_s: starting a program from the host.
        wafer_to_wafer_s: latency from one wafer to the next.
    """

    clock_hz: Constant
    power_w: Constant
    io_bytes_per_s: Constant
    host_to_device_bytes_per_s: Constant
    device_to_host_bytes_per_s: Constant
    launch_s: Constant
    wafer_to_wafer_s: Constant


@dataclass(frozen=True, slots=True)
class Wafer:
    """A machine of one kind of wafer; programs may use several of them in a pipeline."""

    name: str
    core: Core
    mesh: Mesh
    link: Link
    queues: Queues
    system: System

    def constants(self) -> Iterator[tuple[str, Constant]]:
        """Every figure with its dotted name, in declaration order."""
        for part in ("core", "mesh", "link", "queues", "system"):
            section = getattr(self, part)
            for field in fields(section):
                yield f"{part}.{field.name}", getattr(section, field.name)

    @property
    def digest(self) -> str:
        """sha256 over name and values: says exactly which machine a program was compiled for."""
        text = self.name + "".join(f"|{name}={constant.value!r}" for name, constant in self.constants())
        return hashlib.sha256(text.encode()).hexdigest()
