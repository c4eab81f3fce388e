"""Runs published experiments under given parameters: the same programs, any cost model. Knows no published value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from undiced.compiler.wafer.build import build_mapping
from undiced.core.mapping import MappingOptions, Phase
from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.machine.region import unpack
from undiced.machine.wafer import Wafer
from undiced.program import Program
from undiced.sim.analytic import Report, Step, simulate


@dataclass(frozen=True, slots=True)
class Run:
    """One published run of a mapping."""

    model: str
    machine: str
    mapping: str
    region: tuple[int, int]
    groups: int
    context: int
    layers: int
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
def _ours(model: str) -> Program:
    return build_mapping(model, _wafer("wse3"), "undiced", MappingOptions(context=4096))


class Lab:
    """Cost models of the machines, with some parameters replaced."""

    def __init__(self, overrides: dict[str, dict[str, float]] | None = None) -> None:
        """`overrides`: machine name -> field of `CostModel` -> value. Programs are made once, whoever asks."""
        self._models = {
            name: replace(CostModel.of(_wafer(name)), **(overrides or {}).get(name, {})) for name in ("wse2", "wse3")
        }

    def model(self, machine: str) -> CostModel:
        """The parameters of a machine."""
        return self._models[machine]

    def report(self, run: Run) -> Report:
        """Times a run."""
        step = Step(batch=1, context=run.context)
        return simulate(_program(run), _wafer(run.machine), step, self._models[run.machine])

    def kv_rows(self, run: Run) -> int:
        """Cores that share the KV positions of a layer."""
        return unpack(_program(run).regions[0].params).kv_rows

    def ours(self, model: str) -> Report:
        """Our mapping of a model on the fewest WSE-3, one sequence at 4,096 positions."""
        return simulate(_ours(model), _wafer("wse3"), Step(batch=1, context=4096), self._models["wse3"])

    def wafers(self, model: str) -> float:
        """The fewest WSE-3 that our mapping takes with lean code."""
        return 1.0 + max(region.wafer for region in _ours(model).regions)

    def longest(self, run: Run) -> float:
        """The longest context that the resident layers leave room for."""
        return _program(run).fact("max_context_tokens")
