"""Runs published experiments under given parameters: the same programs, any cost model. Knows no published value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from undiced.compiler.wafer.published.build import build_published
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions, Phase
from undiced.machine import find_machine
from undiced.machine.cost import repriced
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig, build_config, preset
from undiced.program import Bounds
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.clock import Timing, time_step

MACHINES = ("wse2", "wse3")
OURS = Step(1, 1, 4096)  # what rows of our mapping time


@dataclass(frozen=True, slots=True)
class Run:
    """One published run of a mapping; `context` is the mean number of positions attended, or the prompt's."""

    model: str | ModelConfig
    machine: str
    mapping: str
    region: tuple[int, int]
    groups: int
    context: int
    layers: int | None = None
    phase: Phase = "decode"
    stages: tuple[int, ...] | None = None
    batch: int = 1


@cache
def _wafer(name: str) -> Wafer:
    return find_machine(name)


@cache
def _program(run: Run) -> WaferProgram:
    return build_published(
        run.model,
        _wafer(run.machine),
        run.mapping,
        MappingOptions(
            region=run.region,
            groups=run.groups,
            stages=run.stages,
            context=run.context,
            layers=run.layers,
            phase=run.phase,
            batch=run.batch,
        ),
    )


@cache
def _ours(config: ModelConfig, code_bytes: int | None) -> WaferProgram:
    return compile_graph(build_config(config), _wafer("wse3"), Options(Bounds(1, OURS.context), code_bytes=code_bytes))


class Lab:
    """The machines, with some parameters replaced."""

    def __init__(self, overrides: dict[str, dict[str, float]] | None = None) -> None:
        """`overrides`: machine name -> field of `CostModel` -> value. Programs are made once, whoever asks."""
        self._wafers = {name: repriced(_wafer(name), (overrides or {}).get(name, {})) for name in MACHINES}

    def wafer(self, machine: str) -> Wafer:
        """The machine with these parameters."""
        return self._wafers[machine]

    def report(self, run: Run) -> Timing:
        """Times a run."""
        step = Step(run.batch, 1, run.context)
        return time_step(_program(run), _wafer(run.machine), step, varied=self.wafer(run.machine))

    def ours(self, model: str) -> float:
        """Tokens per second of one user, by our mapping on the fewest WSE-3, under the machine's own parameters."""
        return time_step(self._compiled(model, None), _wafer("wse3"), OURS).tokens_per_second

    def wafers(self, model: str, code_bytes: int | None) -> float:
        """The fewest WSE-3 that our mapping takes, with code as counted (None) or that much code and system a core."""
        return dict(self._compiled(model, code_bytes).facts)["wafers"]

    def _compiled(self, model: str, code_bytes: int | None) -> WaferProgram:
        return _ours(replace(preset(model), name=""), code_bytes)  # models that differ by name alone are one

    def places(self, run: Run) -> bool:
        """Whether a run's program finds room."""
        try:
            return bool(_program(run).regions)
        except CompileError:
            return False

    def fact(self, run: Run, name: str) -> float:
        """What a run's program says of itself."""
        return _program(run).fact(name)
