"""The two simulators of the fabric, called alike, and how what they found differs. Both leave the memory that they are
given as it is.
"""

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


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """Names of the fields that differ. When a deadlock is seen is free."""
    numbers, arrays = ["status", "hops", "active", "worked"], ["memory", "loads", "busy"]
    if ours.status != "deadlock":
        numbers, arrays = [*numbers, "cycles"], [*arrays, "finished", "sections"]
    found = [name for name in numbers if getattr(ours, name) != getattr(theirs, name)]
    found += [name for name in arrays if not np.array_equal(getattr(ours, name), getattr(theirs, name))]
    return found if waiting(ours) == waiting(theirs) else [*found, "waiting"]


def waiting(outcome: Outcome) -> set[tuple[int, int, str]]:
    """Who waits, and where."""
    return {(w.x, w.y, w.thread) for w in outcome.waiting}
