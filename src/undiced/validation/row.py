"""One published figure and how to simulate it. Knows no figure itself; rows stand in calibration_rows and open_rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from undiced.validation.lab import Lab
from undiced.validation.replayed import Replayed

WLLM = "[WLLM] OSDI'25"
AM = "[AM] device logs"


@dataclass(frozen=True, slots=True)
class ValidationRow:
    """One published figure and how to simulate it.

    Attributes:
        published: the figure, or None where only the simulated value is reported.
        clock: the clock at which seconds of the source were taken, if any.
        tolerance: relative error aimed at; None for rows that are reported only.
        noise: of a calibration row, the relative error within which it is met; None for open rows, which nothing is
            fitted on.
        replayed: the commands that replay it; None where only `undiced validate` does.
        group: what rows of one kind have in common, where a short table shows only the worst of them.
    """

    id: str
    what: str
    published: float | None
    unit: str
    simulate: Callable[[Lab], float]
    source: str = AM
    provenance: Literal["measured", "simulated", "claimed", "derived"] = "measured"
    clock: str = "-"
    tolerance: float | None = None
    noise: float | None = None
    group: str = ""
    replayed: Replayed | None = None

    @property
    def calibration(self) -> bool:
        """Whether parameters may be fitted on it."""
        return self.noise is not None
