"""The seam between simulators and compiler: what a compiler must offer to be measured. Types alone.

The simulators import no compiler: a composition root passes its builder and its ablation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from undiced.core.mapping import MappingOptions
from undiced.machine.cost import CostModel
from undiced.machine.wafer import Wafer
from undiced.program import Program


class ProgramBuilder(Protocol):
    """Builds the program of a mapping; see `undiced.compiler.wafer.build`. Hashable: programs are made once."""

    def __hash__(self) -> int: ...

    def __call__(self, model: object, wafer: Wafer, mapping: str, options: MappingOptions) -> Program: ...


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
