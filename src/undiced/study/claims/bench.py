"""Bench: programs, draws and timings that claims share, each made once in a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.machine.gpu import find_gpu
from undiced.machine.wafer import Wafer
from undiced.model import Graph, build_config, preset
from undiced.program.wafer.program import WaferProgram
from undiced.study.claims.spread import spread
from undiced.study.gpu_group import Group
from undiced.study.question import Question, place
from undiced.study.variants import DRAWS, Timings, Variants, variants

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

MACHINE = "wse3"
CONTEXT = 4096  # what programs are placed for
PROMPT, ANSWER = 1000, 500  # of a request, assumed: what services are usually compared with
ATTENDED = PROMPT + ANSWER // 2


@dataclass
class Bench:
    """What claims are computed with.

    Attributes:
        samples: draws of what is assumed of a wafer; clock_hz: named, or drawn. hear: is told what is being done.
    """

    samples: int = DRAWS
    clock_hz: float | None = None
    hear: Callable[[str], None] = field(default=lambda what: None)
    _graphs: dict[str, Graph] = field(default_factory=dict)
    _groups: dict[tuple[str, int, str], Group] = field(default_factory=dict)
    _programs: dict[object, WaferProgram] = field(default_factory=dict)
    _spreads: dict[tuple[str, int], WaferProgram | None] = field(default_factory=dict)

    @cached_property
    def wafer(self) -> Wafer:
        """The machine that the interview is about."""
        return find_machine(MACHINE)

    @cached_property
    def over(self) -> Variants:
        """What intervals are taken over."""
        self.hear("drawing what is assumed")
        return variants(self.wafer, self.samples, self.clock_hz)

    def graph(self, model: str) -> Graph:
        """A model of the configurations."""
        if model not in self._graphs:
            self._graphs[model] = build_config(preset(model))
        return self._graphs[model]

    def program(self, model: str, *, objective: str = "latency", mapping: str = "undiced") -> WaferProgram:
        """A model on the fewest wafers that hold it."""
        return self._placed(Question(model, self.wafer, context=CONTEXT, objective=objective, mapping=mapping))

    def prompt_program(self, model: str, *, mapping: str = "undiced") -> WaferProgram:
        """One for prompts: ours takes them in chunks; a published one is a single layer run again and again."""
        return self._placed(Question(model, self.wafer, context=CONTEXT, mapping=mapping, phase="prefill"))

    def prompt_cycles(self, program: WaferProgram, tokens: int) -> Numbers:
        """Of a prompt alone, over everything that is assumed."""
        over = self.over
        self.hear(f"timing a prompt of {tokens:,}")
        return over.prompt_cycles(program, tokens)

    def _placed(self, asked: Question) -> WaferProgram:
        key = (asked.model, asked.objective, asked.mapping, asked.phase)
        if key not in self._programs:
            self.hear(f"placing {asked.model}")
            self._programs[key] = place(asked).program
        return self._programs[key]

    def spread(self, model: str, wafers: int) -> WaferProgram | None:
        """A model over exactly so many wafers, evenly; None where they do not hold it."""
        key = model, wafers
        if key not in self._spreads:
            self.hear(f"spreading {model} over {wafers} wafers")
            try:
                self._spreads[key] = spread(self.graph(model), self.wafer, wafers)
            except CompileError:
                self._spreads[key] = None
        return self._spreads[key]

    def programmed(self, model: str, wafers: int) -> WaferProgram:
        """The same of a number that is known to hold it."""
        found = self.spread(model, wafers)
        assert found is not None, f"{wafers} wafers hold {model}"
        return found

    def time(self, program: WaferProgram, context: int = ATTENDED) -> Timings:
        """A token of one sequence, over everything that is assumed."""
        over = self.over
        self.hear(f"timing {program.model}")
        return over.time(program, context)

    def group(self, gpu: str, count: int, model: str) -> Group:
        """GPUs with a model in 16 bits."""
        key = gpu, count, model
        if key not in self._groups:
            self._groups[key] = Group(find_gpu(gpu), count, self.graph(model))
        return self._groups[key]
