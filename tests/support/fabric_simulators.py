"""The two simulators of the fabric, called alike: both leave the memory that they are given as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from support.fabric_twin import twin

from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.simulate import simulate

LIMIT = 1 << 20


def native(
    program: FabricProgram,
    hardware: Hardware,
    *,
    memory: NDArray[np.uint8] | None = None,
    limit: int = LIMIT,
    threads: int = 0,
) -> Outcome:
    """The native simulator on a copy of the memory, in which it works."""
    memory = None if memory is None else memory.copy()
    return simulate(program, hardware, memory=memory, limit=limit, threads=threads)


SIMULATORS = [twin, native]
