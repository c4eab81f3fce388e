"""Time to the first token: a prompt, position after position through the pipeline of regions. Knows no mapping."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from undiced.machine.region import Role
from undiced.machine.wafer import Wafer
from undiced.program import Program, Rect
from undiced.sim.analytic import RegionReport, Report, Step, simulate


def first_token(program: Program, wafer: Wafer, prompt: int, clock_hz: float) -> Report:
    """The report of the whole prompt: its cycles are the time from the first position's entry to the first token.

    On average a position attends to half of the prompt. The slowest stage's regions repeat for every position, all
    others count once; the head works for the last position alone.
    """
    report = simulate(program, wafer, Step(context=max(1, prompt // 2), clock_hz=clock_hz))
    stages: dict[tuple[int, Rect], float] = defaultdict(float)
    for region in report.regions:
        if region.role is not Role.HEAD:
            stages[region.wafer, region.rect] += region.cycles
    slowest = max(stages, key=lambda stage: stages[stage])

    def passes(region: RegionReport) -> RegionReport:
        again = region.role is not Role.HEAD and (region.wafer, region.rect) == slowest
        return replace(region, repeats=region.repeats * prompt) if again else region

    regions = tuple(map(passes, report.regions))
    heads: dict[tuple[int, Rect], float] = defaultdict(float)
    for region in regions:
        if region.role is Role.HEAD:
            heads[region.wafer, region.rect] += region.cycles
    return replace(
        report,
        step=replace(report.step, batch=1, context=prompt),
        regions=regions,
        token_cycles=sum(region.cycles for region in regions),
        stage_interval_cycles=report.stage_interval_cycles * prompt,
        initiation_interval_cycles=max(
            stages.get(stage, 0.0) * prompt + heads.get(stage, 0.0) for stage in {*stages, *heads}
        ),
        layer_cycles=report.layer_cycles * prompt,
    )
