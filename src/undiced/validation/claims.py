"""Our mapping's claims, each as a joint interval over everything assumed: `undiced validate --claims`.

Programs are made once, with the presets' parameters; every sample of `joint` then times them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.machine import find_machine
from undiced.machine.wafer import Wafer
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType
from undiced.sim.acceptance import Acceptance
from undiced.sim.clock import Timing, time_floor, time_step
from undiced.sim.crossing import between_s
from undiced.sim.speculation import Guesses, speculate
from undiced.validation.ablation import Rung, engine_ladder, ladder
from undiced.validation.calibration import Values
from undiced.validation.joint import Sample, assumed, samples
from undiced.validation.published_runs import forced
from undiced.validation.tornado import Effect, effects

CONTEXT = 4096
STEP = Step(1, 1, CONTEXT)
SAMPLES = 200
TARGET, DRAFT, BASELINE = "llama-3.3-70b", "llama-3.2-1b", "llama-3-8b"
CLOCKS_GHZ = (0.85, 1.1)
_TOKENS = "tokens/s"
_ASSUMED_CODE = 5_120  # bytes of code and system, as a lean assumption
_NUMERICS = (  # narrowest first; regions are those of the first
    ("", LEAN),
    (", sums of cores in 32 bits", replace(LEAN, sums=DType.F32)),
    (", all sums in 32 bits", replace(LEAN, sums=DType.F32, wire="f32")),
)

Progress = Callable[[float, str], None]


class Timer:
    """Times programs under one sample, each once for all claims that ask."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._found: dict[tuple[int, float, bool], Timing] = {}

    def of(self, program: WaferProgram, clock_ghz: float, *, floor: bool = False) -> Timing:
        """One sequence at `CONTEXT` positions; `floor`: what wires and arithmetic alone take."""
        key = id(program), clock_ghz, floor
        if key not in self._found:
            wafer, timed = find_machine(program.machine), time_floor if floor else time_step
            self._found[key] = timed(program, wafer, STEP, clock_ghz * 1e9, varied=self.sample.wafer)
        return self._found[key]


Measure = Callable[[Timer], float]


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
    effects: tuple[Effect, ...] = ()  # of assumptions, the one first that moves it most


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs from a published mapping to ours, and cycles of a layer of each under the presets."""

    rungs: tuple[Rung, ...]
    cycles: tuple[float, ...]

    @classmethod
    def of(cls, rungs: Iterable[Rung], wafer: Wafer) -> Ladder:
        """Timed on a machine as it stands."""
        held = tuple(rungs)
        return cls(held, tuple(rung.cycles_per_layer(wafer) for rung in held))

    def as_dict(self) -> list[dict[str, object]]:
        """For JSON."""
        return [
            {"what": rung.what, "region": rung.region, "cycles_per_layer": cycles, "evidence": rung.evidence}
            for rung, cycles in zip(self.rungs, self.cycles, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Claims:
    """Every claim, how we come from published mappings to ours, and how many samples the calibration rows allowed.

    Attributes:
        ladders: from the baseline on WSE-2, and from the engine on WSE-3.
        kept: by machine; drawn: of each machine.
    """

    intervals: tuple[Interval, ...]
    ladders: tuple[Ladder, Ladder]
    drawn: int
    kept: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        """For `undiced validate --claims --json`."""
        return {
            "samples": {"drawn": self.drawn, "kept": self.kept},
            "claims": [asdict(interval) for interval in self.intervals],
            "ablation": self.ladders[0].as_dict(),
            "from_the_engine": self.ladders[1].as_dict(),
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
        drawn: list[Values] = []
        for done, sample in enumerate(samples(machine, count)):
            tell((index + done / count) / len(machines), f"Sampling {machine}")
            if sample is not None:
                timer = Timer(sample)
                drawn.append(sample.drawn)
                for claim, column in zip(mine, columns, strict=True):
                    column.append(claim.measure(timer))
        kept[machine] = len(drawn)
        for claim, column in zip(mine, columns, strict=True):
            intervals.append(_interval(claim, column, effects(assumed(machine), drawn, column)))
    return Claims(tuple(intervals), (Ladder.of(rungs, wse2), from_the_engine()), count, kept)


def from_the_engine() -> Ladder:
    """The model that the engine was measured with, at the context of the row that it is fitted on."""
    run = forced(True, 1024)
    assert isinstance(run.model, str) and run.stages is not None
    wafer = find_machine(run.machine)
    return Ladder.of(engine_ladder(run.model, wafer, run.stages, run.context), wafer)


def _interval(claim: Claim, values: list[float], moved: tuple[Effect, ...]) -> Interval:
    value = claim.measure(Timer(Sample(find_machine(claim.machine))))
    low, median, high = _quantiles(values or [value])
    return Interval(claim.what, claim.unit, claim.clock_ghz, value, low, median, high, moved)


def _quantiles(values: list[float]) -> tuple[float, float, float]:
    import numpy as np

    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return float(low), float(median), float(high)


def _gain(rungs: tuple[Rung, ...]) -> Claim:
    def measure(timer: Timer) -> float:
        wafer = timer.sample.wafer
        return rungs[0].cycles_per_layer(wafer) / rungs[-1].cycles_per_layer(wafer)

    return Claim("undiced over waferllm, padded one-head 8B on wse2", "x", "wse2", None, measure)


def _compiled(model: str, options: Options) -> WaferProgram:
    return compile_graph(build_config(preset(model)), find_machine("wse3"), options)


def _speeds() -> Iterator[Claim]:
    counted = Options(bounds=Bounds(1, CONTEXT))
    first = _compiled(TARGET, counted)
    there = replace(counted, region=(first.regions[0].rect.width, first.regions[0].rect.height))
    others = [_compiled(TARGET, replace(there, choices=choices)) for _, choices in _NUMERICS[1:]]
    lean = _compiled(TARGET, replace(counted, code_bytes=_ASSUMED_CODE))
    draft = _compiled(DRAFT, counted)
    for clock in CLOCKS_GHZ:
        for (numerics, _), target in zip(_NUMERICS, (first, *others), strict=True):
            yield _speed(f"{TARGET} on {target.wafers} wse3{numerics}", target, clock)
        yield _speed(f"{TARGET} on {lean.wafers} wse3, {_ASSUMED_CODE:,} bytes of code assumed", lean, clock)
        yield _floor(first, clock)
        for acceptance in (0.7, 0.8):
            yield _speculation(first, draft, acceptance, clock)


def _speed(what: str, program: WaferProgram, clock_ghz: float) -> Claim:
    def measure(timer: Timer) -> float:
        return timer.of(program, clock_ghz).tokens_per_second

    return Claim(f"{what}, one user", _TOKENS, "wse3", clock_ghz, measure)


def _floor(program: WaferProgram, clock_ghz: float) -> Claim:
    def measure(timer: Timer) -> float:
        return timer.of(program, clock_ghz, floor=True).tokens_per_second

    return Claim("the floor under the first: wires and arithmetic alone", _TOKENS, "wse3", clock_ghz, measure)


def _speculation(target: WaferProgram, draft: WaferProgram, acceptance: float, clock_ghz: float) -> Claim:
    def measure(timer: Timer) -> float:
        turn_s = 2 * between_s(timer.sample.wafer, clock_ghz * 1e9)
        guesses = Guesses.drafted(timer.of(draft, clock_ghz), turn_s, clock_ghz * 1e9)
        return speculate(timer.of(target, clock_ghz), guesses, Acceptance.assumed(acceptance)).tokens_per_second

    what = f"{TARGET} with {DRAFT} drafting on a wafer of its own, acceptance {acceptance} (assumed)"
    return Claim(what, _TOKENS, "wse3", clock_ghz, measure)
