"""Times programs that were compiled for wafers. Knows programs and machines, no compiler and no model."""

from __future__ import annotations

from undiced.machine.wafer import Wafer
from undiced.program import Program
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.analytic import Report
from undiced.sim.analytic import Step as PublishedStep
from undiced.sim.analytic import simulate as time_published
from undiced.sim.clock import Timing, time_step

__all__ = ["Report", "Step", "Timing", "simulate"]


def simulate(program: Program | WaferProgram, wafer: Wafer, step: Step | None = None) -> Report | Timing:
    """Time one step of a program; by default of one sequence at the program's longest context.

    Raises:
        CompileError: a host program, or one compiled for another machine.
    """
    step = step or Step(context=program.bounds.context)
    if isinstance(program, WaferProgram):
        return time_step(program, wafer, step)
    return time_published(program, wafer, PublishedStep(step.sequences, step.context))
