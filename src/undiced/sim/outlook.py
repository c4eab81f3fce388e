"""What a timed program is reported as: one dictionary under stable keys, for scripts and for people.

Every second is at the clock that is reported beside it. Throughput is that of the sequences whose keys and values the
program holds, and of no more.
"""

from __future__ import annotations

from math import ceil

from msgspec.structs import replace as with_fields

from undiced.core.errors import CompileError
from undiced.core.mapping import PREFILL, Phase
from undiced.core.option import option
from undiced.machine.arithmetic import banks
from undiced.machine.wafer import Wafer
from undiced.program.wafer.meetings import meetings
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.clock import Timing, time_step
from undiced.sim.prompt import Prompt, multiply_adds, time_prompt

_OPERATORS = 40


def outlook(
    program: WaferProgram, wafer: Wafer, timing: Timing, phase: Phase = "decode", chunks: Prompt | None = None
) -> dict[str, object]:
    """What `undiced simulate --json` prints. In prefill, cycles cover the whole prompt and tokens are the prompt's.

    `chunks`: a prompt of the timing's context, for programs that take chunks; it is timed unless it is given.
    """
    facts, context = dict(program.facts), timing.step.context
    whole = is_prompt(program)
    if program.chunk > 1:
        chunks = chunks or time_prompt(program, wafer, context, timing.clock_hz)
        prompt = chunks.cycles
    else:
        prompt = timing.token_cycles if whole else first_token_cycles(program, wafer, context, timing.clock_hz)
    decoding = phase == "decode"
    streams, most = program.bounds.batch, facts.get("sram_bytes_max_per_core", 0.0)
    prompt_speed = context * timing.clock_hz / prompt
    return {
        "machine": program.machine,
        "model": program.model,
        "mapping": mapping_of(program),
        "phase": phase,
        "clock_hz": timing.clock_hz,
        "wafers": program.wafers,
        "regions": sorted({f"{r.rect.width}x{r.rect.height}" for r in program.regions}),
        "context": context,
        "batch": timing.step.sequences,
        "lockstep": min(timing.step.sequences, int(facts.get("lanes", 1))),
        "streams": streams,
        "fits": timing.step.sequences <= streams and context <= _longest(program) and bool(facts.get("fits", 1.0)),
        "cycles_per_token": timing.token_cycles if decoding else prompt,
        **({} if decoding else {"prompt_cycles": prompt}),
        "cycles_per_layer": timing.layer_cycles
        * (1 if decoding or whole else len(chunks.chunks) if chunks else context),
        "stage_interval_cycles": timing.stage_interval_cycles,
        "initiation_interval_cycles": timing.initiation_interval_cycles,
        "tokens_per_second": timing.tokens_per_second if decoding else prompt_speed,
        "aggregate_tokens_per_second": aggregate(timing, streams)
        if decoding
        else _after_each_other(chunks, streams, timing.clock_hz, prompt_speed),
        "time_to_first_token_s": prompt / timing.clock_hz,
        "sram_bytes_max_per_core": ceil(most),
        "sram_bytes_resident_per_core": ceil(facts.get("sram_bytes_resident_per_core", most)),
        "code_bytes_per_core": ceil(facts.get("code_bytes", 0.0)),
        "max_context_tokens": int(_longest(program)),
        **_narrow(facts),
        "bank_pairs": meetings(program, banks(wafer.core)),
        "digest": program.digest,
        "utilization": _utilization(program, wafer, timing),
        **_defects(program, wafer, timing),
        **({} if decoding or chunks is None else _chunked(program, wafer, chunks, timing.clock_hz)),
        "breakdown": {
            "kind": timing.by_kind(),
            "operator": dict(list(timing.by_operator().items())[:_OPERATORS]),
            "instruction": timing.by_instruction(),
            "region": {f"{r.wafer}/{r.name}": r.cycles for r in timing.regions},
            "wafer": {str(wafer): cycles for wafer, cycles in timing.by_wafer().items()},
        },
    }


def _narrow(facts: dict[str, float]) -> dict[str, object]:
    """Of narrow weights: what memory that they leave is used for, and how many positions there would be without."""
    if "wide_blocks" not in facts:
        return {}
    return {
        "narrow_weights_max_context_tokens": int(max(facts["narrow_context_tokens"], facts["max_context_tokens"])),
        "weights_16_bit_share": facts["wide_share"],
        "blocks_16_bit": int(facts["wide_blocks"]),
        "blocks": int(facts["blocks"]),
        "widened_ahead_bytes_per_core": int(facts["ahead_bytes"]),
    }


def _after_each_other(chunks: Prompt | None, streams: int, clock_hz: float, alone: float) -> float:
    """Tokens per second of prompts that follow each other at once, if keys and values of two have room."""
    return alone if chunks is None or streams < 2 else chunks.tokens * clock_hz / chunks.busiest_cycles


def _chunked(program: WaferProgram, wafer: Wafer, chunks: Prompt, clock_hz: float) -> dict[str, object]:
    """How a prompt is taken, its share of the wafers' 16-bit multiply-adds, and how the same program decodes."""
    peak = program.wafers * wafer.mesh.cores * wafer.core.lanes_16bit.value * chunks.cycles
    found: dict[str, object] = {
        "chunk": chunks.chunk,
        "chunks": len(chunks.chunks),
        "chunk_cycles": chunks.chunk_cycles,
        "dense_peak_share": multiply_adds(program, chunks.tokens) / peak,
    }
    if not program.alone:
        token = time_step(program, wafer, Step(1, 1, chunks.tokens), clock_hz)
        found["decoding"] = {
            "cycles_per_token": token.token_cycles,
            "tokens_per_second": token.tokens_per_second,
        }
    return found


def _defects(program: WaferProgram, wafer: Wafer, timing: Timing) -> dict[str, object]:
    """The maps that it was placed for, and what a token takes longer for them."""
    if not program.individuals:
        return {}
    plain = time_step(with_fields(program, individuals=()), wafer, timing.step, timing.clock_hz)
    maps = [
        {
            "wafer": one.wafer,
            "map": one.map,
            "digest": one.digest,
            "dead_cores": len(one.dead),
            "cut_links": len(one.cuts),
            "rows_moved": len({shift.row for shift in one.shifts}),
            "cores_moved": sum(shift.stop - shift.start for shift in one.shifts),
            "first_row": one.first,
        }
        for one in program.individuals
    ]
    return {"defects": {"maps": maps, "cycles_per_token": timing.token_cycles - plain.token_cycles}}


def is_prompt(program: WaferProgram) -> bool:
    """Whether the program takes a whole prompt at once."""
    return bool(dict(program.facts).get(PREFILL))


def mapping_of(program: WaferProgram) -> str:
    """The mapping that a published one's facts name; ours names none."""
    names = [name.removeprefix("mapping ") for name, _ in program.facts if name.startswith("mapping ")]
    return names[0] if names else "undiced"


def check_phase(program: WaferProgram, step: Step, phase: Phase) -> None:
    """A program is timed for what it was made for, and prompts one after another.

    Raises:
        CompileError: it is not, more positions than it holds, or several prompts at once.
    """
    context = program.bounds.context
    if step.context > context:
        raise CompileError(
            f"The program holds {context} positions, and {step.context} are asked for.",
            remedy=f"Compile it with {option('context', step.context)}.",
        )
    if is_prompt(program) and (phase != "prefill" or step.context != context):
        raise CompileError(
            f"The program is the prefill of {context} positions.",
            remedy=f"Use {option('phase', 'prefill')} and {option('context', context)}, or compile it again.",
        )
    if phase == "decode" and program.alone:
        raise CompileError(
            "The program takes prompts alone: it has no code for single tokens.",
            remedy=f"Use {option('phase', 'prefill')}, or compile one that decodes.",
        )
    if phase == "prefill" and step.sequences != 1 and program.chunk == 1:
        raise CompileError("Prompts are timed one after another.", remedy=f"Use {option('batch', 1)} for prompts.")


def aggregate(timing: Timing, streams: int) -> float:
    """Tokens per second of all `streams` that a program holds, in turn through the pipeline of its regions."""
    each = timing.step.sequences
    rounds = max(1, streams // each)  # steps of `sequences` that may be under way
    return each * timing.clock_hz * min(rounds / timing.token_cycles, 1 / timing.initiation_interval_cycles)


def prompt_cycles(program: WaferProgram, wafer: Wafer, prompt: int, clock_hz: float) -> float:
    """Until the first token after a prompt, in chunks where the program takes them."""
    if program.chunk > 1:
        return time_prompt(program, wafer, prompt, clock_hz).cycles
    return first_token_cycles(program, wafer, prompt, clock_hz)


def first_token_cycles(program: WaferProgram, wafer: Wafer, prompt: int, clock_hz: float) -> float:
    """A prompt's positions follow each other through the pipeline; on average one attends to half of it."""
    timing = time_step(program, wafer, Step(1, 1, max(1, prompt // 2)), clock_hz)
    return timing.token_cycles + (prompt - 1) * timing.initiation_interval_cycles


def _longest(program: WaferProgram) -> float:
    return max(dict(program.facts).get("max_context_tokens", 0.0), program.bounds.context)


def _utilization(program: WaferProgram, wafer: Wafer, timing: Timing) -> dict[str, float]:
    """Shares of a token's cycles that the fullest core computes, and of the usable cores that a region covers."""
    rects = {(region.wafer, region.rect) for region in program.regions}
    chips = 1 + max(chip for chip, _ in rects)
    return {
        "compute": timing.by_kind()["compute"] / timing.token_cycles,
        "cores": sum(rect.cores for _, rect in rects) / (chips * wafer.mesh.cores),
    }
