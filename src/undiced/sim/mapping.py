"""The seam between simulators and compiler: programs of a mapping are asked for at run time, by agreed names.

The simulators import no compiler: whoever holds another mapping passes its builder instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from undiced.machine.cost import CostModel
from undiced.machine.wafer import Wafer
from undiced.program import Program

_BUILDER = "undiced.compiler.wafer.build"
_ABLATION = "undiced.compiler.wafer.ablation"
Region = tuple[int, int] | Literal["auto"]
Phase = Literal["decode", "prefill"]


class ProgramBuilder(Protocol):
    """Builds the program of a mapping; see `undiced.compiler.wafer.build`."""

    def __call__(
        self,
        model: object,
        wafer: Wafer,
        mapping: str,
        *,
        region: Region = "auto",
        groups: int | None = None,
        stages: tuple[int, ...] | None = None,
        context: int = 1024,
        layers: int | None = None,
        phase: Phase = "decode",
        batch: int = 1,
        wafers: int | None = None,
        objective: str = "latency",
        lean: bool = True,
        embedding: str = "wafer",
        scheme: Mapping[str, object] | None = None,
    ) -> Program: ...


class Rung(Protocol):
    """One step of an ablation."""

    @property
    def what(self) -> str: ...
    @property
    def region(self) -> tuple[int, int]: ...
    @property
    def cycles_per_layer(self) -> float: ...


class Ablation(Protocol):
    """Goes from the published baseline to our mapping; see `undiced.compiler.wafer.ablation`."""

    def __call__(self, model: object, wafer: Wafer, context: int, costs: CostModel | None) -> Sequence[Rung]: ...


def ablation() -> Ablation:
    """The package's own ablation."""
    ladder: Ablation = importlib.import_module(_ABLATION).ladder
    return ladder


def program_builder() -> ProgramBuilder:
    """The package's own builder."""
    build: ProgramBuilder = importlib.import_module(_BUILDER).build_mapping
    return build
