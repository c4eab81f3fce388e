"""Times programs of published mappings: walks their regions with closed-form costs. Milliseconds for any model.

Knows programs and machines, no mapping and no model. Its work grows with streams, never with cores or layers.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import ceil

from undiced.core.errors import CompileError
from undiced.machine.cost import ZERO, Cost, CostModel
from undiced.machine.instruction import Load, is_collective, stream_costs
from undiced.machine.region import Role, unpack
from undiced.machine.wafer import Wafer
from undiced.program import Instr, Program, Rect

BATCH_MAX, CONTEXT_MAX = 1 << 20, 1 << 27  # ours


@dataclass(frozen=True, slots=True)
class Step:
    """What is timed: `batch` sequences decoded together at `context` attended positions each, the new one included.

    Raises:
        CompileError: a batch or a context that no machine is asked for.
    """

    batch: int = 1
    context: int = 1024
    clock_hz: float | None = None

    def __post_init__(self) -> None:
        for name, value, most in (("batch", self.batch, BATCH_MAX), ("context", self.context, CONTEXT_MAX)):
            if not 1 <= value <= most:
                raise CompileError(f"A {name} of {value} is out of range.", remedy=f"Use 1 to {most}.")


@dataclass(frozen=True, slots=True)
class RegionReport:
    """One region's share of a token."""

    name: str
    wafer: int
    rect: Rect
    role: Role
    first_layer: int
    repeats: int
    cost: Cost  # of one run of its stream
    operators: dict[str, Cost]  # of one run, by note
    hottest: tuple[str, float]  # the collective that takes longest, and its cycles

    @property
    def cycles(self) -> float:
        """Cycles a token spends here."""
        return self.cost.cycles * self.repeats


@dataclass(frozen=True, slots=True)
class Report:
    """Timing of one step; every second is at `clock_hz`.

    Attributes:
        token_cycles: from one token to the next of the same sequences.
        stage_interval_cycles: the slowest stage, layers alone; initiation_interval_cycles: embedding and head included.
        layer_cycles: of a layer, on average.
    """

    machine: str
    clock_hz: float
    step: Step
    regions: tuple[RegionReport, ...]
    token_cycles: float
    stage_interval_cycles: float
    initiation_interval_cycles: float
    layer_cycles: float
    stages: int

    @property
    def tokens_per_second(self) -> float:
        """Of one user."""
        return self.clock_hz / self.token_cycles

    @property
    def aggregate_tokens_per_second(self) -> float:
        """Of the whole machine, with a batch in every stage."""
        return self.step.batch * self.clock_hz / self.initiation_interval_cycles

    def by_kind(self) -> dict[str, float]:
        """Cycles of a token by what they are spent on."""
        return sum((region.cost * region.repeats for region in self.regions), ZERO).as_dict()

    def by_operator(self) -> dict[str, float]:
        """Cycles of a token by operator, largest first."""
        total: dict[str, float] = defaultdict(float)
        for region in self.regions:
            for note, cost in region.operators.items():
                total[note] += cost.cycles * region.repeats
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def by_wafer(self) -> dict[int, float]:
        """Cycles of a token by wafer."""
        total: dict[int, float] = defaultdict(float)
        for region in self.regions:
            total[region.wafer] += region.cycles
        return dict(total)


def simulate(program: Program, wafer: Wafer, step: Step | None = None, model: CostModel | None = None) -> Report:
    """Time one step of `program` on `wafer`; by default of one sequence at the program's longest context.

    `model` replaces the machine's parameters (calibration, ranges).

    Raises:
        CompileError: a host program, or one compiled for another machine.
    """
    if program.machine_digest != wafer.digest and model is None:
        another = "another machine of that name" if program.machine == wafer.name else wafer.name
        raise CompileError(
            f"The program was compiled for {program.machine}, not for {another}.",
            remedy="Compile it again for this machine.",
        )
    step = step or Step(context=program.bounds.context)
    costs = model or CostModel.of(wafer)
    clock_hz = step.clock_hz or wafer.system.clock_hz.value
    regions = tuple(_region_reports(program, step, costs))
    stages: dict[tuple[int, Rect], float] = defaultdict(float)
    layer_stages: dict[tuple[int, Rect], float] = defaultdict(float)
    for region in regions:
        stages[region.wafer, region.rect] += region.cycles
        if region.role in (Role.LAYERS, Role.ENTER):
            layer_stages[region.wafer, region.rect] += region.cycles
    layers = [region for region in regions if region.role is Role.LAYERS]
    return Report(
        machine=wafer.name,
        clock_hz=clock_hz,
        step=step,
        regions=regions,
        token_cycles=sum(region.cycles for region in regions),
        stage_interval_cycles=max(layer_stages.values(), default=0.0),
        initiation_interval_cycles=max(stages.values()),
        layer_cycles=sum(region.cycles for region in layers) / _layer_count(program, layers),
        stages=len(layer_stages),
    )


def _layer_count(program: Program, layers: list[RegionReport]) -> float:
    """Layers of the model: as the mapping recorded, or the runs of the one stream that is a whole layer."""
    recorded = dict(program.facts).get("layers")
    return recorded or max(1.0, float(sum(region.repeats for region in layers)))


def _region_reports(program: Program, step: Step, costs: CostModel) -> list[RegionReport]:
    cache: dict[tuple[int, int], tuple[Cost, dict[str, Cost], tuple[str, float]]] = {}
    out = []
    for region in program.regions:
        params = unpack(region.params)
        key = region.code, params.kv_rows
        if key not in cache:
            load = Load(max(1, ceil(step.context / params.kv_rows)), step.batch)
            cache[key] = _stream_report(stream_costs(costs, program.streams[region.code].instrs, load))
        total, operators, hottest = cache[key]
        out.append(
            RegionReport(
                name=region.name,
                wafer=region.wafer,
                rect=region.rect,
                role=params.role,
                first_layer=params.first_layer,
                repeats=params.repeats,
                cost=total,
                operators=operators,
                hottest=hottest,
            )
        )
    return out


def _stream_report(costs: list[tuple[Instr, Cost]]) -> tuple[Cost, dict[str, Cost], tuple[str, float]]:
    operators: dict[str, Cost] = defaultdict(lambda: ZERO)
    hottest = "", 0.0
    for instr, cost in costs:
        operators[instr.note] += cost
        if is_collective(instr) and not cost.io and cost.cycles > hottest[1]:
            hottest = instr.note, cost.cycles
    return sum(operators.values(), ZERO), dict(operators), hottest
