"""The answer to a question about the published engine's prefill: a replay, timed and not executed."""

from __future__ import annotations

from undiced.core.errors import InvalidRequestError
from undiced.study.answer import Answer
from undiced.study.question import Question

_KIND = "a replay of what is published of its prefill: timed, not executed; its programs are not here"


def replay_answer(asked: Question) -> Answer:
    """What `undiced simulate --json` prints of it.

    Raises:
        CompileError: it can't be had as asked. InvalidRequestError: options that are for programs.
    """
    from undiced.compiler.wafer.published.build import build_replay
    from undiced.machine import find_machine
    from undiced.machine.cost import ZERO
    from undiced.model import Graph
    from undiced.sim.replay import time_replay
    from undiced.study.subject import Subject, subject

    if asked.draft is not None or asked.frontier or asked.defects is not None:
        raise InvalidRequestError(
            "A replay has no draft, no frontier and no defects.", remedy="Leave them out, or use another mapping."
        )
    wafer = find_machine(asked.machine) if isinstance(asked.machine, str) else asked.machine
    about = Subject(asked.model.config) if isinstance(asked.model, Graph) else subject(asked.model)
    replay = build_replay(about.config, wafer, asked.options)
    found, clock = time_replay(replay, wafer), asked.clock_hz or wafer.system.clock_hz.value
    new = asked.positions - (asked.prefix or 0)
    used, whole = replay.data_bytes + replay.code_bytes, sum(found.shares.values(), ZERO)
    return {
        "machine": wafer.name,
        "model": replay.model,
        "mapping": asked.mapping,
        "phase": asked.phase,
        "provenance": _KIND,
        "clock_hz": clock,
        "wafers": replay.wafers,
        "regions": [f"{replay.side}x{replay.side}"],
        "stages": list(replay.stages),
        "context": asked.positions,
        "prefix": asked.prefix or 0,
        "chunk": replay.chunk,
        "batch": 1,
        "fits": used <= wafer.core.sram_bytes.value,
        "cycles_per_token": found.cycles,
        "prompt_cycles": found.cycles,
        "cycles_per_layer": found.layer * replay.chunks,
        "stage_interval_cycles": found.interval,
        "initiation_interval_cycles": found.interval,
        "tokens_per_second": new * clock / found.cycles,
        "aggregate_tokens_per_second": replay.chunk * clock / found.interval,
        "time_to_first_token_s": found.cycles / clock,
        "sram_bytes_max_per_core": used,
        "code_bytes_per_core": replay.code_bytes,
        "family": about.config.family,
        "assumed_sizes": dict(about.assumed),
        "breakdown": {
            "kind": whole.as_dict(),
            "operator": dict(sorted(((n, c.cycles) for n, c in found.shares.items()), key=lambda item: -item[1])),
        },
    }
