"""Times programs that were compiled for wafers. Knows programs and machines, no compiler and no model."""

from __future__ import annotations

from undiced.machine.wafer import Wafer
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.clock import Timing, time_step

__all__ = ["Step", "Timing", "simulate"]


def simulate(program: WaferProgram, wafer: Wafer, step: Step | None = None) -> Timing:
    """Time one step of a program; by default of one sequence at the program's longest context.

    Raises:
        CompileError: a program compiled for another machine, or one that breaks a rule of it.
    """
    return time_step(program, wafer, step)
