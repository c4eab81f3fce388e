"""What a wafer's work takes: joules of an operation, a byte, a hop, an instruction, and of nothing at all. Nobody has
published one of them for a wafer: each is a figure for 45 nm times what a smaller process saves, over its range.

Knows machines and no program. Draws that no system of the published power could feed are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated

from undiced.core.errors import CompileError
from undiced.machine.constant import Constant, assumed, derived, published
from undiced.machine.ranges import Assumed, draws
from undiced.machine.wafer import Wafer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

COUNTS = (
    "multiply_adds_16bit",
    "multiply_adds_32bit",
    "others_16bit",
    "others_32bit",
    "sram_bytes",
    "instructions",
    "wavelet_hops",
    "wavelet_ramps",
    "off_wafer_bytes",
)
_SCALED = (  # what each of them but the last takes
    "multiply_add_16bit",
    "multiply_add_32bit",
    "other_16bit",
    "other_32bit",
    "sram_byte",
    "instruction",
    "wavelet_hop",
    "wavelet_ramp",
)
DRAWS = 1024
_LEAST, _MOST = 0.4, 1.0  # of the published power, for a core whose ports and links are all busy
_H14 = "ISSCC 2014, Computing's energy problem, 45 nm"
_ISSUE_EVERY = 8  # cycles, where vector operations stream
_PROCESS = {  # by how a machine's name begins
    "wse1": assumed(0.45, "1", "16 nm over 45 nm", 0.25, 0.7),
    "wse2": assumed(0.22, "1", "7 nm over 45 nm", 0.1, 0.4),
}


@dataclass(frozen=True, slots=True)
class Energy:
    """What work takes, before the process is accounted for. Each field says what it is."""

    process: Annotated[Constant, "switching energy over that of 45 nm"]
    multiply_add_16bit_j: Annotated[Constant, "fp16 multiply and add"]
    multiply_add_32bit_j: Annotated[Constant, "fp32 multiply and add, and fp16 products into fp32 sums"]
    other_16bit_j: Annotated[Constant, "any other operation on 16 bits"]
    other_32bit_j: Annotated[Constant, "any other operation on 32 bits"]
    sram_byte_j: Annotated[Constant, "a byte read or written in a core's memory"]
    instruction_j: Annotated[Constant, "an instruction fetched, decoded and issued"]
    wavelet_hop_j: Annotated[Constant, "a wavelet through a router and over a link"]
    wavelet_ramp_j: Annotated[Constant, "a wavelet between a router and its core, either way"]
    off_wafer_byte_j: Annotated[Constant, "a byte from wafer to wafer, at any process"]
    idle_share: Annotated[Constant, "of the wafer's published power, when no program runs: leakage and clocks"]
    delivered_share: Annotated[Constant, "of the system's power that arrives at the wafer: conversion, pumps, fans"]
    voltage_v: Annotated[Constant, "at the wafer"]
    coolant_l_per_min_kw: Annotated[Constant, "liters a minute for each kW of the system's published power"]
    coolant_j_per_l_k: Annotated[Constant, "heat that a liter takes for each kelvin"]

    def constants(self) -> Iterator[tuple[str, Constant]]:
        """Every figure with its name."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)


def energy_of(wafer: Wafer) -> Energy:
    """The figures of a machine."""
    return replace(_WSE3, process=_PROCESS.get(wafer.name[:4], _WSE3.process))


_WSE3 = Energy(
    process=assumed(0.2, "1", "5 nm over 45 nm", 0.1, 0.4),
    multiply_add_16bit_j=derived(1.5e-12, "J", f"{_H14}: multiply 1.1 pJ, add 0.4 pJ"),
    multiply_add_32bit_j=derived(4.6e-12, "J", f"{_H14}: multiply 3.7 pJ, add 0.9 pJ"),
    other_16bit_j=published(0.4e-12, "J", f"{_H14}: fp16 add"),
    other_32bit_j=published(0.9e-12, "J", f"{_H14}: fp32 add"),
    sram_byte_j=assumed(1.25e-12, "J", f"{_H14}: 64 bits of 8 KB in 10 pJ, of 32 KB in 20 pJ", 0.8e-12, 2.5e-12),
    instruction_j=assumed(25e-12, "J", f"{_H14}: 70 pJ in a general-purpose core; this one is smaller", 8e-12, 70e-12),
    wavelet_hop_j=assumed(
        6e-12,
        "J",
        "32 bits over 0.22 mm at 40 fJ a bit and mm (DATE 2013, 45 nm) and a router; 0.6 pJ a delivered bit in a mesh "
        "of 45 nm (DAC 2012)",
        1.5e-12,
        19e-12,
    ),
    wavelet_ramp_j=assumed(3e-12, "J", "half a hop: a queue and no long wire", 0.7e-12, 10e-12),
    off_wafer_byte_j=assumed(160e-12, "J", "two network interfaces and a switch, 10 to 50 pJ a bit", 80e-12, 400e-12),
    idle_share=assumed(0.3, "1", "leakage and clocks of a large die that waits", 0.15, 0.45),
    delivered_share=assumed(0.85, "1", "two conversions, 50 V to 12 V to the core's; pumps and fans", 0.75, 0.92),
    coolant_l_per_min_kw=published(4.0, "l/min/kW", "secondary sources: about 4"),
    coolant_j_per_l_k=published(4170.0, "J/l/K", "water at 30 degrees"),
    voltage_v=assumed(0.8, "V", "about 1 V by secondary sources; 0.65 to 0.8 V is usual at 5 nm", 0.65, 1.0),
)


@dataclass(frozen=True, slots=True)
class EnergyDraws:
    """A machine's figures as draws that its published power allows.

    Attributes:
        joules: [draws, counts], in the order of `COUNTS`. idle_w: of a wafer, [draws]; delivered, volts: [draws].
        drawn: how many were drawn.
    """

    joules: Numbers
    idle_w: Numbers
    delivered: Numbers
    volts: Numbers
    drawn: int

    @property
    def mean(self) -> Numbers:
        """Joules of each count, on average."""
        found: Numbers = self.joules.mean(axis=0)
        return found


def energy_draws(wafer: Wafer) -> EnergyDraws:
    """All that is assumed drawn at once, and what is left of it.

    Raises:
        CompileError: nothing is, for a machine whose power does not go with its cores.
    """
    import numpy as np

    energy = energy_of(wafer)
    ranged = tuple(Assumed(name, *each.span) for name, each in energy.constants() if each.span[0] < each.span[1])
    found = [{name: each.value for name, each in energy.constants()} | drawn for drawn in draws(ranged, DRAWS)]
    columns = {name: np.array([one[name] for one in found]) for name in found[0]}
    scaled = [columns[f"{name}_j"] * columns["process"] for name in _SCALED]
    joules = np.stack([*scaled, columns["off_wafer_byte_j"]], axis=1)
    power_w = wafer.system.power_w.value * columns["delivered_share"]
    idle_w = columns["idle_share"] * power_w
    full = (idle_w + joules @ _all_out(wafer)) / power_w
    kept = (full >= _LEAST) & (full <= _MOST)
    if not kept.any():
        raise CompileError(
            f"{wafer.name} is said to take {wafer.system.power_w.value:,.0f} W: no energies that are assumed fit that.",
            remedy="Give the machine's file a system.power_w that its cores can take, or none.",
        )
    return EnergyDraws(
        joules[kept], idle_w[kept], columns["delivered_share"][kept], columns["voltage_v"][kept], len(found)
    )


def _all_out(wafer: Wafer) -> Numbers:
    """Counts a second of a wafer whose cores stream operands at full ports, with all four links busy."""
    import numpy as np

    core, link = wafer.core, wafer.link
    read, write = core.read_bytes_per_cycle.value, core.write_bytes_per_cycle.value
    adds = min(core.lanes_16bit.value, read / 4)  # two operands of 16 bits each
    a_cycle = [adds, 0, 0, 0, read + write, 1 / _ISSUE_EVERY, 4 * link.wavelets_per_cycle.value, 0, 0]
    return np.array(a_cycle) * wafer.mesh.cores_enabled.value * wafer.system.clock_hz.value
