"""Our mapping's claims, each as a joint interval over everything assumed: `undiced validate --claims`.

Programs are made once, with the presets' parameters; every sample of `joint` then times them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from undiced.compiler.wafer.build import build_mapping
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.program import Program
from undiced.sim.analytic import Report, Step, simulate
from undiced.sim.floor import floor_cycles
from undiced.sim.speculation import speculate
from undiced.validation.ablation import Rung, ladder
from undiced.validation.joint import Sample, samples

CONTEXT = 4096
SAMPLES = 200
TARGET, DRAFT, BASELINE = "llama-3.3-70b", "llama-3.2-1b", "llama-3-8b"
CLOCKS_GHZ = (0.85, 1.1)
_TOKENS = "tokens/s"
_NUMERICS: tuple[tuple[str, dict[str, object]], ...] = (
    ("", {}),
    (", sums in memory", {"accumulator": "fp16"}),
    (", all sums in 32 bits", {"wire": "fp32", "accumulator": "fp32-cached"}),
    (", all sums in 32 bits and in memory", {"wire": "fp32", "accumulator": "fp32"}),
)

Progress = Callable[[float, str], None]


class Timing:
    """Times programs under one sample, each once for all claims that ask."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._reports: dict[tuple[int, float], Report] = {}

    def of(self, program: Program, clock_ghz: float) -> Report:
        """One sequence at `CONTEXT` positions."""
        key = id(program), clock_ghz
        if key not in self._reports:
            step = Step(1, CONTEXT, clock_ghz * 1e9)
            self._reports[key] = simulate(program, self.sample.wafer, step, self.sample.costs)
        return self._reports[key]


Measure = Callable[[Timing], float]


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure of our mapping, to be measured under any sample of `machine`."""

    what: str
    unit: str
    machine: str
    clock_ghz: float | None
    measure: Measure


@dataclass(frozen=True, slots=True)
class Interval:
    """A claim: its value at the presets' parameters, and 5 %, 50 % and 95 % of the samples that were kept."""

    what: str
    unit: str
    clock_ghz: float | None
    value: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Claims:
    """Every claim, the ablation, and how many samples of each machine the calibration rows allowed.

    Attributes:
        cycles_per_layer: of each rung, under the presets.
        kept: by machine; drawn: of each machine.
    """

    intervals: tuple[Interval, ...]
    rungs: tuple[Rung, ...]
    cycles_per_layer: tuple[float, ...]
    drawn: int
    kept: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        """For `undiced validate --claims --json`."""
        return {
            "samples": {"drawn": self.drawn, "kept": self.kept},
            "claims": [asdict(interval) for interval in self.intervals],
            "ablation": [
                {"what": rung.what, "region": rung.region, "cycles_per_layer": cycles}
                for rung, cycles in zip(self.rungs, self.cycles_per_layer, strict=True)
            ],
        }


def claims(count: int = SAMPLES, progress: Progress | None = None) -> Claims:
    """Every headline figure over `count` samples of each machine. `progress` hears a share from 0 to 1, and of what."""
    tell = progress or (lambda share, what: None)
    tell(0.0, "Compiling")
    wse2 = find_machine("wse2")
    rungs = tuple(ladder(BASELINE, wse2, CONTEXT))
    found = [*_speeds(), _gain(rungs)]
    kept: dict[str, int] = {}
    intervals: list[Interval] = []
    machines = list(dict.fromkeys(claim.machine for claim in found))
    for index, machine in enumerate(machines):
        mine = [claim for claim in found if claim.machine == machine]
        columns: list[list[float]] = [[] for _ in mine]
        for done, sample in enumerate(samples(machine, count)):
            tell((index + done / count) / len(machines), f"Sampling {machine}")
            if sample is not None:
                timing = Timing(sample)
                for claim, column in zip(mine, columns, strict=True):
                    column.append(claim.measure(timing))
        kept[machine] = len(columns[0])
        intervals += [_interval(claim, column) for claim, column in zip(mine, columns, strict=True)]
    cycles = tuple(rung.cycles_per_layer(CostModel.of(wse2)) for rung in rungs)
    return Claims(tuple(intervals), rungs, cycles, count, kept)


def _interval(claim: Claim, values: list[float]) -> Interval:
    wafer = find_machine(claim.machine)
    value = claim.measure(Timing(Sample(wafer, CostModel.of(wafer))))
    low, median, high = _quantiles(values or [value])
    return Interval(claim.what, claim.unit, claim.clock_ghz, value, low, median, high)


def _quantiles(values: list[float]) -> tuple[float, float, float]:
    import numpy as np

    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return float(low), float(median), float(high)


def _gain(rungs: tuple[Rung, ...]) -> Claim:
    def measure(timing: Timing) -> float:
        costs = timing.sample.costs
        return rungs[0].cycles_per_layer(costs) / rungs[-1].cycles_per_layer(costs)

    return Claim("undiced over waferllm, padded one-head 8B on wse2", "x", "wse2", None, measure)


def _speeds() -> Iterator[Claim]:
    wse3, on_four = find_machine("wse3"), MappingOptions(wafers=4, context=CONTEXT)
    targets = [build_mapping(TARGET, wse3, "undiced", replace(on_four, scheme=scheme)) for _, scheme in _NUMERICS]
    measured = build_mapping(TARGET, wse3, "undiced", MappingOptions(context=CONTEXT, lean=False))
    draft = build_mapping(DRAFT, wse3, "undiced", MappingOptions(context=CONTEXT))
    wafers = 1 + max(region.wafer for region in measured.regions)
    for clock in CLOCKS_GHZ:
        for (numerics, _), target in zip(_NUMERICS, targets, strict=True):
            yield _speed(f"{TARGET} on 4 wse3{numerics}, one user", target, clock)
        yield _speed(f"{TARGET} on {wafers} wse3, code as measured, one user", measured, clock)
        yield Claim(
            "the floor under it: wires and multiply-adds alone", _TOKENS, "wse3", clock, _floor(targets[0], clock)
        )
        for acceptance in (0.7, 0.8):
            yield _speculation(targets[0], draft, acceptance, clock)


def _speed(what: str, program: Program, clock_ghz: float) -> Claim:
    return Claim(what, _TOKENS, "wse3", clock_ghz, lambda t: t.of(program, clock_ghz).tokens_per_second)


def _floor(program: Program, clock_ghz: float) -> Measure:
    step = Step(1, CONTEXT, clock_ghz * 1e9)
    return lambda timing: clock_ghz * 1e9 / floor_cycles(program, timing.sample.wafer, step)


def _speculation(target: Program, draft: Program, acceptance: float, clock_ghz: float) -> Claim:
    def measure(timing: Timing) -> float:
        return speculate(timing.of(target, clock_ghz), timing.of(draft, clock_ghz), acceptance).tokens_per_second

    what = f"{TARGET} with {DRAFT} drafting on a fifth wafer, acceptance {acceptance}"
    return Claim(what, _TOKENS, "wse3", clock_ghz, measure)
