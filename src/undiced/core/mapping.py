"""What a wafer mapping may be asked for: options that the compiler obeys and the simulators set. Data and its plain
bounds; knows no mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from undiced.core.errors import CompileError
from undiced.core.option import option

Region = tuple[int, int] | Literal["auto"]
Phase = Literal["decode", "prefill"]
Objective = Literal["latency", "interval"]
Weights = Literal["fp16", "int8", "fp8", "int4"]  # as cores keep them
Published = Literal["waferllm", "waferengine"]
Mappings = Literal["undiced", Published]
PREFILL = "prefill"  # fact of a program that is a prompt's


@dataclass(frozen=True, slots=True)
class MappingOptions:
    """Options of any mapping; None means the mapping's own choice. A mapping refuses what it does not have.

    Attributes:
        region: sides of a region, x by y; "auto" searches.
        groups: of the published two-tree; stages: layers of each region of a published pipeline.
        context: positions attended (decode) or prompt tokens (prefill).
        capacity: positions that the program holds, at least the context; None is the context, or what was published.
        prefix: positions of a prompt that are there already (of the published engine's prefill).
        layers: replaces the model's number of layers.
        batch: sequences at once; lockstep: how many of them go together, others follow (our mapping; None is 1).
        wafers: how many may be used, None takes the fewest that are found.
        objective: "latency" of one sequence or "interval" between tokens of a full pipeline.
        chunk: tokens of a prompt that go through it together; None is the mapping's choice.
        apart: whether other wafers decode (our mapping).
        fill: whether memory that narrow weights leave makes tokens faster; None fills it for one user's latency, if no
            frontier is asked for (our mapping).
        frontier: also find how many streams of which context the same memory holds (our mapping).
        code_bytes: what to take a core's code for; None counts what the program takes (our mapping).
        scheme: number formats and numerics of our mapping, by name.

    Raises:
        CompileError: no groups, no layers, or chunks of nothing; or less room than positions.
    """

    region: Region = "auto"
    groups: int | None = None
    stages: tuple[int, ...] | None = None
    context: int = 1024
    layers: int | None = None
    phase: Phase = "decode"
    batch: int = 1
    lockstep: int | None = None
    wafers: int | None = None
    objective: str = "latency"
    code_bytes: int | None = None
    frontier: bool = False
    capacity: int | None = None
    prefix: int | None = None
    chunk: int | None = None
    apart: bool = False
    fill: bool | None = None
    scheme: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.apart and (self.phase != "prefill" or self.chunk == 1):
            raise CompileError(
                "Wafers of their own are for prompts in chunks.",
                remedy=f"Use {option('phase', 'prefill')} and no {option('chunk', 1)}, or no wafers apart.",
            )
        for name in ("groups", "layers", "chunk"):
            count = getattr(self, name)
            if count is not None and count < 1:
                what = "A chunk" if name == "chunk" else f"The number of {name}"
                raise CompileError(f"{what} can't be {count}.", remedy="Use at least 1.")
        if self.lockstep is not None and not 1 <= self.lockstep <= self.batch:
            raise CompileError(
                f"{self.lockstep} of {self.batch} sequences can't go in lockstep.",
                remedy=f"Use {option('lockstep', self.batch)} or less, or {option('batch', max(1, self.lockstep))}.",
            )
        if self.capacity is not None and self.capacity < self.context:
            raise CompileError(
                f"A program for {self.capacity} positions can't attend to {self.context}.",
                remedy=f"Use {option('capacity', self.context)} or more, or {option('context', self.capacity)}.",
            )
        if self.capacity is not None and self.phase == "prefill":
            raise CompileError("A prompt's program holds the prompt.", remedy="Leave the capacity out.")

    @property
    def room(self) -> int:
        """Positions that a program holds, where nothing was published."""
        return self.context if self.capacity is None else self.capacity


def require_choice(text: str, choices: object, complaint: str) -> None:
    """`text` is one of a Literal's values.

    Raises:
        CompileError: `complaint`, and what the values are.
    """
    *others, last = get_args(choices)
    if text not in (*others, last):
        raise CompileError(complaint, remedy=f"Use {', '.join(others)} or {last}.")
