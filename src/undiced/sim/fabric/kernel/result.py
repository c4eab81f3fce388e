"""What a run of a kernel gave: its arrays, its cycles at a clock, what moved. Knows no simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undiced.sim.fabric.kernel.array import Array
from undiced.sim.fabric.kernel.cores import Cores
from undiced.sim.fabric.kernel.memory import values_of
from undiced.sim.fabric.outcome import Outcome

if TYPE_CHECKING:
    from undiced.sim.fabric.kernel.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Result:
    """Of one run.

    Attributes:
        steps: names of the sections that the kernel's blocks became. outcome: all that the simulator found.
        machine, clock_hz, link_rate: what it was simulated as; link_rate in wavelets per cycle.
    """

    kernel: Kernel
    steps: tuple[str, ...]
    outcome: Outcome
    machine: str
    clock_hz: float
    link_rate: float

    @property
    def cycles(self) -> int:
        """Until the last core has ended and no wavelet is on its way."""
        return self.outcome.cycles

    def __getitem__(self, array: Array) -> NDArray[np.generic]:
        """An array of every core, [height, width, ...]."""
        return values_of(self.outcome.memory, array)

    def before(self, array: Array) -> NDArray[np.generic]:
        """The same at the start."""
        return values_of(self.kernel.memory(), array)

    def gather(self, array: Array, cores: Cores) -> NDArray[np.generic]:
        """An array of some cores, [rows, columns, ...]; a number for a column or a row drops that axis."""
        found = self[array][cores.at]
        one_column, one_row = cores.single
        if one_column:
            found = found[:, 0]
        return found[0] if one_row else found
