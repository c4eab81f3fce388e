"""`undiced simulate`, as data: options parsed, a program timed and reported under stable keys.

Knows mappings only by name. Every second is at the clock that is reported beside it.
"""

from __future__ import annotations

from math import ceil
from typing import cast

from undiced.core.errors import CompileError
from undiced.core.mapping import PREFILL, Phase, Region, require_choice
from undiced.machine.wafer import Wafer
from undiced.program import Program
from undiced.sim.analytic import Report, Step, simulate
from undiced.sim.first_token import first_token

_CLOCK_MIN_GHZ, _CLOCK_MAX_GHZ = 0.001, 100.0
_OPERATORS = 40


def parse_region(text: str) -> Region:
    """`WxH` (x by y) or `auto`.

    Raises:
        CompileError: anything else.
    """
    if text == "auto":
        return "auto"
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(text) <= 16 and int(width) and int(height)):
        raise CompileError(f"{text[:40]!r} is no region.", remedy="Use WxH, for example 256x256, or auto.")
    return int(width), int(height)


def parse_stages(text: str) -> tuple[int, ...]:
    """`2,4,4,2`: layers of each region.

    Raises:
        CompileError: anything but positive numbers.
    """
    parts = text.split(",")
    if len(parts) > 4096 or not all(p.isdecimal() and len(p) <= 6 and int(p) for p in parts):
        raise CompileError(f"{text[:40]!r} are no stages.", remedy="Use positive numbers, for example 2,4,4,2.")
    return tuple(map(int, parts))


def parse_phase(text: str) -> Phase:
    """`decode` or `prefill`.

    Raises:
        CompileError: anything else.
    """
    require_choice(text, Phase, f"There is no phase called {text[:40]!r}.")
    return cast(Phase, text)


def parse_clock(clock_ghz: float | None) -> float | None:
    """GHz to Hz, bounded.

    Raises:
        CompileError: a clock that no machine has.
    """
    if clock_ghz is None:
        return None
    if not _CLOCK_MIN_GHZ <= clock_ghz <= _CLOCK_MAX_GHZ:
        raise CompileError(
            f"A clock of {clock_ghz:g} GHz is out of range.", remedy=f"Use {_CLOCK_MIN_GHZ:g} to {_CLOCK_MAX_GHZ:g}."
        )
    return clock_ghz * 1e9


def replay(
    program: Program, wafer: Wafer, mapping: str, phase: Phase, batch: int, context: int, clock_ghz: float | None
) -> dict[str, object]:
    """Time a program of `mapping` at a batch, a context and a clock (None: the machine's own).

    Returns: the keys of `summary`.

    Raises:
        CompileError: a step or a clock that makes no sense, with what would.
    """
    step = Step(batch=batch, context=context, clock_hz=parse_clock(clock_ghz))
    return summary(program, wafer, time_phase(program, wafer, step, phase), mapping, phase)


def time_phase(program: Program, wafer: Wafer, step: Step, phase: Phase) -> Report:
    """A decoded token, or a prompt of `step.context` positions: by the program made for it, or in chunks through ours.

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
    return first_token(program, wafer, step.context, step.clock_hz or wafer.system.clock_hz.value).report


def summary(program: Program, wafer: Wafer, report: Report, mapping: str, phase: Phase = "decode") -> dict[str, object]:
    """What `undiced simulate --json` prints. In prefill, cycles cover the whole prompt and tokens are the prompt's."""
    facts = dict(program.facts)
    tokens = report.step.context if phase == "prefill" else 1
    per_second = tokens * report.clock_hz / report.token_cycles
    aggregate = tokens * report.step.batch * report.clock_hz / report.initiation_interval_cycles
    return {
        "machine": program.machine,
        "model": program.model,
        "mapping": mapping,
        "phase": phase,
        "clock_hz": report.clock_hz,
        "wafers": 1 + max(region.wafer for region in program.regions),
        "regions": sorted({f"{r.rect.width}x{r.rect.height}" for r in program.regions}),
        "context": report.step.context,
        "batch": report.step.batch,
        "fits": bool(facts.get("fits", 1.0)) and _holds(program, report.step),
        "cycles_per_token": report.token_cycles,
        "cycles_per_layer": report.layer_cycles,
        "stage_interval_cycles": report.stage_interval_cycles,
        "initiation_interval_cycles": report.initiation_interval_cycles,
        "tokens_per_second": per_second,
        "aggregate_tokens_per_second": aggregate,
        "time_to_first_token_s": _first_token_s(program, wafer, report, phase),
        "sram_bytes_max_per_core": ceil(facts.get("sram_bytes_max_per_core", 0.0)),
        "sram_bytes_resident_per_core": ceil(
            facts.get("sram_bytes_resident_per_core", facts.get("sram_bytes_max_per_core", 0.0))
        ),
        "max_context_tokens": int(facts.get("max_context_tokens", 0.0)),
        "digest": program.digest,
        "utilization": _utilization(program, wafer, report),
        "breakdown": {
            "kind": report.by_kind(),
            "operator": dict(list(report.by_operator().items())[:_OPERATORS]),
            "region": {f"{r.wafer}/{r.name}": r.cycles for r in report.regions},
            "wafer": {str(wafer): cycles for wafer, cycles in report.by_wafer().items()},
        },
    }


def _holds(program: Program, step: Step) -> bool:
    """Whether a step of other bounds than the program's still has room."""
    longest = max(dict(program.facts).get("max_context_tokens", 0.0), program.bounds.context)
    return step.batch <= program.bounds.batch and step.context <= longest


def _first_token_s(program: Program, wafer: Wafer, report: Report, phase: Phase) -> float:
    """Prefill: all layers once. Decode: a prompt of the whole context in chunks through the pipeline."""
    if phase == "prefill":
        return report.token_cycles / report.clock_hz
    return first_token(program, wafer, report.step.context, report.clock_hz).seconds


def _utilization(program: Program, wafer: Wafer, report: Report) -> dict[str, float]:
    """Shares of a token's cycles that the fullest core computes, and of the usable cores that a region covers."""
    compute = report.by_kind()["compute"] / report.token_cycles
    rects = {(region.wafer, region.rect) for region in program.regions}
    chips = 1 + max(wafer_index for wafer_index, _ in rects)
    return {"compute": compute, "cores": sum(rect.cores for _, rect in rects) / (chips * wafer.mesh.cores)}
