"""Which timing a phase asks for: a decoded token, or a whole prompt. Knows of a mapping what its program records."""

from __future__ import annotations

from undiced.core.errors import CompileError
from undiced.core.mapping import PREFILL, Phase
from undiced.machine.wafer import Wafer
from undiced.program import Program
from undiced.sim.analytic import Report, Step, simulate
from undiced.sim.first_token import first_token


def time_phase(program: Program, wafer: Wafer, step: Step, phase: Phase) -> Report:
    """A decoded token, or a prompt of `step.context` positions: by the program made for it, or one by one.

    Raises:
        CompileError: several prompts at once, or a program of the other phase.
    """
    made_for_prompts = bool(dict(program.facts).get(PREFILL, 0.0))
    if made_for_prompts and (phase != "prefill" or step.context != program.bounds.context):
        raise CompileError(
            f"The program is the prefill of {program.bounds.context} positions.",
            remedy=f"Use --phase prefill and --context {program.bounds.context}, or compile it again.",
        )
    if phase == "decode" or made_for_prompts:
        return simulate(program, wafer, step)
    if step.batch != 1:
        raise CompileError("Prompts are timed one after another.", remedy="Use --batch 1 with --phase prefill.")
    return first_token(program, wafer, step.context, step.clock_hz or wafer.system.clock_hz.value)
