"""Claims about making and changing: a fine-tune that is live in half an hour, defects that need not cost the wafer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from undiced.machine import silicon
from undiced.machine.dies import dies
from undiced.machine.interval import Interval
from undiced.machine.lots import lot, wilson
from undiced.machine.silicon import Process, gathered
from undiced.machine.wafer import Wafer
from undiced.study.claims.bench import Bench
from undiced.study.claims.claim import Claim, Finding, Result
from undiced.study.claims.verdict import Said, Verdict, edge, judged

MODEL, TUNED = "llama-3.1-70b", "llama-3.3-70b"  # the same sizes, trained anew
HALF_HOUR_S = 1800.0
WAFERS, SEARCHED = 1000, 300  # that are drawn for a figure, and for each step of a search
WORKS = 0.95  # ours: of wafers, so that defects do not cost them
_PATCH_MOST, _DENSITY_MOST = 3.0, 0.05


def fine_tune(bench: Bench) -> Result:
    """The same program takes new weights: what loading them takes, and what that leaves for bringing them."""
    wafer, program = bench.wafer, bench.program(TUNED)
    same = bench.graph(MODEL).slots == bench.graph(TUNED).slots and bench.graph(MODEL).nodes == bench.graph(TUNED).nodes
    total = float(bench.graph(TUNED).weight_bytes)
    rate = wafer.system.host_to_device_bytes_per_s.value
    apart, one = total / program.wafers / rate, total / rate
    load = Interval(apart, one, one)
    left = HALF_HOUR_S - load.high
    findings = (
        Finding("said", HALF_HOUR_S / 60, "minutes", "the interview"),
        Finding(f"{MODEL} and {TUNED} run the same program", "yes" if same else "no"),
        Finding("weights, 16 bits", total / 1e9, "GB"),
        Finding(f"loaded by one worker for each of {program.wafers} wafers, at the measured rate", apart, "s"),
        Finding("loaded by one worker alone", one, "s"),
        Finding("left for bringing, checking and admitting it, which nobody describes", left / 60, "minutes"),
    )
    return Result(findings, live(load, total, same, HALF_HOUR_S))


def live(load_s: Interval, total_bytes: float, same: bool, said_s: float) -> Verdict:
    """The verdict: what can be tested must fit, and what can't be is a condition on the rest of the time."""
    left = said_s - load_s.high
    rest = (
        f"the checkpoint arrives at {total_bytes / left / 1e6:,.0f} MB/s at least and nothing else waits"
        if left > 0
        else None
    )
    if not same:
        return Verdict("not testable", "a fine-tune of other sizes is another program, and who places it is not said")
    if rest is None:
        return judged(load_s, Said(high=said_s), f"loading weights alone takes {load_s.median / 60:.3g} minutes")
    return Verdict("holds only if", rest)


def defects(bench: Bench) -> Result:
    """Wafers that work, with independent defects and with gathered ones; and how far both may go."""
    wafer, density = bench.wafer, silicon.DENSITY.value
    bench.hear("drawing wafers")
    apart, close = (_share(process, wafer, WAFERS) for process in (Process(density), gathered(density)))
    bench.hear("searching what wafers bear")
    patch = _bearable(lambda x: replace(gathered(density), patch=x), wafer, _PATCH_MOST)
    dense = _bearable(Process, wafer, _DENSITY_MOST)
    chips = dies(Process(density), WAFERS)
    findings = (
        Finding("said", "defects need not cost the wafer", "", "the interview"),
        Finding(f"wafers that work, defects independent, {density:g} a square millimeter", apart.times(100), "%"),
        Finding("the same, gathered as assumed: fields, rim, one more beside each", close.times(100), "%"),
        Finding("dies of a GPU's size without a defect, independent", 100 * chips.whole / chips.dies, "%"),
        Finding("dies with 132 of 144 blocks", 100 * chips.harvested / chips.dies, "%"),
        Finding(f"independent defects that {WORKS:.0%} of wafers bear", _told(dense), "a square millimeter"),
    )
    verdict = survive(apart, close, patch)
    return Result(findings, verdict, None, (("bearable_patch", patch), ("bearable_density", dense)))


def survive(apart: Interval, close: Interval, patch: float | None) -> Verdict:
    """The verdict on shares of wafers that work, independent and gathered; `patch`: further defects that they bear."""
    both = Interval(min(apart.low, close.low), min(apart.median, close.median), min(apart.high, close.high))
    condition = None
    if Said(low=WORKS).holds(apart.low) and patch is not None:
        condition = (
            f"a defect has {patch:.2g} others beside it at most, on average: {WORKS:.0%} of wafers work then; with "
            f"independent ones {apart.median:.1%} do, gathered as assumed {close.median:.1%}"
        )
    words = f"{both.median:.1%} of wafers work where it is worse"
    return judged(both, Said(low=WORKS), words, (condition,))


def _share(process: Process, wafer: Wafer, wafers: int) -> Interval:
    """Of wafers that work, with 95 % of what so few draws leave open."""
    found = lot(process, wafer, wafers)
    low, high = wilson(found.good, found.wafers)
    return Interval(low, found.share, high)


def _bearable(process: Callable[[float], Process], wafer: Wafer, most: float) -> float | None:
    """The largest figure of a process with which enough wafers work; None if not even none of it does."""

    def lost(value: float) -> bool:
        return lot(process(value), wafer, SEARCHED).share < WORKS

    if lost(0.0):
        return None
    return edge(lost, 0.0, most) or most


def _told(value: float | None) -> float | str:
    return "none" if value is None else value


CLAIMS = (
    Claim(
        "fine-tune",
        "A fine-tune is live within 30 minutes.",
        "Not testable if its sizes make another program of it. Else loading its weights at the measured rate must fit "
        "(not reproduced if it does not), and the rest of the time is a condition on what nobody describes.",
        fine_tune,
    ),
    Claim(
        "defects",
        "Defects need not cost the wafer.",
        f"Reproduced if {WORKS:.0%} of wafers can be repaired at the published density, whether defects are "
        "independent or gather as assumed; else holds only if they gather as little as it takes.",
        defects,
    ),
)
