"""Runs published experiments under given parameters: the same programs, any cost model. Knows no published value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from undiced.compiler.wafer.build import build_mapping
from undiced.core.mapping import MappingOptions, Phase
from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig
from undiced.program import Program
from undiced.sim.analytic import Report, Step, simulate

MACHINES = ("wse2", "wse3")


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


@cache
def _wafer(name: str) -> Wafer:
    return find_machine(name)


@cache
def _program(run: Run) -> Program:
    return build_mapping(
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
        ),
    )


@cache
def _ours(model: str, code_bytes: float | None) -> Program:
    wafer, options = _wafer("wse3"), MappingOptions(context=4096, lean=code_bytes is None)
    if code_bytes is not None:
        wafer = replace(wafer, core=replace(wafer.core, code_bytes=replace(wafer.core.code_bytes, value=code_bytes)))
    return build_mapping(model, wafer, "undiced", options)


class Lab:
    """Cost models of the machines, with some parameters replaced."""

    def __init__(self, overrides: dict[str, dict[str, float]] | None = None) -> None:
        """`overrides`: machine name -> field of `CostModel` -> value. Programs are made once, whoever asks."""
        self._models = {
            name: replace(CostModel.of(_wafer(name)), **(overrides or {}).get(name, {})) for name in MACHINES
        }

    def model(self, machine: str) -> CostModel:
        """The parameters of a machine."""
        return self._models[machine]

    def wafer(self, machine: str) -> Wafer:
        """The machine itself, as published."""
        return _wafer(machine)

    def report(self, run: Run) -> Report:
        """Times a run."""
        step = Step(batch=1, context=run.context)
        return simulate(_program(run), _wafer(run.machine), step, self._models[run.machine])

    def ours(self, model: str) -> Report:
        """Our mapping of a model on the fewest WSE-3, one sequence at 4,096 positions."""
        return simulate(_ours(model, None), _wafer("wse3"), Step(batch=1, context=4096), self._models["wse3"])

    def wafers(self, model: str, code_bytes: float | None) -> float:
        """The fewest WSE-3 that our mapping takes, with lean code (None) or that much code and system a core."""
        return 1.0 + max(region.wafer for region in _ours(model, code_bytes).regions)

    def longest(self, run: Run) -> float:
        """The longest context that the resident layers leave room for."""
        return _program(run).fact("max_context_tokens")
