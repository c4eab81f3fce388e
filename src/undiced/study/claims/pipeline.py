"""The claim about several wafers: a user's speed, the first token, how busy wafers are. With the sweep behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from undiced.machine.interval import Interval
from undiced.sim.clock import Timing, time_step
from undiced.study.claims.bench import PROMPT, Bench
from undiced.study.claims.claim import Claim, Finding, Result
from undiced.study.claims.verdict import Said, Verdict, judged, least, together
from undiced.study.cost import held_streams

if TYPE_CHECKING:
    from undiced.draw.canvas import Canvas
    from undiced.program.wafer.program import WaferProgram
    from undiced.study.variants import Timings

MODELS = ("llama-3.1-8b", "llama-3.3-70b")
WAFERS, STREAMS = tuple(range(1, 25)), tuple(range(1, 65))
DRAWN = (1, 2, 4, 8, 16, 24)  # wafers at which everything assumed is drawn, besides the fewest
POSITIONS = 1024
KEPT, LITTLE, BUSY = 0.95, 1.10, 0.95  # ours: of a speed that is kept, of a time that is little longer, of busy time


@dataclass(frozen=True, slots=True)
class Cell:
    """So many sequences on so many wafers.

    Attributes:
        stages_busy: the share of all stages' time in which they have a token; wafers_busy: of the wafers', in which any
            of their stages has. fits: whether keys and values of `POSITIONS` do.
    """

    wafers: int
    stages: int
    streams: int
    tokens_per_second: float
    first_token_s: float
    stages_busy: float
    wafers_busy: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Pipe:
    """A pipeline: cycles of each stage, in order, and the wafer that it lies on."""

    cycles: tuple[float, ...]
    wafers: tuple[int, ...]

    @classmethod
    def of(cls, timing: Timing) -> Pipe:
        """Of a timed program."""
        return cls(tuple(one.cycles for one in timing.regions), tuple(one.wafer for one in timing.regions))

    def period(self, streams: int) -> float:
        """Cycles from one token to the next, of all sequences: until the slowest stage never rests, a token's by their
        number.
        """
        return max(sum(self.cycles) / streams, max(self.cycles))

    def stages_busy(self, streams: int) -> float:
        """Of all stages' time, the part in which they have a token."""
        return sum(self.cycles) / (len(self.cycles) * self.period(streams))

    def wafers_busy(self, streams: int) -> float:
        """Of the wafers' time, the part in which any of their stages has one: they hold a token for all of these."""
        each: dict[int, float] = defaultdict(float)
        for cycles, wafer in zip(self.cycles, self.wafers, strict=True):
            each[wafer] += cycles
        return sum(min(1.0, stay / self.period(streams)) for stay in each.values()) / len(each)

    @property
    def enough(self) -> int:
        """The fewest sequences with which the slowest stage never rests: more make no stage busier."""
        return ceil(sum(self.cycles) / max(self.cycles) - 1e-9)


def sweep(bench: Bench, model: str) -> list[Cell]:
    """Every number of wafers that holds the model, with 1 to 64 sequences, at the machine's own figures and clock."""
    found: list[Cell] = []
    for wafers in WAFERS:
        program = bench.spread(model, wafers)
        if program is None:
            continue
        clock = bench.over.ends_hz[1]
        timing, half = (_at(bench, program, context, clock) for context in (POSITIONS, PROMPT // 2))
        first = (half.token_cycles + (PROMPT - 1) * half.initiation_interval_cycles) / clock
        held = held_streams(program, POSITIONS)
        found += [_cell(program, timing, first, streams, held) for streams in STREAMS]
    return found


def _at(bench: Bench, program: WaferProgram, context: int, clock_hz: float) -> Timing:
    from undiced.program.wafer.step import Step

    return time_step(program, bench.wafer, Step(1, 1, context), clock_hz, varied=bench.wafer)


def _cell(program: WaferProgram, timing: Timing, first_s: float, streams: int, held: int) -> Cell:
    pipe = Pipe.of(timing)
    speed = timing.clock_hz / (streams * pipe.period(streams))
    shares = pipe.stages_busy(streams), pipe.wafers_busy(streams)
    return Cell(program.wafers, len(pipe.cycles), streams, speed, first_s, *shares, streams <= held)


def several(bench: Bench) -> Result:
    """All three parts for both models."""
    swept = {model: sweep(bench, model) for model in MODELS}
    found = [_timed(bench, model, cells) for model, cells in swept.items()]
    verdict = together([part for each in zip(*(one.verdicts() for one in found), strict=True) for part in each])
    data = {model: [_as_dict(cell) for cell in cells] for model, cells in swept.items()}
    findings = tuple(finding for one in found for finding in one.findings())
    return Result(findings, verdict, partial(_picture, bench, swept), (("sweep", data),))


@dataclass(frozen=True, slots=True)
class Judged:
    """One model's sweep, and its timings over everything assumed at some numbers of wafers, the fewest first."""

    model: str
    cells: list[Cell]
    timed: dict[int, Timings]

    @property
    def fewest(self) -> int:
        """Wafers that hold it."""
        return min(self.timed)

    @property
    def last(self) -> int:
        """The most wafers."""
        return max(self.timed)

    @property
    def pipes(self) -> list[Pipe]:
        """The most wafers under each draw."""
        return [Pipe.of(one) for one in self.timed[self.last].each]

    def speeds(self) -> dict[int, Interval]:
        """A user's speed over that on the fewest wafers."""
        base = self.timed[self.fewest].token_s
        return {count: Interval.of(base / each.token_s) for count, each in self.timed.items() if count > self.fewest}

    def first(self) -> Interval:
        """The time to the first token on the most wafers over that on the fewest."""
        base = self.timed[self.fewest].first_token_s(PROMPT)
        return Interval.of(self.timed[self.last].first_token_s(PROMPT) / base)

    def until(self, test: Callable[[Cell, Cell], bool]) -> int | None:
        """The most wafers, beyond the fewest, up to which all cells of one sequence pass a test beside the first."""
        alone = sorted((cell for cell in self.cells if cell.streams == 1), key=lambda cell: cell.wafers)
        kept = [cell.wafers for cell in takewhile(lambda cell: test(cell, alone[0]), alone)]
        return kept[-1] if kept and kept[-1] > self.fewest else None

    def findings(self) -> list[Finding]:
        """All figures."""
        last, pipes = self.last, self.pipes
        stages, model, base = len(pipes[0].cycles), self.model, Interval.of(1 / self.timed[self.fewest].token_s)
        counts = {"one sequence": 1, f"{last}, as many as wafers": last, f"{stages}, as many as stages": stages}
        wafers = {what: _of([pipe.wafers_busy(n) for pipe in pipes]).times(100) for what, n in counts.items()}
        parts = {what: _of([pipe.stages_busy(n) for pipe in pipes]).times(100) for what, n in counts.items()}
        return [
            Finding(f"{model}, a user on {self.fewest} wafer{'s' * (self.fewest > 1)}", base, "tokens/s"),
            *(
                Finding(f"its speed on {count} wafers over that", each, "times")
                for count, each in self.speeds().items()
            ),
            Finding(f"its first token after {PROMPT:,}, on {last} wafers over {self.fewest}", self.first(), "times"),
            *(Finding(f"of {last} wafers busy: {what}", share, "%") for what, share in wafers.items()),
            *(Finding(f"of {stages} stages busy: {what}", share, "%") for what, share in parts.items()),
            Finding(f"sequences that make {stages} stages as busy as more do", _of([p.enough for p in pipes])),
        ]

    def verdicts(self) -> tuple[Verdict, Verdict, Verdict]:
        """On its speed, its first token, and how busy wafers are."""
        speed, first = self.speeds()[self.last], self.first()
        keeps = self.until(lambda cell, base: cell.tokens_per_second >= KEPT * base.tokens_per_second)
        soon = self.until(lambda cell, base: cell.first_token_s <= LITTLE * base.first_token_s)
        busy = _of([pipe.wafers_busy(self.last) for pipe in self.pipes])
        load = least(lambda n: _of([pipe.wafers_busy(n) for pipe in self.pipes]).low >= BUSY, 1, STREAMS[-1])
        needed = (
            None if load is None else f"at least {load} sequences of {self.model} are in flight on {self.last} wafers"
        )
        return (
            judged(
                speed, Said(low=KEPT), f"{self.model} keeps {speed.median:.0%} of its speed", (self._at_most(keeps),)
            ),
            judged(
                first, Said(high=LITTLE), f"{first.median:.0%} of the time to the first token", (self._at_most(soon),)
            ),
            judged(
                busy, Said(low=BUSY), f"as many sequences keep wafers busy {busy.median:.0%} of the time", (needed,)
            ),
        )

    def _at_most(self, wafers: int | None) -> str | None:
        return None if wafers is None else f"{self.model} lies on {wafers} wafers at most"


def _timed(bench: Bench, model: str, cells: list[Cell]) -> Judged:
    numbers = sorted({cell.wafers for cell in cells})
    drawn = [number for number in numbers if number in DRAWN or number == numbers[0]]
    return Judged(model, cells, {number: bench.time(bench.programmed(model, number), POSITIONS) for number in drawn})


def _of(values: Sequence[float]) -> Interval:
    return Interval.of(np.array(values, dtype=float))


def _as_dict(cell: Cell) -> dict[str, object]:
    return {name: getattr(cell, name) for name in Cell.__slots__}


def _picture(bench: Bench, swept: dict[str, list[Cell]]) -> Canvas:
    from undiced.study.claims.pipeline_picture import draw_sweep

    return draw_sweep(swept, bench.over.ends_hz[1])


CLAIMS = (
    Claim(
        "several-wafers",
        "A model over several wafers keeps its token speed and pays a little in time to first token, with all wafers "
        "busy.",
        "Llama 3.1 8B and 3.3 70B, spread evenly over every number of wafers up to 24 that holds them. Reproduced if "
        f"on the most wafers a user keeps {KEPT:.0%} of the speed on the fewest, a prompt of {PROMPT:,} takes at most "
        f"{LITTLE:.0%} of the time there, and wafers are busy {BUSY:.0%} of the time with as many sequences as wafers; "
        "else holds only if there are as few wafers (by the machine's own figures) and as many sequences as it takes.",
        several,
        "claims-wafers",
    ),
)
