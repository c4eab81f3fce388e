"""What a simulation found: cycles, counts, where wavelets went, and what waits if it did not end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["finished", "deadlock", "limit"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A thread that can't go on, or a wavelet that can't: where, in what, and why, in words."""

    x: int
    y: int
    thread: str
    section: str
    operation: str
    why: str


@dataclass(frozen=True, slots=True)
class Event:
    """One operation of one thread of a watched core, in cycles."""

    x: int
    y: int
    thread: int
    section: int
    operation: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one simulation.

    Attributes:
        cycles: until the last thread has ended and no wavelet is on its way.
        memory: [height, width, bytes], of every core, as the program left it.
        finished: [height, width], when each core's last thread ended.
        loads: [height, width, 5], wavelets that left each router by each port (`routes.Port`).
        busy: [height, width], cycles in which each datapath worked.
        sections: [sections, 2], when the first core began each and when the last ended it.
        hops: wavelets that moved from one router to the next.
        active: core-cycles in which a router moved a wavelet or a core handled one; worked: core-cycles of operations
            on memory alone, and of set-ups.
        seconds: what the simulation took on this machine.
    """

    status: Status
    cycles: int
    memory: NDArray[np.uint8]
    finished: NDArray[np.uint32]
    loads: NDArray[np.uint32]
    busy: NDArray[np.uint32]
    sections: NDArray[np.uint32]
    hops: int
    active: int
    worked: int
    seconds: float
    waiting: tuple[Waiting, ...] = ()
    events: tuple[Event, ...] = field(default=())
