"""The seam between simulators and compiler: programs of a mapping are asked for at run time, by agreed names.

The simulators import no compiler: whoever holds another mapping passes its builder instead.
"""

from __future__ import annotations

import importlib
from typing import Literal, Protocol

from undiced.machine.wafer import Wafer
from undiced.program import Program

_BUILDER = "undiced.compiler.wafer.build"
Region = tuple[int, int] | Literal["auto"]
Phase = Literal["decode", "prefill"]


class ProgramBuilder(Protocol):
    """Builds the program of a published mapping; see `undiced.compiler.wafer.build`."""

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
    ) -> Program: ...


def program_builder() -> ProgramBuilder:
    """The package's own builder."""
    build: ProgramBuilder = importlib.import_module(_BUILDER).build_mapping
    return build
