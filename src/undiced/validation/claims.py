"""Our mapping's claims, each as an interval over everything assumed. Run: `undiced validate --claims`.

An assumed parameter is moved to both ends of its range and the others of its calibration are refitted; programs stay.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from undiced.compiler.wafer.build import build_mapping
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.machine.wafer import Wafer
from undiced.program import Program
from undiced.sim.analytic import Step, simulate
from undiced.sim.floor import floor_cycles
from undiced.sim.speculation import speculate
from undiced.validation.ablation import ladder
from undiced.validation.calibration import problems, solve

CONTEXT = 4096
_NUMERICS: tuple[tuple[str, dict[str, object]], ...] = (
    ("", {}),
    (", sums in memory", {"accumulator": "fp16"}),
    (", all sums in 32 bits", {"wire": "fp32", "accumulator": "fp32-cached"}),
    (", all sums in 32 bits and in memory", {"wire": "fp32", "accumulator": "fp32"}),
)
TARGET, DRAFT, BASELINE = "llama-3.3-70b", "llama-3.2-1b", "llama-3-8b"


@dataclass(frozen=True, slots=True)
class Variant:
    """One end of one assumption: a machine and its parameters."""

    what: str
    wafer: Wafer
    costs: CostModel


@dataclass(frozen=True, slots=True)
class Interval:
    """A claim: its value at the presets' parameters, and the ends over all variants."""

    what: str
    value: float
    low: float
    high: float
    unit: str


def variants(machine: str) -> list[Variant]:
    """The presets' parameters first, then each assumption at both ends."""
    wafer = find_machine(machine)
    base = CostModel.of(wafer)
    out = [Variant("presets", wafer, base)]
    for problem in problems():
        if problem.machine != machine:
            continue
        for parameter in problem.assumed:
            for end in (parameter.low, parameter.high):
                fit = solve(problem, {parameter.name: end})
                out.append(Variant(f"{parameter.name} = {end:g}", wafer, replace(base, **fit.values)))
    latency = wafer.system.wafer_to_wafer_s
    for seconds in latency.span:
        system = replace(wafer.system, wafer_to_wafer_s=replace(latency, value=seconds))
        out.append(Variant(f"wafer to wafer {seconds * 1e6:g} us", replace(wafer, system=system), base))
    return out


def _interval(what: str, values: list[float], unit: str) -> Interval:
    return Interval(what, values[0], min(values), max(values), unit)


def _rates(program: Program, found: list[Variant]) -> list[float]:
    step = Step(batch=1, context=CONTEXT)
    return [simulate(program, v.wafer, step, v.costs).tokens_per_second for v in found]


def claims() -> list[Interval]:
    """Every headline figure of our mapping."""
    wse3, ends = find_machine("wse3"), variants("wse3")
    step, on_four = Step(batch=1, context=CONTEXT), MappingOptions(wafers=4, context=CONTEXT)
    out = []
    for what, scheme in _NUMERICS:
        program = build_mapping(TARGET, wse3, "undiced", replace(on_four, scheme=scheme))
        out.append(_interval(f"{TARGET} on 4 wse3{what}, one user", _rates(program, ends), "tokens/s at 1.1 GHz"))
    target = build_mapping(TARGET, wse3, "undiced", on_four)
    floor = wse3.system.clock_hz.value / floor_cycles(target, wse3, step)
    out.append(
        Interval("the floor under it: wires and multiply-adds alone", floor, floor, floor, "tokens/s at 1.1 GHz")
    )
    draft = build_mapping(DRAFT, wse3, "undiced", MappingOptions(context=CONTEXT))
    for acceptance in (0.7, 0.8):
        rates = [
            speculate(
                simulate(target, v.wafer, step, v.costs), simulate(draft, v.wafer, step, v.costs), acceptance
            ).tokens_per_second
            for v in ends
        ]
        what = f"{TARGET} with {DRAFT} drafting on a fifth wafer, acceptance {acceptance}"
        out.append(_interval(what, rates, "tokens/s at 1.1 GHz"))
    ladders = [ladder(BASELINE, find_machine("wse2"), CONTEXT, v.costs) for v in variants("wse2")]
    ratios = [rungs[0].cycles_per_layer / rungs[-1].cycles_per_layer for rungs in ladders]
    out.append(_interval("undiced over waferllm, padded one-head 8B on wse2", ratios, "x"))
    return out


def as_dicts() -> dict[str, object]:
    """What `report` prints, for scripts."""
    return {
        "claims": [asdict(claim) for claim in claims()],
        "ablation": [
            {"what": rung.what, "region": rung.region, "cycles_per_layer": rung.cycles_per_layer}
            for rung in ladder(BASELINE, find_machine("wse2"), CONTEXT, None)
        ],
    }


def report() -> None:
    """Print every claim, and the ablation under the presets."""
    for claim in claims():
        print(f"{claim.value:10.2f} [{claim.low:.2f} to {claim.high:.2f}] {claim.unit}  {claim.what}")
    print("ablation, cycles per layer")
    rungs = ladder(BASELINE, find_machine("wse2"), CONTEXT, None)
    for rung in rungs:
        gain = rungs[0].cycles_per_layer / rung.cycles_per_layer
        width, height = rung.region
        print(f"{rung.cycles_per_layer:10.0f} {gain:5.2f}x  {width}x{height}  {rung.what}")
