"""The one published power of a program on a wafer, beside what the same energies give for it. Fits nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from undiced.machine import find_machine
from undiced.machine.constant import Constant, measured
from undiced.machine.energy import COUNTS, energy_draws
from undiced.machine.interval import Interval

_SIDE, _CORES = 33_000, 750  # elements of a side of each matrix, cores of a side
_FLOPS = measured(349.0e12, "1/s", "IPSJ 34:132, 2026: SGEMM of 33,000 squared on 750 x 750 cores of a WSE-2")
_WATTS = measured(349.0 / 79.66e-3, "W", "the same, 79.66 GFlop/s a watt; of what is not stated")


@dataclass(frozen=True, slots=True)
class Check:
    """Watts that were measured, and an interval for the wafer alone and for its system."""

    what: str
    published: Constant
    wafer_w: Interval
    system_w: Interval


def check() -> Check:
    """A product of matrices in fp32: sums in memory, tiles that pass two hops a step, a vector operation a column."""
    wafer = find_machine("wse2")
    drawn, tile, adds = energy_draws(wafer), _SIDE / _CORES, _FLOPS.value / 2
    each = {
        "multiply_adds_32bit": 1.0,
        "sram_bytes": 12.0 + 2 * 2 * 4 / tile,
        "instructions": (1 + wafer.core.vector_setup_cycles.value) / tile,
        "wavelet_hops": 2 * 2 / tile,
        "wavelet_ramps": 2 * 2 / tile,
    }
    watts = drawn.idle_w + drawn.joules @ np.array([each.get(name, 0.0) for name in COUNTS]) * adds
    return Check(_FLOPS.source, _WATTS, Interval.of(watts), Interval.of(watts / drawn.delivered))
