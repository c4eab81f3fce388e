"""Variants of a machine: what intervals of simulated figures are taken over.

Everything assumed is drawn at once and refitted on the calibration rows, as for `undiced validate --claims`, and a
clock is drawn with it unless one is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine import find_machine
from undiced.machine.wafer import Wafer
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.acceptance import Acceptance
from undiced.sim.clock import Timing, time_step
from undiced.sim.crossing import between_s
from undiced.sim.prompt import time_prompt
from undiced.sim.speculation import Guesses, speculate
from undiced.study.cost import CLOCKS_HZ
from undiced.validation.joint import samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

DRAWS, DRAWS_MAX = 16, 10_000
_SEED = 3  # of the clocks, which go with no other draw
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Timings:
    """A token of one sequence under each variant: every array has a number for each.

    Attributes:
        each: at a context. halfway: of a token that attends to half of it, as a prompt's do on average.
        crossings_s: a token's id, from one wafer to another, and the answer back.
    """

    each: tuple[Timing, ...]
    halfway: tuple[Timing, ...]
    crossings_s: tuple[float, ...]

    @property
    def token_s(self) -> Numbers:
        """From one token of a sequence to its next, while it is alone."""
        return np.array([one.token_cycles / one.clock_hz for one in self.each])

    @property
    def interval_s(self) -> Numbers:
        """Between tokens of a full pipeline."""
        return np.array([one.initiation_interval_cycles / one.clock_hz for one in self.each])

    def tokens_per_second(self, streams: int = 1) -> Numbers:
        """Of all sequences in flight together; one of them has its share of it."""
        found: Numbers = np.minimum(streams / self.token_s, 1 / self.interval_s)
        return found

    def first_token_s(self, prompt: int) -> Numbers:
        """A prompt's positions follow each other through the pipeline."""
        return np.array(
            [(one.token_cycles + (prompt - 1) * one.initiation_interval_cycles) / one.clock_hz for one in self.halfway]
        )

    def speculated(self, draft: Timings, acceptance: Acceptance) -> Numbers:
        """Tokens per second of one user with a draft on a wafer of its own."""
        return np.array([self.guessed(draft, acceptance, number) for number in range(len(self.each))])

    def looked_up(self, acceptance: Acceptance) -> Numbers:
        """The same with lookups by a host, taken to be as far away as another wafer."""
        turns = (Guesses(turn * one.clock_hz) for one, turn in zip(self.each, self.crossings_s, strict=True))
        pairs = zip(self.each, turns, strict=True)
        return np.array([speculate(one, guesses, acceptance).tokens_per_second for one, guesses in pairs])

    def guessed(self, draft: Timings, acceptance: Acceptance, number: int) -> float:
        """The same of one variant."""
        target = self.each[number]
        guesses = Guesses.drafted(draft.each[number], self.crossings_s[number], target.clock_hz)
        return speculate(target, guesses, acceptance).tokens_per_second


@dataclass(slots=True)
class Variants:
    """Machines that the calibration rows allow, each at a clock. A program is timed once for all that ask.

    Attributes:
        drawn: how many were tried; 0 where nothing is known that could be drawn, and only the clock varies.
    """

    machine: Wafer
    wafers: tuple[Wafer, ...]
    clocks_hz: tuple[float, ...]
    ends_hz: tuple[float, float]
    drawn: int
    _found: dict[tuple[int, int], tuple[WaferProgram, Timings]] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """At which clocks, and over how many draws."""
        ghz = " to ".join(dict.fromkeys(f"{clock / 1e9:g}" for clock in self.ends_hz))
        over = f"{len(self.wafers)} of {self.drawn} draws that calibration allows" if self.drawn else "the clock alone"
        return f"simulated at {ghz} GHz, 5 %, 50 % and 95 % of {over}"

    def time(self, program: WaferProgram, context: int) -> Timings:
        """One sequence at `context` positions."""
        key = id(program), context  # the program is kept beside, so that its number stays its own
        if key not in self._found:
            whole, half = (self._all(program, each) for each in (context, max(1, context // 2)))
            pairs = zip(self.wafers, self.clocks_hz, strict=True)
            turns = tuple(2 * between_s(wafer, clock) for wafer, clock in pairs)
            self._found[key] = program, Timings(whole, half, turns)
        return self._found[key][1]

    def prompt_cycles(self, program: WaferProgram, tokens: int) -> Numbers:
        """Of a prompt alone: in chunks where the program takes them, else token by token."""
        clocks = np.array(self.clocks_hz)
        if program.chunk == 1:
            found: Numbers = self.time(program, tokens).first_token_s(tokens) * clocks
            return found
        pairs = zip(self.wafers, self.clocks_hz, strict=True)
        return np.array([time_prompt(program, wafer, tokens, clock).cycles for wafer, clock in pairs])

    def prompt_s(self, program: WaferProgram, tokens: int) -> Numbers:
        """The same in seconds: until its first token."""
        found: Numbers = self.prompt_cycles(program, tokens) / np.array(self.clocks_hz)
        return found

    def _all(self, program: WaferProgram, context: int) -> tuple[Timing, ...]:
        step = Step(1, 1, context)
        pairs = zip(self.wafers, self.clocks_hz, strict=True)
        return tuple(time_step(program, self.machine, step, clock, varied=wafer) for wafer, clock in pairs)


def variants(machine: Wafer, count: int, clock_hz: float | None = None, progress: Progress | None = None) -> Variants:
    """So many draws, without those that the calibration rows do not allow.

    A machine that is none of the package's has no rows: of it only the clock varies.

    Raises:
        CompileError: a number of draws out of range.
    """
    if not 1 <= count <= DRAWS_MAX:
        raise CompileError(f"{count} draws are out of range.", remedy=f"Use {option('samples', 1)} to {DRAWS_MAX}.")
    ends = low, high = clock_range(machine, clock_hz)
    if not _is_ours(machine):
        clocks = tuple(dict.fromkeys(ends))
        return Variants(machine, (machine,) * len(clocks), clocks, ends, 0)
    shares = (np.random.default_rng(_SEED).permutation(count) + 0.5) / count
    kept: list[tuple[Wafer, float]] = []
    for number, sample in enumerate(samples(machine.name, count)):
        if progress is not None:
            progress(number / count, "Drawing what is assumed")
        if sample is not None:
            kept.append((sample.wafer, low + (high - low) * float(shares[number])))
    if not kept:
        raise CompileError(
            f"The calibration rows allow none of {count} draws.", remedy=f"Draw more: {option('samples', DRAWS)}."
        )
    return Variants(machine, tuple(each for each, _ in kept), tuple(clock for _, clock in kept), ends, count)


def clock_range(machine: Wafer, clock_hz: float | None) -> tuple[float, float]:
    """What clocks are drawn between: the one that is named, both published ones, or the machine's own beyond them."""
    own = machine.system.clock_hz.value if clock_hz is None else clock_hz
    low, high = CLOCKS_HZ
    return (low, high) if clock_hz is None and low <= own <= high else (own, own)


def _is_ours(machine: Wafer) -> bool:
    try:
        return find_machine(machine.name).digest == machine.digest
    except CompileError:
        return False
