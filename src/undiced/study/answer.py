"""Answer: what a placed program is reported as, one dictionary that `simulate --json` prints and Python returns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError
from undiced.study.question import Placed, Progress, Question, place

if TYPE_CHECKING:
    from undiced.program.wafer.step import Step
    from undiced.sim.apart import HandedOver
    from undiced.sim.clock import Timing
    from undiced.sim.prompt import Prompt
    from undiced.sim.routing import Crowd

Answer = dict[str, object]


def whole_answer(placed: Placed, asked: Question, progress: Progress | None = None) -> Answer:
    """`answer`, and the longest context that as many wafers hold in some other placement, which takes a second."""
    found = answer(placed, asked, progress)
    if placed.longest is not None:
        found["machine_max_context_tokens"] = placed.longest()
    return found


def answer(placed: Placed, asked: Question, progress: Progress | None = None) -> Answer:
    """The report of a program, with what was asked for beside it; `progress` hears how far a draft is placed.

    Raises:
        CompileError: it was compiled for something else, or for less.
    """
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step
    from undiced.sim.outlook import check_phase, outlook
    from undiced.sim.prompt import time_prompt

    program, wafer, crowd = placed.program, placed.wafer, crowd_of(placed, asked)
    shares = {} if crowd is None else {"crowd": crowd.crowd, "distinct": crowd.apart}
    step = Step(asked.batch, 1, asked.positions, **shares)
    check_phase(program, step, asked.way)
    if asked.way == "prefill" and program.chunk > 1:
        step = Step(1, min(program.chunk, asked.positions), asked.positions)
    timing = time_step(program, wafer, step, asked.clock_hz)
    prompt = time_prompt(program, wafer, step.context, timing.clock_hz) if program.chunk > 1 else None
    found = outlook(program, wafer, timing, asked.way, prompt)
    if placed.subject is not None:
        found |= {"family": placed.subject.config.family, "assumed_sizes": dict(placed.subject.assumed)}
    if placed.wafers_given is not None:
        found["wafers_given"] = placed.wafers_given
    if asked.way == "prefill" and prompt is not None:
        found |= _beside(placed, asked, prompt, timing.clock_hz)
    if asked.frontier:
        found["frontier"] = _frontier(placed, asked, step)
    if crowd is not None:
        found["experts"] = crowd.as_dict()
    if asked.draft is not None:
        from undiced.study.drafting import speculation

        found["speculation"] = speculation(placed, asked, _decoding(placed, asked), progress)
    return found


def _beside(placed: Placed, asked: Question, prompt: Prompt, clock: float) -> Answer:
    """What prompts and decodes make each other wait: on the same wafers, or apart."""
    from undiced.sim.apart import handed_over
    from undiced.sim.interleave import interleave
    from undiced.sim.prompt import token_way

    program, wafer = placed.program, placed.wafer
    if program.alone:
        return {"apart": _apart(placed, asked, handed_over(program, wafer, prompt, clock))}
    users = program.bounds.batch - 1
    if users < 1:
        return {}
    found = interleave(prompt.ways, token_way(program, wafer, asked.positions, clock), users)
    return {
        "interleaved": {
            "users": users,
            "time_to_first_token_s": found.first_token_cycles / clock,
            "time_between_tokens_s": {
                "without_prompt": found.alone_cycles / clock,
                "mean": found.mean_cycles / clock,
                "longest": found.longest_cycles / clock,
            },
        }
    }


def _apart(placed: Placed, asked: Question, found: HandedOver) -> Answer:
    """Keys and values on their way, and the program that decodes with them, where it is known for what model."""
    rate = placed.wafer.system.io_bytes_per_s
    told: Answer = {
        "handed_over_bytes": found.bytes,
        "busiest_wafer_bytes_per_s": found.busiest_bytes_per_s,
        "io_bytes_per_s": rate.value,
        "after_first_token_s": found.after_first_token_s,
        "by_host_s": found.by_host_s,
        "provenance": f"ways between wafers: {rate.provenance} bandwidth, assumed latency; nothing of it was measured",
    }
    if placed.subject is None:
        return told
    decoding = place(replace(asked, phase="decode", chunk=None, apart=False, wafers=None))
    token = _decoding(decoding, asked)
    return told | {"decoding_wafers": decoding.program.wafers, "decoding_tokens_per_second": token.tokens_per_second}


def _decoding(placed: Placed, asked: Question) -> Timing:
    """One decoded token."""
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step

    return time_step(placed.program, placed.wafer, Step(1, 1, asked.positions), asked.clock_hz)


def crowd_of(placed: Placed, asked: Question) -> Crowd | None:
    """What a batch does to experts, if it is asked how tokens choose them.

    Raises:
        InvalidRequestError: the program has no experts, or the routing is of another model.
    """
    from undiced.sim.routing import Mixture, crowded

    if asked.routing is None:
        return None
    mixture = Mixture.of(placed.program)
    if mixture is None:
        raise InvalidRequestError(f"{placed.program.model} has no experts.", remedy="Leave the routing out.")
    lockstep = int(dict(placed.program.facts).get("lanes", asked.batch))
    return crowded(asked.routing, mixture, min(asked.batch, lockstep))


def _frontier(placed: Placed, asked: Question, step: Step) -> list[dict[str, float]]:
    from undiced.sim.frontier import longest

    lockstep = min(step.sequences, int(dict(placed.program.facts).get("lanes", 1)))
    found = longest(placed.program, placed.wafer, asked.clock_hz, replace(step, sequences=lockstep))
    points = [each.as_dict() for each in found]
    if not points:
        raise InvalidRequestError(
            "Published mappings and program files have no frontier.", remedy="Name a model, or leave the frontier out."
        )
    return points
