"""What a machine's routers and queues leave to programs, and what another color of a queue costs. Knows no program."""

from __future__ import annotations

from typing import Literal

from undiced.machine.cost import Cost
from undiced.machine.queues import Queues
from undiced.machine.wafer import Wafer
from undiced.program.wafer.fabric import Fabric
from undiced.program.wafer.verify import Hardware


def fabric(wafer: Wafer) -> Fabric:
    """Colors, switch positions and queues that the host's copy routines do not take."""
    mesh, queues = wafer.mesh, wafer.queues
    return Fabric(
        colors=int(mesh.colors.value - mesh.reserved_colors.value),
        positions=int(mesh.switch_positions.value),
        inputs=_there(queues, "input"),
        outputs=_there(queues, "output"),
        binds=queues.output_colors.value < mesh.colors.value,
    )


def hardware(wafer: Wafer) -> Hardware:
    """What programs are verified for."""
    return Hardware(wafer.mesh.size, int(wafer.core.sram_bytes.value), fabric(wafer))


def rebinding(wafer: Wafer) -> Cost:
    """One output queue given another color: the task of the empty queue, its writes, the task that goes on."""
    queues = wafer.queues
    tasks = queues.rebind_tasks.value * wafer.core.local_task_cycles.value
    return Cost(overhead=tasks + queues.rebind_writes.value * wafer.link.route_write_cycles.value)


def repainting(wafer: Wafer) -> Cost:
    """One register written to give a color another route."""
    return Cost(overhead=wafer.link.route_write_cycles.value)


def _there(queues: Queues, way: Literal["input", "output"]) -> tuple[int, ...]:
    """Numbers of the queues that exist, without those that are reserved."""
    first = int(queues.reserved.value)
    return tuple(n for n, depth in enumerate(queues.depths(way)) if n >= first and depth > 0)
