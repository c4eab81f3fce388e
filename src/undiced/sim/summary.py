"""What a timed program is reported as: one dictionary under stable keys, for scripts and for people.

Knows mappings only by name. Every second is at the clock that is reported beside it.
"""

from __future__ import annotations

from math import ceil

from undiced.core.mapping import Phase
from undiced.machine.wafer import Wafer
from undiced.program import Program
from undiced.sim.analytic import Report, Step
from undiced.sim.first_token import first_token

_OPERATORS = 40


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
    """Prefill: all layers once. Decode: a prompt of the whole context, position after position."""
    if phase == "prefill":
        return report.token_cycles / report.clock_hz
    return first_token(program, wafer, report.step.context, report.clock_hz).token_cycles / report.clock_hz


def _utilization(program: Program, wafer: Wafer, report: Report) -> dict[str, float]:
    """Shares of a token's cycles that the fullest core computes, and of the usable cores that a region covers."""
    compute = report.by_kind()["compute"] / report.token_cycles
    rects = {(region.wafer, region.rect) for region in program.regions}
    chips = 1 + max(wafer_index for wafer_index, _ in rects)
    return {"compute": compute, "cores": sum(rect.cores for _, rect in rects) / (chips * wafer.mesh.cores)}
