"""How long a token's id is on its way between programs: on a wafer, from one to another, to a host and back."""

from __future__ import annotations

from undiced.machine.wafer import Wafer


def across_s(wafer: Wafer, clock_hz: float) -> float:
    """From any core of a wafer to the farthest."""
    return sum(wafer.mesh.size) * wafer.link.hop_cycles.value / clock_hz


def between_s(wafer: Wafer, clock_hz: float) -> float:
    """From any core of a wafer to any of another."""
    return wafer.system.wafer_to_wafer_s.value + 2 * across_s(wafer, clock_hz)


def host_s(wafer: Wafer, clock_hz: float) -> float:
    """Between a host and the farthest core. The link's latency is taken for that between wafers: what was measured of
    hosts is bandwidth, and the start of a program."""
    return wafer.system.wafer_to_wafer_s.value + across_s(wafer, clock_hz)
