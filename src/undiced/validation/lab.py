"""Runs published experiments under given parameters: the same programs, any cost model. Knows no published value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from undiced.compiler.wafer.published.build import build_published, build_replay
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
from undiced.program.wafer.replay import Replay
from undiced.program.wafer.step import Step
from undiced.sim.clock import Timing, time_step
from undiced.sim.replay import part_cycles, time_replay

MACHINES = ("wse2", "wse3")
OURS = Step(1, 1, 4096)  # what rows of our mapping time


@dataclass(frozen=True, slots=True)
class Run:
    """One published run of a mapping.

    Attributes:
        context: the mean number of positions attended, or those of the prompt, of which `prefix` are there already.
        capacity: positions that the program holds; None is what the mapping takes.
        chunk: tokens of a prompt that pass together.
    """

    model: str
    machine: str
    mapping: str
    region: tuple[int, int]
    groups: int
    context: int
    layers: int | None = None
    phase: Phase = "decode"
    stages: tuple[int, ...] | None = None
    batch: int = 1
    capacity: int | None = None
    chunk: int | None = None
    prefix: int = 0

    @property
    def options(self) -> MappingOptions:
        """What its mapping is asked for."""
        return MappingOptions(
            region=self.region,
            groups=self.groups,
            stages=self.stages,
            context=self.context,
            layers=self.layers,
            phase=self.phase,
            batch=self.batch,
            capacity=self.capacity,
            chunk=self.chunk,
            prefix=self.prefix or None,
        )


@cache
def _wafer(name: str) -> Wafer:
    return find_machine(name)


@cache
def _program(run: Run) -> WaferProgram:
    return build_published(run.model, _wafer(run.machine), run.mapping, run.options)


@cache
def _replay(run: Run) -> Replay:
    return build_replay(run.model, _wafer(run.machine), run.options)


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

    def prompt(self, run: Run) -> float:
        """Cycles of a prompt of the published engine."""
        return time_replay(_replay(run), self.wafer(run.machine)).cycles

    def part(self, run: Run, name: str) -> float:
        """Cycles of the last of a layer's parts of that name, once."""
        part = [each for each in _replay(run).layer if each.name == name][-1]
        return part_cycles(part, self.wafer(run.machine))

    def prompt_bytes(self, run: Run) -> float:
        """Of the fullest core."""
        replay = _replay(run)
        return replay.data_bytes + replay.code_bytes

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
