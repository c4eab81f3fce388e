"""A machine without what surrounds arithmetic and wires: the floor under any program's time. Knows no program."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from undiced.machine.wafer import Wafer

_ENDLESS = ("read_bytes_per_cycle", "write_bytes_per_cycle")
_FREE = (
    "vector_setup_cycles",
    "straight_setup_cycles",
    "loop_iteration_cycles",
    "scalar_step_cycles",
    "draw_cycles",
    "local_task_cycles",
)
_FREE_LINKS = (
    "ramp_cycles",
    "step_software_cycles",
    "collective_entry_cycles",
    "star_member_cycles",
    "multicast_start_cycles",
    "multicast_skew_cycles",
    "route_write_cycles",
)


def bare(wafer: Wafer) -> Wafer:
    """`wafer` with no set-ups, no software, no ramps and endless memory ports: rates, links and distance are left."""
    core = dict.fromkeys(_ENDLESS, inf) | dict.fromkeys(_FREE, 0.0)
    return replace(
        wafer,
        core=replace(wafer.core, **{n: replace(getattr(wafer.core, n), value=v) for n, v in core.items()}),
        link=replace(wafer.link, **{n: replace(getattr(wafer.link, n), value=0.0) for n in _FREE_LINKS}),
    )
