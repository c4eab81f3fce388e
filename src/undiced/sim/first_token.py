"""Time to the first token: a prompt in chunks through the pipeline of regions. Knows programs, no mapping.

A chunk is a batch of positions of one sequence; how many fit is what the fullest core has free, in whole activations.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from undiced.machine.region import Role
from undiced.machine.wafer import Wafer
from undiced.program import Program, Rect
from undiced.sim.analytic import RegionReport, Report, Step, simulate

_CHUNK_MAX = 512


@dataclass(frozen=True, slots=True)
class FirstToken:
    """A prompt's way.

    Attributes:
        prompt, chunk: positions of the prompt, and of a chunk.
        report: of the whole prompt: the slowest stage's regions repeat for every chunk, all others count once, so that
            its cycles are the time from the first position's entry to the first token.
    """

    prompt: int
    chunk: int
    report: Report

    @property
    def cycles(self) -> float:
        """Until the first token is known."""
        return self.report.token_cycles

    @property
    def seconds(self) -> float:
        """At the report's clock."""
        return self.cycles / self.report.clock_hz


def first_token(program: Program, wafer: Wafer, prompt: int, clock_hz: float) -> FirstToken:
    """The fastest chunking that fits. On average a position attends to half of the prompt.

    The head works for the last position alone.
    """
    context = max(1, prompt // 2)
    alone = simulate(program, wafer, Step(context=context, clock_hz=clock_hz))
    best: FirstToken | None = None
    chunk = 1
    while chunk <= min(_chunk_limit(program), max(prompt, 1)):
        report = simulate(program, wafer, Step(batch=chunk, context=context, clock_hz=clock_hz))
        found = FirstToken(prompt, chunk, _whole(report, alone, prompt, -(-prompt // chunk)))
        if best is None or found.cycles < best.cycles:
            best = found
        chunk *= 2
    assert best is not None
    return best


def _whole(report: Report, alone: Report, prompt: int, chunks: int) -> Report:
    """From the report of one chunk, and of one position for the head, to that of the prompt."""
    stages: dict[tuple[int, Rect], float] = defaultdict(float)
    for region in report.regions:
        if region.role is not Role.HEAD:
            stages[region.wafer, region.rect] += region.cycles
    slowest = max(stages, key=lambda stage: stages[stage])

    def passes(region: RegionReport, single: RegionReport) -> RegionReport:
        if region.role is Role.HEAD:
            return single
        times = chunks if (region.wafer, region.rect) == slowest else 1
        return replace(region, repeats=region.repeats * times)

    regions = tuple(passes(*pair) for pair in zip(report.regions, alone.regions, strict=True))
    heads: dict[tuple[int, Rect], float] = defaultdict(float)
    for region in regions:
        if region.role is Role.HEAD:
            heads[region.wafer, region.rect] += region.cycles
    return replace(
        report,
        step=replace(report.step, batch=1, context=prompt),
        regions=regions,
        token_cycles=sum(region.cycles for region in regions),
        stage_interval_cycles=report.stage_interval_cycles * chunks,
        initiation_interval_cycles=max(
            stages.get(stage, 0.0) * chunks + heads.get(stage, 0.0) for stage in {*stages, *heads}
        ),
        layer_cycles=report.layer_cycles * chunks,
    )


def _chunk_limit(program: Program) -> int:
    """Positions whose activations fit beside weights and KV; one where the mapping did not record its buffers."""
    facts = dict(program.facts)
    buffers = facts.get("buffer_bytes_per_sequence", 0.0)
    if buffers <= 0:
        return 1
    return max(1, min(_CHUNK_MAX, 1 + int(facts.get("free_bytes", 0.0) // buffers)))
