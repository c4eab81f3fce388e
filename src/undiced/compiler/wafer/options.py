"""What our mapping is asked for. Data and its bounds; knows no pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

from undiced.compiler.wafer.scheme import Scheme
from undiced.core.errors import CompileError
from undiced.core.mapping import require_choice
from undiced.program import Bounds

Objective = Literal["latency", "interval"]
Embedding = Literal["wafer", "host", "none"]
WAFERS_MAX = 1024
BATCH_MAX = 4096
CONTEXT_MAX = 1 << 24


@dataclass(frozen=True, slots=True)
class Options:
    """What to compile for.

    Attributes:
        bounds: sequences and positions that must fit.
        wafers: how many may be used; None takes the fewest that hold the model.
        objective: "latency" of one sequence, or the "interval" between tokens of a full pipeline.
        lean: assume lean code instead of the measured code size.
        region: fixes sides x by y instead of searching.
        embedding: on the wafer, looked up by the host, or "none": layers alone, without head.
    """

    bounds: Bounds = field(default_factory=lambda: Bounds(1, 4096))
    wafers: int | None = None
    scheme: Scheme = field(default_factory=Scheme)
    objective: Objective = "latency"
    lean: bool = True
    region: tuple[int, int] | None = None
    embedding: Embedding = "wafer"

    def __post_init__(self) -> None:
        batch, context = self.bounds.batch, self.bounds.context
        if not 1 <= batch <= BATCH_MAX:
            raise CompileError(f"A batch of {batch} is out of range.", remedy=f"Use 1 to {BATCH_MAX} sequences.")
        if not 1 <= context <= CONTEXT_MAX:
            raise CompileError(f"A context of {context} is out of range.", remedy=f"Use 1 to {CONTEXT_MAX} positions.")
        if self.wafers is not None and not 1 <= self.wafers <= WAFERS_MAX:
            raise CompileError(f"{self.wafers} wafers are out of range.", remedy=f"Use 1 to {WAFERS_MAX}.")


def parse_objective(text: str) -> Objective:
    """`latency` or `interval`.

    Raises:
        CompileError: anything else.
    """
    require_choice(text, Objective, f"There is no objective called {text[:40]!r}.")
    return cast(Objective, text)


def parse_embedding(text: str) -> Embedding:
    """`wafer`, `host` or `none`.

    Raises:
        CompileError: anything else.
    """
    require_choice(text, Embedding, f"No embedding on {text!r}.")
    return cast(Embedding, text)
