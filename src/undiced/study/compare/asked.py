"""What a comparison is asked for, checked before anything is placed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.core.option import option
from undiced.machine.gpu import GPUS, find_gpu
from undiced.study.gpu_group import SEQUENCES_MAX, counts
from undiced.study.question import CONTEXT, Question
from undiced.study.variants import DRAWS

BITS = {"fp16": 16, "int8": 8, "fp8": 8, "int4": 4}


@dataclass(frozen=True, slots=True)
class Asked:
    """A comparison.

    Attributes:
        wafers: numbers of wafers for our mapping; nothing takes the fewest. batches: sequences in flight; nothing takes
            powers of four up to what fits. gpus, counts: kinds of GPUs, and how many of each.
        region: of our mapping. clock: GHz; None draws it. samples: draws of all that is assumed of a wafer.
        fill: as of questions, where tokens are taken one by one.
    """

    model: str | Path
    machine: str = "wse3"
    context: int = CONTEXT
    weights: str = "fp16"
    wafers: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()
    gpus: tuple[str, ...] = tuple(GPUS)
    counts: tuple[int, ...] = counts()
    region: str = "auto"
    clock: float | None = None
    samples: int = DRAWS
    fill: bool | None = None

    def check(self) -> None:
        """Everything is in range.

        Raises:
            UndicedError: something is not, or is not known.
        """
        for name in self.gpus:
            find_gpu(name)
        if not self.gpus:
            raise InvalidRequestError("No GPU is named.", remedy=f"Known: {', '.join(GPUS)}.")
        if wrong := [count for count in self.counts if count not in counts()]:
            raise CompileError(
                f"{wrong[0]} GPUs don't share a model's layers out evenly.",
                remedy=f"Use {', '.join(map(str, counts()))}.",
            )
        if wrong := [each for each in self.batches if not 1 <= each <= SEQUENCES_MAX]:
            raise CompileError(
                f"{wrong[0]} sequences at once are out of range.",
                remedy=f"Use {option('batch', 1)} to {SEQUENCES_MAX}.",
            )
        for count in self.wafers or (None,):
            self.question(wafers=count).check()

    def question(
        self, mapping: str = "undiced", objective: str = "latency", wafers: int | None = None, phase: str = "decode"
    ) -> Question:
        """One placement of it."""
        ours = mapping == "undiced"
        return Question(
            self.model,
            self.machine,
            wafers,
            self.context,
            weights=self.weights if ours else "fp16",
            mapping=mapping,
            objective=objective,
            phase=phase,
            region=self.region if ours else "auto",
            clock=self.clock,
            frontier=ours,
            fill=self.fill if ours and phase == "decode" else None,
        )
