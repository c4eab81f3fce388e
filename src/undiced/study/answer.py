"""Answer: what a placed program is reported as, one dictionary that `simulate --json` prints and Python returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError
from undiced.study.question import Placed, Question, place

if TYPE_CHECKING:
    from undiced.sim.clock import Timing

Answer = dict[str, object]


def whole_answer(placed: Placed, asked: Question) -> Answer:
    """`answer`, and the longest context that as many wafers hold in some other placement, which takes a second."""
    found = answer(placed, asked)
    if placed.longest is not None:
        found["machine_max_context_tokens"] = placed.longest()
    return found


def answer(placed: Placed, asked: Question) -> Answer:
    """The report of a program, with what was asked for beside it.

    Raises:
        CompileError: it was compiled for something else, or for less.
    """
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step
    from undiced.sim.outlook import check_phase, outlook

    program, wafer, step = placed.program, placed.wafer, Step(asked.batch, 1, asked.positions)
    check_phase(program, step, asked.way)
    if asked.way == "prefill" and program.chunk > 1:
        step = Step(1, min(program.chunk, asked.positions), asked.positions)
    found = outlook(program, wafer, time_step(program, wafer, step, asked.clock_hz), asked.way)
    if placed.subject is not None:
        found |= {"family": placed.subject.config.family, "assumed_sizes": dict(placed.subject.assumed)}
    if placed.wafers_given is not None:
        found["wafers_given"] = placed.wafers_given
    if asked.frontier:
        found["frontier"] = _frontier(placed, asked)
    if asked.draft is not None:
        found["speculation"] = _speculation(placed, asked, asked.draft)
    return found


def _decoding(placed: Placed, asked: Question) -> Timing:
    """One decoded token."""
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step

    return time_step(placed.program, placed.wafer, Step(1, 1, asked.positions), asked.clock_hz)


def _speculation(placed: Placed, asked: Question, draft: str) -> Answer:
    from undiced.sim.speculation import speculate

    drafting = place(Question(draft, placed.wafer, context=asked.positions))
    found = speculate(_decoding(placed, asked), _decoding(drafting, asked), asked.acceptance)
    return {
        "draft": draft,
        "acceptance": asked.acceptance,
        "provenance": "assumed acceptance, independent from token to token",
        "draft_wafers": drafting.program.wafers,
        "drafted_tokens": found.length,
        "tokens_per_round": found.tokens,
        "tokens_per_second": found.tokens_per_second,
    }


def _frontier(placed: Placed, asked: Question) -> list[dict[str, float]]:
    from undiced.sim.outlook import frontier

    found = frontier(placed.program, placed.wafer, asked.clock_hz)
    if not found:
        raise InvalidRequestError(
            "Published mappings and program files have no frontier.", remedy="Name a model, or leave the frontier out."
        )
    return found
