"""Times a wafer program: walks its regions with the critical paths of their streams. Milliseconds for any model.

Knows programs and machines, no mapping and no model. Its work grows with streams, never with cores or layers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import ceil

from undiced.core.errors import CompileError
from undiced.machine.bare import bare
from undiced.machine.cost import ZERO, Cost
from undiced.machine.fabric import hardware
from undiced.machine.wafer import Wafer
from undiced.program import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import Region, WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.verify import verify
from undiced.sim.paths import Paths

_MOVERS = frozenset(kind.__name__ for kind in isa.MOVERS)


@dataclass(frozen=True, slots=True)
class RegionTime:
    """The share of a step of one region, or of all that lie on the same cores.

    Attributes:
        shares: critical cycles by node and by kind of instruction.
        layer_cycles: of the runs that belong to layers; serving_cycles: of what layers need beside them, arrivals and
            tables by position. The rest are the model's ends.
        layers: those that have runs here.
    """

    name: str
    wafer: int
    rect: Rect
    shares: dict[tuple[str, str], Cost]
    layer_cycles: float
    serving_cycles: float
    layers: frozenset[int]

    @property
    def cost(self) -> Cost:
        """Of all its runs."""
        return sum(self.shares.values(), ZERO)

    @property
    def cycles(self) -> float:
        """Cycles that a step spends here."""
        return self.cost.cycles

    @property
    def hottest(self) -> tuple[str, float]:
        """The node whose movers take longest, and their cycles."""
        found: dict[str, float] = defaultdict(float)
        for (node, kind), cost in self.shares.items():
            if kind in _MOVERS and not cost.io:
                found[node] += cost.cycles
        return max(found.items(), key=lambda item: item[1], default=("", 0.0))


@dataclass(frozen=True, slots=True)
class Timing:
    """Timing of one step; every second is at `clock_hz`.

    Attributes:
        token_cycles: from one token to the next of the same sequences.
        stage_interval_cycles: the slowest stage, layers alone; initiation_interval_cycles: embedding and head included.
        layer_cycles: of a layer, on average.
    """

    machine: str
    clock_hz: float
    step: Step
    regions: tuple[RegionTime, ...]
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
        return self.step.sequences * self.clock_hz / self.initiation_interval_cycles

    def in_turn(self, step: Step) -> Timing:
        """The timing of a step with more sequences than go through streams together: they follow each other."""
        turns = ceil(step.sequences / self.step.sequences)
        if turns == 1:
            return self
        return replace(
            self,
            step=step,
            token_cycles=self.token_cycles + (turns - 1) * self.initiation_interval_cycles,
            stage_interval_cycles=self.stage_interval_cycles * turns,
            initiation_interval_cycles=self.initiation_interval_cycles * turns,
        )

    def by_kind(self) -> dict[str, float]:
        """Cycles of a step by what they are spent on."""
        return sum((region.cost for region in self.regions), ZERO).as_dict()

    def by_operator(self) -> dict[str, float]:
        """Cycles of a step by node of the graph, largest first."""
        return self._summed(0)

    def by_instruction(self) -> dict[str, float]:
        """Cycles of a step by kind of instruction, largest first."""
        return self._summed(1)

    def by_wafer(self) -> dict[int, float]:
        """Cycles of a step by wafer."""
        total: dict[int, float] = defaultdict(float)
        for region in self.regions:
            total[region.wafer] += region.cycles
        return dict(total)

    def _summed(self, part: int) -> dict[str, float]:
        total: dict[str, float] = defaultdict(float)
        for region in self.regions:
            for key, cost in region.shares.items():
                total[key[part]] += cost.cycles
        return dict(sorted(total.items(), key=lambda item: -item[1]))


def time_step(
    program: WaferProgram,
    wafer: Wafer,
    step: Step | None = None,
    clock_hz: float | None = None,
    *,
    varied: Wafer | None = None,
) -> Timing:
    """Time one step of `program` on `wafer`; by default of one sequence at the program's longest context.

    More sequences than go through its streams together take turns; shares of cycles are then of the first.

    `varied` is the machine with other constants (calibration, ranges, floors), for which nothing is compiled or held
    against rules anew.

    Raises:
        CompileError: a program that was compiled for another machine, or that breaks a rule of it.
    """
    if program.machine_digest != wafer.digest:
        another = "another machine of that name" if program.machine == wafer.name else wafer.name
        raise CompileError(
            f"The program was compiled for {program.machine}, not for {another}.",
            remedy="Compile it again for this machine.",
        )
    if varied is None:
        verify(program, hardware(wafer))
    step = step or Step(context=program.bounds.context)
    clock = clock_hz or wafer.system.clock_hz.value
    lanes = int(dict(program.facts).get("lanes", step.sequences))
    together = replace(step, sequences=min(step.sequences, max(lanes, 1)))
    paths = Paths(program, varied or wafer, together, clock)
    regions = tuple(_region_time(program, visits, paths) for visits in program.places)
    held = frozenset[int]().union(*(region.layers for region in regions))
    timing = _timing(wafer, together, clock, regions, int(dict(program.facts).get("layers", len(held))))
    return timing.in_turn(step)


def time_floor(
    program: WaferProgram,
    wafer: Wafer,
    step: Step | None = None,
    clock_hz: float | None = None,
    *,
    varied: Wafer | None = None,
) -> Timing:
    """What arithmetic, wires and distance alone take of `time_step`: this program can't be faster."""
    return time_step(program, wafer, step, clock_hz, varied=bare(varied or wafer))


def _region_time(program: WaferProgram, visits: list[Region], paths: Paths) -> RegionTime:
    found: dict[tuple[str, str], Cost] = defaultdict(lambda: ZERO)
    layers = serving = 0.0
    region, runs = visits[0], [run for visit in visits for run in visit.runs]
    for (stream, of_layer), times in Counter((run.stream, run.layer >= 0) for run in runs).items():
        path = paths.of(region, stream)
        for key, cost in path.shares.items():
            found[key] += cost * times
        cycles = path.cost.cycles * times
        layers += cycles * of_layer
        serving += cycles * (not of_layer and all(map(_serves, program.streams[stream].instructions)))
    held = frozenset(run.layer for run in runs if run.layer >= 0)
    return RegionTime(region.name, region.wafer, region.rect, dict(found), layers, serving, held)


def _serves(i: isa.Instruction) -> bool:
    """Whether an instruction of no layer may be of a stream that brings layers what they need."""
    if isinstance(i, isa.Transfer):
        return not i.back
    return isinstance(i, isa.Multicast) or (isinstance(i, isa.Lookup) and i.index == "position")


def _timing(wafer: Wafer, step: Step, clock_hz: float, regions: tuple[RegionTime, ...], layers: int) -> Timing:
    stages = [region for region in regions if region.layers]
    return Timing(
        machine=wafer.name,
        clock_hz=clock_hz,
        step=step,
        regions=regions,
        token_cycles=sum(region.cycles for region in regions),
        stage_interval_cycles=max((r.layer_cycles + r.serving_cycles for r in stages), default=0.0),
        initiation_interval_cycles=max(region.cycles for region in regions),
        layer_cycles=sum(region.layer_cycles for region in stages) / max(layers, 1),
        stages=len(stages),
    )
